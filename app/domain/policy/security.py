"""Rights: capabilities, security options, sysctls, namespaces of the node, runtimes, masked paths, restarts."""

from __future__ import annotations

import re
from typing import Any

from app.domain.policy.draft import Draft, field_name
from app.domain.policy.network import container_reference
from app.domain.policy.rules import DEFAULT_CAPABILITIES
from app.domain.policy.values import (
    Struct,
    array,
    forbid,
    integer,
    line,
    list_of,
    mapping,
    shown,
    text,
    wrong,
)
from app.domain.spec import Namespace

CAPABILITIES = DEFAULT_CAPABILITIES | frozenset(
    """
    AUDIT_CONTROL AUDIT_READ BLOCK_SUSPEND BPF CHECKPOINT_RESTORE DAC_READ_SEARCH IPC_LOCK IPC_OWNER LEASE
    LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE NET_ADMIN NET_BROADCAST PERFMON SYSLOG SYS_ADMIN SYS_BOOT SYS_MODULE SYS_NICE
    SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM
    """.split()  # noqa: SIM905
)
#: What every engine masks; a list without one of these would unmask it.
MASKED_PATHS = frozenset(
    {
        "/proc/acpi",
        "/proc/asound",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/sys/firmware",
    }
)
READ_ONLY_PATHS = frozenset({"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"})

_NETWORK_SYSCTL = re.compile(r"net\.[a-z0-9_]+(?:\.[a-z0-9_]+)*")
_IPC_SYSCTLS = frozenset(
    """
    kernel.shmall kernel.shmmax kernel.shmmni kernel.shm_rmid_forced kernel.msgmax kernel.msgmnb kernel.msgmni
    kernel.sem fs.mqueue.msg_default fs.mqueue.msg_max fs.mqueue.msgsize_default fs.mqueue.msgsize_max
    fs.mqueue.queues_max
    """.split()  # noqa: SIM905
)
_GROUP = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,63}")
_RESTART = Struct(("Name", "MaximumRetryCount"))
_RESTART_NAMES = ("no", "always", "on-failure", "unless-stopped")


def _capability(path: str, value: Any) -> str:
    """Upper case, with or without CAP_ as typed; an unknown one is refused in the engine's words."""
    name = text(path, value).upper()
    bare = name.removeprefix("CAP_")
    if bare not in CAPABILITIES and name != "ALL":
        wrong(f'invalid {field_name(path.partition("[")[0])}: unknown capability: "CAP_{shown(bare, 64)}"')
    return name


def cap_add(draft: Draft, path: str, value: Any) -> None:
    given = _strings(value)
    names: list[str] = list_of(_capability, 64)(path, given)
    for name in names:
        if name.removeprefix("CAP_") not in DEFAULT_CAPABILITIES:
            forbid(f"the capability {name}", path)
    draft.host["CapAdd"] = names
    if given:
        draft.written["CapAdd"] = given


def cap_drop(draft: Draft, path: str, value: Any) -> None:
    given = _strings(value)
    draft.host["CapDrop"] = list_of(_capability, 64)(path, given)
    if given:
        draft.written["CapDrop"] = given


def _strings(value: Any) -> Any:
    """Clients up to 1.12 may send one string for a list (Go's `strslice`)."""
    return [value] if isinstance(value, str) else value


def security_options(draft: Draft, path: str, value: Any) -> None:
    """`no-new-privileges` alone; both separators that engines know are read."""
    for item in array(path, value, 32):
        option = text(path, item)
        if option not in ("no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"):
            forbid(f'the security option "{shown(option, 64)}"', path)
    draft.host["SecurityOpt"] = ["no-new-privileges"] if value else []
    if value:
        draft.written["SecurityOpt"] = value


def sysctls(draft: Draft, path: str, value: Any) -> None:
    """Those that the kernel keeps per network or IPC namespace."""
    decided = {}
    for key, item in mapping(path, value, 64).items():
        if len(key) > 128 or not (_NETWORK_SYSCTL.fullmatch(key) or key in _IPC_SYSCTLS):
            forbid(f'the sysctl "{shown(key, 64)}"', path)
        decided[key] = line(256)(f"{path}[{key}]", item)
    draft.host["Sysctls"] = decided


def runtime(draft: Draft, path: str, value: Any) -> None:
    name = text(path, value)
    if name:
        if name not in draft.rules.allowed_runtimes:
            forbid(f'unknown or disallowed runtime "{shown(name, 64)}"', path)
        draft.host["Runtime"] = name


def isolation(draft: Draft, path: str, value: Any) -> None:
    name = text(path, value)
    if name.lower() not in ("", "default"):
        wrong(f'invalid isolation: "{shown(name, 64)}" is not supported on linux')
    if name:
        draft.host["Isolation"] = name


def oom_score(path: str, value: Any) -> int:
    score = integer(path, value)
    if not -1000 <= score <= 1000:
        wrong(f"Invalid value {score}, range for oom score adj is [-1000, 1000]")
    if score < 0:
        forbid("a negative out-of-memory score", path)
    return score


def ipc_mode(draft: Draft, path: str, value: Any) -> None:
    mode = line(300)(path, value)
    if mode == "host":
        forbid("the host's IPC namespace", path)
    if mode.startswith("container:"):
        draft.ipc = Namespace("container", container_reference(mode))
    elif mode in ("", "none", "private", "shareable"):
        draft.ipc = Namespace(mode)
    else:
        wrong(f"invalid IPC mode: {shown(mode, 64)}")


def pid_mode(draft: Draft, path: str, value: Any) -> None:
    mode = line(300)(path, value)
    if mode == "host":
        forbid("the host's PID namespace", path)
    if mode.startswith("container:"):
        draft.pid = Namespace("container", container_reference(mode))
    elif mode:
        wrong(f"invalid PID mode: {shown(mode, 64)}")


def uts_mode(_draft: Draft, path: str, value: Any) -> None:
    _host_or_nothing(path, text(path, value), "UTS")


def userns_mode(_draft: Draft, path: str, value: Any) -> None:
    _host_or_nothing(path, text(path, value), "user namespace")


def _host_or_nothing(path: str, mode: str, what: str) -> None:
    if mode == "host":
        forbid(f"the host's {what.removesuffix(' namespace')} namespace", path)
    if mode:
        wrong(f"invalid {what} mode: {shown(mode, 64)}")


def cgroupns_mode(_draft: Draft, path: str, value: Any) -> None:
    """Always private: `create` writes that, whatever a node's default is."""
    mode = text(path, value)
    if mode == "host":
        forbid("the host's cgroup namespace", path)
    if mode not in ("", "private"):
        wrong(f"invalid cgroup namespace mode: {shown(mode, 64)}")


def kernel_paths(defaults: frozenset[str], what: str) -> Any:
    """A decision on `MaskedPaths` or `ReadonlyPaths`: only a list that leaves the engine's defaults in force.

    An empty list is the dangerous one: it unmasks everything, and is what `systempaths=unconfined` becomes.
    """

    def decide(draft: Draft, path: str, value: Any) -> None:
        given = set(list_of(line(4096), 256)(path, value))
        if not defaults <= given:
            forbid(what, path)
        if given - defaults:
            draft.warn(f"{path}: the engine's own list is used")

    return decide


def groups(path: str, value: Any) -> list[str]:
    names = list_of(text, 32)(path, value)
    for name in names:
        if not _GROUP.fullmatch(name) or (name.isdigit() and int(name) > 2**31 - 1):
            wrong(f"invalid {path}: Unable to find group {shown(name, 64)}")
    return names


def restart_policy(draft: Draft, path: str, value: Any) -> None:
    """Checked as engines from 25.0 on do."""
    fields = _RESTART.read(path, value, draft.warnings)
    name = text(f"{path}.Name", fields.get("Name", ""))
    retries = integer(f"{path}.MaximumRetryCount", fields.get("MaximumRetryCount", 0))
    if not name:
        name, retries = "no", 0
    if name not in _RESTART_NAMES:
        wrong(
            f"invalid restart policy: unknown policy '{shown(name, 64)}'; use one of 'no', 'always', 'on-failure', "
            "or 'unless-stopped'"
        )
    if name != "on-failure" and retries:
        words = "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        wrong(words + (" and cannot be negative" if retries < 0 else ""))
    if retries < 0:
        wrong("invalid restart policy: maximum retry count cannot be negative")
    if retries > 100:
        wrong("invalid restart policy: maximum retry count cannot be more than 100")
    draft.host["RestartPolicy"] = {"Name": name, "MaximumRetryCount": retries}


def console_size(path: str, value: Any) -> list[int]:
    """[height, width]."""
    sides = [integer(path, side) for side in array(path, value, 2)]
    if any(not 0 <= side <= 10_000 for side in sides):
        wrong(f"invalid {path}: a side is between 0 and 10000")
    return [*sides, 0, 0][:2]
