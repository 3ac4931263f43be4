"""`LogConfig`: which driver, and options that neither fill a node's disk, nor use its memory, nor dial from it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from app.domain import pattern as pattern_of
from app.domain.policy.draft import Draft
from app.domain.policy.labels import RESERVED_PREFIXES
from app.domain.policy.values import Struct, forbid, line, mapping, shown, size, text, wrong

DEFAULT_DRIVER = "json-file"
#: What every engine's container of ours is labelled with; an option could have the log show it (`logs --details`).
ENGINE_LABELS = ("sdc.fleet", "sdc.account", "sdc.container", "sdc.op", "sdc.name", "sdc.image")

_LOG_CONFIG = Struct(("Type", "Config"), unknown="refuse")
#: A tag is a Go template in the daemon: `{{pad "x" 900000000 0}}` eats its memory, `{{.ID}}` shows the engine's id.
_TAG = re.compile(r"[\w ./:@+-]{0,256}", re.ASCII)

Option = Callable[[Draft, str, str], str]


def log_config(draft: Draft, path: str, value: Any) -> None:
    """The driver and its options, with the bounds on size filled in."""
    fields = _LOG_CONFIG.read(path, value, draft.warnings)
    driver = text(f"{path}.Type", fields.get("Type", "")) or DEFAULT_DRIVER
    given = mapping(f"{path}.Config", fields.get("Config", {}), 32)
    if driver not in draft.rules.allowed_log_drivers or driver not in OPTIONS:
        forbid(f'the log driver "{shown(driver, 64)}"', f"{path}.Type")
    known = OPTIONS[driver]
    if not known and given:
        wrong(f"log driver: {driver} does not support options")
    options: dict[str, str] = {}
    written: dict[str, str] = {}
    for key, item in given.items():
        where = f"{path}.Config[{shown(key, 64)}]"
        option = written[key] = line(1024)(where, item)
        if key not in known:
            wrong(f"unknown log opt '{shown(key, 64)}' for {driver} log driver")
        options[key] = known[key](draft, where, option)
    _settle(draft, driver, options)
    draft.host["LogConfig"] = {"Type": driver, "Config": options}
    draft.written["LogConfig"] = {"Type": driver, "Config": {**options, **written}}


def _settle(draft: Draft, driver: str, options: dict[str, str]) -> None:
    rules = draft.rules
    if driver == "json-file":
        # Without a size the file grows until the node's disk is full.
        options.setdefault("max-size", _size_text(rules.max_log_size))
        options.setdefault("max-file", str(rules.max_log_files))
        if options.get("compress") == "true" and options["max-file"] == "1":
            wrong("compress cannot be true when max-file is less than 2 or max-size is not set")
    required = {"syslog": "syslog-address", "gelf": "gelf-address", "fluentd": "fluentd-address"}.get(driver)
    if required and required not in options:
        wrong(f"missing required log opt '{required}' for log driver: {driver}")


def default_log_config(draft: Draft) -> None:
    """What a request without `LogConfig` gets."""
    log_config(draft, "HostConfig.LogConfig", {})


def _max_size(draft: Draft, path: str, value: str) -> str:
    number = -1 if value == "-1" else size(path, value)
    if number == 0:
        wrong(f"invalid {path}: invalid size: '{shown(value, 64)}'")
    if not 0 < number <= draft.rules.max_log_size:
        draft.warn(f"{path} was lowered to {draft.rules.max_log_size} bytes, the most that is allowed")
        number = draft.rules.max_log_size
    return _size_text(number)


def _size_text(number: int) -> str:
    for unit, letter in ((1024**3, "g"), (1024**2, "m"), (1024, "k")):
        if number % unit == 0:
            return f"{number // unit}{letter}"
    return str(number)


def _max_file(draft: Draft, path: str, value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) < 1:
        wrong("\"log opt 'max-file'\" must be a positive integer")
    if int(value) > draft.rules.max_log_files:
        draft.warn(f"{path} was lowered to {draft.rules.max_log_files}, the most that is allowed")
    return str(min(int(value), draft.rules.max_log_files))


def _buffer_size(draft: Draft, path: str, value: str) -> str:
    number = size(path, value)
    if number > draft.rules.max_log_buffer:
        draft.warn(f"{path} was lowered to {draft.rules.max_log_buffer} bytes, the most that is allowed")
    return str(min(number, draft.rules.max_log_buffer))


def _one_of(*words: str) -> Option:
    def read(_draft: Draft, path: str, value: str) -> str:
        if value not in words:
            wrong(f"invalid {path}: {shown(value, 64)}, use one of {', '.join(words)}")
        return value

    return read


def _mode(_draft: Draft, path: str, value: str) -> str:
    if value not in ("blocking", "non-blocking"):
        wrong(f"logger: logging mode not supported: {shown(value, 64)}")
    return value


def _short(_draft: Draft, path: str, value: str) -> str:
    return str(line(256)(path, value))


def _labels(_draft: Draft, path: str, value: str) -> str:
    names = str(line(256)(path, value))
    if any(name.strip().startswith(RESERVED_PREFIXES) for name in names.split(",")):
        forbid("logging reserved labels", path)
    return names


def _labels_pattern(_draft: Draft, path: str, value: str) -> str:
    """A regular expression of the engine's kind, that must not match what we put on an engine's container."""
    pattern = str(line(256)(path, value))
    try:
        found = pattern_of.compile(pattern)
    except pattern_of.error:
        wrong(f"invalid {path}: {shown(value, 64)} is not a regular expression")
    if any(found.search(name) for name in ENGINE_LABELS):
        forbid("logging reserved labels", path)
    return pattern


def _tag(_draft: Draft, path: str, value: str) -> str:
    if not _TAG.fullmatch(value):
        wrong(f"invalid {path}: a tag is plain text here, without templates")
    return value


def _milliseconds(_draft: Draft, path: str, value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,6}(?:ms|s)?", value):
        wrong(f"invalid {path}: {shown(value, 64)}")
    return value


def _count(most: int) -> Option:
    def read(_draft: Draft, path: str, value: str) -> str:
        if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) > most:
            wrong(f"invalid {path}: {shown(value, 64)} is not between 0 and {most}")
        return value

    return read


def _address(*schemes: str) -> Option:
    """`scheme://host[:port]` (or `host:port`), where the host is public or one that the operator listed."""

    def read(draft: Draft, path: str, value: str) -> str:
        try:
            parts = urlsplit(value if "://" in value else f"{schemes[0]}://{value}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            wrong(f"invalid {path}: {shown(value, 64)}")
        if parts.scheme not in schemes:
            forbid(f"logging to {shown(value, 64)}", path)
        if not host or parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
            wrong(f"invalid {path}: {shown(value, 64)}")
        if not _may_dial(draft, host):
            forbid(f"logging to {shown(host, 64)}", path)
        shown_host = f"[{host}]" if ":" in host else host
        bare = f"{shown_host}:{port}" if port else shown_host
        return f"{parts.scheme}://{bare}" if "://" in value else bare

    return read


def _may_dial(draft: Draft, host: str) -> bool:
    """Only the operator's list may be names: the daemon resolves them later, and then to whatever they point at."""
    if host in draft.rules.allowed_log_hosts:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    networks = [ipaddress.ip_network(network) for network in draft.rules.node_private_networks]
    return not any(address in network for network in networks if network.version == address.version)


_COMMON: dict[str, Option] = {
    "labels": _labels,
    "labels-regex": _labels_pattern,
    "env": _short,
    "env-regex": _short,
    "tag": _tag,
    "mode": _mode,
    "max-buffer-size": _buffer_size,
}
_FILES: dict[str, Option] = {
    "max-size": _max_size,
    "max-file": _max_file,
    "compress": _one_of("true", "false"),
}
#: Driver -> option -> how its value is decided. Options that name files of the node (certificates) are in none.
OPTIONS: dict[str, dict[str, Option]] = {
    "none": {},
    "json-file": _COMMON | _FILES,
    "local": {"mode": _COMMON["mode"], "max-buffer-size": _buffer_size} | _FILES,
    "syslog": _COMMON
    | {
        "syslog-address": _address("tcp", "udp"),
        "syslog-facility": _short,
        "syslog-format": _one_of("", "rfc3164", "rfc5424", "rfc5424micro"),
    },
    "gelf": _COMMON
    | {
        "gelf-address": _address("udp", "tcp"),
        "gelf-compression-type": _one_of("gzip", "zlib", "none"),
        "gelf-compression-level": _count(9),
        "gelf-tcp-max-reconnect": _count(100),
        "gelf-tcp-reconnect-delay": _count(60),
    },
    "fluentd": _COMMON
    | {
        "fluentd-address": _address("tcp"),
        "fluentd-async": _one_of("true", "false"),
        "fluentd-async-connect": _one_of("true", "false"),
        "fluentd-max-retries": _count(100),
        "fluentd-retry-wait": _milliseconds,
        "fluentd-sub-second-precision": _one_of("true", "false"),
    },
}
