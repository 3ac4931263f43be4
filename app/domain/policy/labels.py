"""Labels: limits, the prefixes that are ours, and the ones that mean something in a Triton data center.

`com.joyent.package` and `triton.*` are as the users of Triton's Docker service know them: an unknown special tag and a
value of the wrong kind are refused with the same words.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from typing import Any

from app.domain.policy.draft import Draft
from app.domain.policy.values import forbid, mapping, shown, text, wrong

PACKAGE = "com.joyent.package"
AFFINITIES = "com.docker.swarm.affinities"
PUBLIC_NETWORK = "triton.network.public"
RESERVED_PREFIXES = ("sdc.", "com.docker.swarm.")

_PACKAGE = re.compile(r"(?!.*[_.-]{2})[a-zA-Z0-9][a-zA-Z0-9_.-]*[a-zA-Z0-9]")
_DNS_LABEL = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_SERVICE_PROPERTY = re.compile(r"(?:(?:port|priority|weight)=)?[0-9]{1,5}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")


def read(draft: Draft, path: str, value: Any) -> dict[str, str]:
    """Labels within the limits, none of them reserved. Raises InvalidParameter, Forbidden."""
    rules = draft.rules
    labels: dict[str, str] = {}
    for key, item in mapping(path, value, rules.max_labels).items():
        # Go decodes null to "".
        label = "" if item is None else text(f"{path}[{shown(key, 64)}]", item)
        if not key or len(key) > rules.max_label_key:
            wrong(f"invalid {path}: a label's name has 1 to {rules.max_label_key} characters")
        if len(label.encode()) > rules.max_label_value:
            wrong(f'invalid {path}: label "{shown(key, 64)}" has more than {rules.max_label_value} bytes')
        if key.startswith(RESERVED_PREFIXES) and key != AFFINITIES:
            forbid(f'reserved label "{shown(key, 64)}"', path)
        labels[key] = label
    return labels


def container_labels(draft: Draft, path: str, value: Any) -> None:
    """`Config.Labels`. The package's label is taken out: it is shown again from the container's package."""
    labels = read(draft, path, value)
    if (package := labels.pop(PACKAGE, None)) is not None:
        if len(package) > 256 or not _PACKAGE.fullmatch(package):
            wrong(f"invalid value for {PACKAGE}: {shown(package, 64)}")
        draft.resources["package"] = package
    for key, label in labels.items():
        if key.startswith("triton."):
            _check_special(key, label)
    if AFFINITIES in labels:
        _check_affinities(labels[AFFINITIES])
    draft.config["Labels"] = labels


def _check_special(key: str, value: str) -> None:
    check = SPECIAL.get(key)
    if check is None:
        wrong(f'invalid label: Unrecognized special triton tag "{shown(key, 64)}"')
    if (complaint := check(value)) is not None:
        wrong(f'invalid label: Triton tag "{key}" {complaint}: "{shown(value, 64)}"')


def _check_affinities(value: str) -> None:
    try:
        expressions = json.loads(value)
    except (ValueError, RecursionError):
        wrong(f"invalid affinities label: {shown(value, 64)}")
    if not isinstance(expressions, list) or not all(isinstance(item, str) for item in expressions):
        wrong(f"affinities label is not an array: {shown(value, 64)}")


def _any(_value: str) -> str | None:
    return None


def _boolean(value: str) -> str | None:
    return None if value in ("true", "false") else 'value must be "true" or "false"'


def _number(value: str) -> str | None:
    return None if _NUMBER.fullmatch(value) else "value must be a number"


def _dns_name(value: str) -> str | None:
    parts = value.removesuffix(".").split(".")
    good = len(value) <= 255 and all(_DNS_LABEL.fullmatch(part) for part in parts)
    return None if good else "value must be a DNS name"


def _address(value: str) -> str | None:
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        return "value must be an IPv4 address"
    return None


def _services(value: str) -> str | None:
    """`name[:port[:priority=n][:weight=n]]`, separated by commas."""
    for service in value.split(","):
        name, *properties = service.strip().split(":")
        if not _DNS_LABEL.fullmatch(name):
            return "value must be a list of DNS names of at most 63 characters"
        for item in properties:
            number = int(item.rpartition("=")[2]) if _SERVICE_PROPERTY.fullmatch(item) else -1
            if not 0 <= number <= 65535 or (number == 0 and not item.startswith(("priority", "weight"))):
                return "value has an invalid service property"
    return None


#: Special label -> what is wrong with a value of it, or None.
SPECIAL: dict[str, Callable[[str], str | None]] = {
    "triton.cns.services": _services,
    "triton.cns.disable": _boolean,
    "triton.cns.reverse_ptr": _dns_name,
    "triton.cmon.groups": _any,
    "triton.network.public": _any,
    "triton.network.public_ipv4": _address,
    "triton.placement.exclude_virtual_servers": _boolean,
    "triton._test.string": _any,
    "triton._test.number": _number,
    "triton._test.boolean": _boolean,
}
