"""Resource limits of create, and of `POST update`, which takes the same fields: what was asked, checked by itself.

Whether it fits a package, a quota or a node is not known here.
"""

from __future__ import annotations

from typing import Any

from app.domain.policy.draft import Draft
from app.domain.policy.values import (
    Reader,
    Struct,
    array,
    forbid,
    integer,
    mapping,
    shown,
    size,
    text,
    wrong,
)

MEBIBYTE = 1024**2
LEAST_MEMORY = 6 * MEBIBYTE

_ULIMIT = Struct(("Name", "Soft", "Hard"), unknown="refuse")
#: Limits of one process or file alone, which the cgroup bounds anyway.
_FREE_ULIMITS = frozenset({"stack", "fsize", "cpu", "data", "rss"})
#: Limits that are bounded here.
_CAPPED_ULIMITS = frozenset({"nofile", "memlock"})
#: Limits that the kernel counts per uid, thus across accounts, or that give a process rights over others.
_REFUSED_ULIMITS = frozenset({"rtprio", "rttime", "nice", "sigpending", "msgqueue", "locks"})


def memory(what: str) -> Reader:
    """Bytes: 0, or at least 6 MiB."""

    def read(path: str, value: Any) -> int:
        number = integer(path, value)
        if number and number < LEAST_MEMORY:
            wrong(f"Minimum memory {what} allowed is 6MB")
        return number

    return read


def memory_swap(path: str, value: Any) -> int:
    number = integer(path, value)
    if number == -1:
        forbid("unlimited swap", path)
    if number < 0:
        wrong(f"invalid {path}: {number} is negative")
    return number


def swappiness(path: str, value: Any) -> int | None:
    """0 to 100; -1 is how clients up to 23.0 say that none was given."""
    number = integer(path, value)
    if number == -1:
        return None
    if not 0 <= number <= 100:
        wrong(f"Invalid value: {number}, valid memory swappiness range is 0-100")
    return number


def nano_cpus(path: str, value: Any) -> int:
    number = integer(path, value)
    if number < 0:
        wrong(f"invalid {path}: {number} is negative")
    if 0 < number < 10_000_000:
        wrong("Range of CPUs is from 0.01 upwards")
    return number


def cpu_shares(path: str, value: Any) -> int:
    number = integer(path, value)
    if number < 0:
        wrong(f"invalid CPU shares ({number}): value must be a positive integer")
    # The kernel's own range; the engine lets the kernel move a value into it.
    return min(max(number, 2), 262_144) if number else 0


def cpu_period(path: str, value: Any) -> int:
    number = integer(path, value)
    if number and not 1_000 <= number <= 1_000_000:
        wrong("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    return number


def cpu_quota(path: str, value: Any) -> int:
    """Microseconds per period; a negative one is no quota of the tenant's own, so the package's holds."""
    number = integer(path, value)
    if 0 < number < 1_000:
        wrong("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    return max(number, 0)


def pids_limit(draft: Draft, path: str, value: Any) -> None:
    """0 and less ask for no limit, which here is the package's."""
    number = integer(path, value)
    if number > draft.rules.max_pids:
        forbid(f"more than {draft.rules.max_pids} processes", path)
    draft.resources["pids_limit"] = number if number > 0 else None


def blkio_weight(path: str, value: Any) -> int:
    number = integer(path, value)
    if number and not 10 <= number <= 1000:
        wrong("Range of blkio weight is from 10 to 1000")
    return number


def storage_options(draft: Draft, path: str, value: Any) -> None:
    """`StorageOpt`: `size` alone."""
    for key, option in mapping(path, value, 16).items():
        if key != "size":
            forbid(f'the storage option "{shown(key, 64)}"', path)
        draft.resources["storage_size"] = size(path, text(path, option))


def shm_size(draft: Draft, path: str, value: Any) -> None:
    number = integer(path, value)
    if number < 0:
        wrong("SHM size can not be less than 0")
    if number:
        draft.host["ShmSize"] = number


def ulimits(draft: Draft, path: str, value: Any) -> None:
    """`Ulimits[]`; -1 is no limit, which becomes the highest that is allowed here."""
    decided: dict[str, dict[str, Any]] = {}
    written: list[dict[str, Any]] = []
    for index, item in enumerate(array(path, value, 32)):
        where = f"{path}[{index}]"
        fields = _ULIMIT.read(where, item, draft.warnings)
        spelled = text(f"{where}.Name", fields.get("Name", ""))
        name = spelled.lower()
        soft = integer(f"{where}.Soft", fields.get("Soft", 0))
        hard = integer(f"{where}.Hard", fields.get("Hard", 0))
        if soft < -1 or hard < -1:
            wrong(f"invalid {where}: a limit is -1 or more")
        if hard != -1 and (soft > hard or soft == -1):
            wrong(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
        written.append({"Name": spelled, "Hard": hard, "Soft": soft})
        if name in decided:
            wrong(f"invalid {path}: ulimit {name} is given more than once")
        if name in _REFUSED_ULIMITS:
            forbid(f"the ulimit {name}", path)
        elif name == "nproc":
            # Counted per uid across all accounts: whoever sets it is hurt by the neighbours.
            draft.warn(f"{path}: nproc was ignored; PidsLimit bounds the container's processes")
        elif name == "core":
            if soft or hard:
                draft.warn(f"{path}: core was lowered to 0")
            decided[name] = {"Name": name, "Soft": 0, "Hard": 0}
        elif name in _FREE_ULIMITS or name in _CAPPED_ULIMITS:
            decided[name] = {"Name": name, "Soft": soft, "Hard": hard}
        else:
            wrong(f"invalid ulimit type: {shown(name, 64)}")
    draft.host["Ulimits"] = list(decided.values())
    if written:
        draft.written["Ulimits"] = written


def _cap_ulimits(draft: Draft) -> None:
    """Bring `nofile` and `memlock` under their caps, once the memory limit is known."""
    locked = draft.resources.get("memory") or draft.rules.max_locked_memory
    caps = {"nofile": draft.rules.max_open_files, "memlock": locked}
    for limit in draft.host.get("Ulimits", []):
        cap = caps.get(limit["Name"])
        if cap is None:
            continue
        if max(limit["Soft"], limit["Hard"]) > cap:
            forbid(f"{limit['Name']} above {cap}", "HostConfig.Ulimits")
        for side in ("Soft", "Hard"):
            if limit[side] == -1:
                limit[side] = cap
                draft.warn(f"HostConfig.Ulimits: {limit['Name']} was set to {cap}, the most that is allowed")


def settle(draft: Draft) -> None:
    """What depends on more than one resource field."""
    given = draft.resources.get
    limit, swap, reservation = given("memory", 0), given("memory_swap", 0), given("memory_reservation", 0)
    if swap and not limit:
        wrong("You should always set the Memory limit when using Memoryswap limit, see usage")
    if 0 < swap < limit:
        wrong("Minimum memoryswap limit should be larger than memory limit, see usage")
    if limit and reservation > limit:
        wrong("Minimum memory limit can not be less than memory reservation limit, see usage")
    if given("nano_cpus") and given("cpu_period"):
        wrong("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if given("nano_cpus") and given("cpu_quota"):
        wrong("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if limit and draft.host.get("ShmSize", 0) > limit:
        wrong("invalid HostConfig.ShmSize: it is more than HostConfig.Memory")
    _cap_ulimits(draft)
