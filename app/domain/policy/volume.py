"""Decide the body of POST /volumes/create. Of the local driver's options only `size` reaches no file of the node."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from app.domain.names import check_volume_name
from app.domain.policy import labels
from app.domain.policy.draft import Draft
from app.domain.policy.rules import Rules
from app.domain.policy.values import Struct, forbid, line, mapping, shown, size, text, wrong
from app.domain.volume import ANONYMOUS_LABEL
from app.errors import NotImplemented as NotAvailable

_BODY = Struct(("Name", "Driver", "DriverOpts", "Labels", "ClusterVolumeSpec"), unknown="refuse set")
#: These mount a file system, a device or a folder of the node's choosing, with the node's own rights.
_MOUNTING = frozenset({"type", "device", "o"})
_SHARED = frozenset({"nfs", "tritonnfs"})


@dataclass(frozen=True)
class VolumeSpec:
    """A decided request. `options` are the driver's, as the tenant wrote them."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)


def decide_volume(body: Any, *, rules: Rules) -> VolumeSpec:
    """What volume the request asks for. Raises InvalidParameter, Forbidden, NotImplemented."""
    if body is None:
        wrong("invalid JSON: got EOF while reading request body")
    draft = Draft(rules)
    fields = _BODY.read("", body, draft.warnings)
    if fields.get("ClusterVolumeSpec"):
        raise NotAvailable("cluster volumes are not available here")
    name = text("Name", fields.get("Name", ""))
    given = labels.read(draft, "Labels", fields.get("Labels", {}))
    if name:
        check_volume_name(name)
    _check_driver(line(256)("Driver", fields.get("Driver", "")), rules)
    options = _options(fields.get("DriverOpts", {}), name or "volume")
    if name:
        return VolumeSpec(name, given, options)
    return VolumeSpec(secrets.token_hex(32), {**given, ANONYMOUS_LABEL: ""}, options)


def _check_driver(driver: str, rules: Rules) -> None:
    if driver in _SHARED and driver not in rules.allowed_volume_drivers:
        wrong(f'volume driver "{driver}" is not available: this data center has no shared volumes; use "local"')
    if driver and driver not in rules.allowed_volume_drivers:
        wrong(f'volume driver "{shown(driver, 64)}" is not available')


def _options(value: Any, name: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for key, item in mapping("DriverOpts", value, 16).items():
        if key in _MOUNTING:
            forbid(f'the volume driver option "{key}"', "DriverOpts")
        if key != "size":
            wrong(f'create {name}: invalid option: "{shown(key, 64)}"')
        option = line(64)("DriverOpts.size", "" if item is None else item)
        if size("DriverOpts.size", option) <= 0:
            wrong(f"create {name}: invalid size: '{shown(option, 64)}'")
        options["size"] = option
    return options
