"""`Config`: the process in the container, its environment, its health check, its stop."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from app.domain import ports, signals
from app.domain.policy.draft import Draft
from app.domain.policy.values import (
    INT64_MAX,
    Struct,
    forbid,
    integer,
    line,
    list_of,
    mapping,
    shown,
    text,
    words,
    wrong,
    wrong_type,
)

SECOND = 1_000_000_000
MOST_ENVIRONMENT_BYTES = 1024 * 1024
MOST_ID = 2**31 - 1

_HOST = re.compile(r"[a-zA-Z0-9_](?:[a-zA-Z0-9_-]*[a-zA-Z0-9_])?(?:\.[a-zA-Z0-9_](?:[a-zA-Z0-9_-]*[a-zA-Z0-9_])?)*")
#: A working directory that is an open file of runc's leaves the container (CVE-2024-21626).
_OPEN_FILES = re.compile(r"/proc/(?:[^/]+/)*fd(?:info)?(?:/.*)?|/dev/fd(?:/.*)?")
_HEALTH = Struct(("Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"))


def _dns_name(most: int, what: str) -> Any:
    def read(path: str, value: Any) -> str:
        name = text(path, value)
        if name and (len(name) > most or not _HOST.fullmatch(name)):
            wrong(f"invalid {what}: {shown(name, 80)}")
        return name

    return read


hostname = _dns_name(63, "hostname")
domainname = _dns_name(253, "domain name")


def image(draft: Draft, path: str, value: Any) -> None:
    """The reference as typed; the service resolves it within the account."""
    draft.image = line(512)(path, value)


def user(path: str, value: Any) -> str:
    """`name|uid[:group|gid]`."""
    name: str = line(256)(path, value)
    for part in name.split(":"):
        if part.isascii() and part.isdigit() and (len(part) > 10 or int(part) > MOST_ID):
            wrong(f"invalid {path}: uids and gids must be in range 0-{MOST_ID}")
    return name


def environment(path: str, value: Any) -> list[str]:
    """`NAME=value` lines; a line without `=` takes the name out of the image's environment."""
    lines: list[str] = list_of(text, 8192)(path, value)
    total = 0
    for item in lines:
        if not item.partition("=")[0]:
            wrong(f"invalid environment variable: {shown(item, 64)}")
        total += len(item.encode()) + 1
    if total > MOST_ENVIRONMENT_BYTES:
        wrong(f"invalid {path}: more than {MOST_ENVIRONMENT_BYTES} bytes")
    return lines


def working_dir(path: str, value: Any) -> str:
    """An absolute path, as typed. Use it for an image's own `WorkingDir` too. Raises InvalidParameter, Forbidden."""
    directory: str = line(4096)(path, value)
    if not directory:
        return ""
    if not directory.startswith("/"):
        wrong(f"the working directory '{shown(directory)}' is invalid, it needs to be an absolute path")
    # normpath keeps a leading "//", which the kernel reads as "/".
    if _OPEN_FILES.fullmatch("/" + posixpath.normpath(directory).lstrip("/")):
        forbid(f"the working directory {shown(directory)}", path)
    return directory


def exposed_ports(draft: Draft, path: str, value: Any) -> None:
    """Keys `n[-m][/proto]`, ranges expanded; the values are empty objects."""
    for key, item in mapping(path, value, draft.rules.max_exposed_ports).items():
        if item is not None and not isinstance(item, dict):
            wrong_type(f"{path}[{shown(key, 64)}]", item, "object")
        first, last, protocol = ports.expand(key)
        if last - first >= draft.rules.max_exposed_ports - len(draft.exposed):
            wrong(f"invalid {path}: more than {draft.rules.max_exposed_ports} ports")
        for port in range(first, last + 1):
            draft.exposed[f"{port}/{protocol}"] = {}


def healthcheck(draft: Draft, path: str, value: Any) -> None:
    """Each probe is an exec as root on the node, so that probes more often than once a second are slowed down."""
    fields = _HEALTH.read(path, value, draft.warnings)
    check: dict[str, Any] = {}
    if "Test" in fields:
        check["Test"] = words(f"{path}.Test", fields["Test"])
        if len(check["Test"]) > 128:
            wrong(f"invalid {path}.Test: more than 128 arguments")
    for name in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        nanoseconds = integer(f"{path}.{name}", fields.get(name, 0))
        if nanoseconds == 0:
            continue
        if nanoseconds < 1_000_000:
            wrong(f"{name} in Healthcheck cannot be less than 1ms")
        if nanoseconds < SECOND:
            draft.warn(f"{path}.{name} was raised to 1s")
        check[name] = min(max(nanoseconds, SECOND), INT64_MAX)
    retries = integer(f"{path}.Retries", fields.get("Retries", 0))
    if retries < 0:
        wrong("Retries in Healthcheck cannot be negative")
    if retries > 100:
        wrong("Retries in Healthcheck cannot be more than 100")
    if retries:
        check["Retries"] = retries
    if check:
        draft.config["Healthcheck"] = check


def stop_signal(path: str, value: Any) -> str:
    name = text(path, value)
    if name:
        signals.parse(name)
    return name


def stop_timeout(draft: Draft, path: str, value: Any) -> None:
    """Seconds. A stop that never ends would hold up the drain of a node, so -1 has no meaning here."""
    seconds = integer(path, value)
    if seconds < 0:
        wrong(f"invalid {path}: {seconds} is negative")
    if seconds > draft.rules.max_stop_timeout:
        forbid(f"a stop timeout of more than {draft.rules.max_stop_timeout} seconds", path)
    draft.config["StopTimeout"] = seconds
