"""`Binds`, `Mounts`, `Tmpfs`, `Volumes`, `VolumesFrom`: volumes and memory file systems; never a path of the node.

All of them become `VolumeMount` and `TmpfsMount`, so that no engine ever parses a tenant's bind string.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from app.domain.names import check_volume_name
from app.domain.policy import labels
from app.domain.policy.draft import Draft
from app.domain.policy.values import (
    Struct,
    array,
    boolean,
    forbid,
    integer,
    line,
    mapping,
    shown,
    size,
    text,
    wrong,
    wrong_type,
)
from app.domain.spec import TmpfsMount, VolumeMount
from app.errors import NotImplemented as NotAvailable

MOST_ANONYMOUS_VOLUMES = 32
#: Of a mount point, which an index of the database holds whole.
MOST_TARGET_BYTES = 2048

_RELABEL = frozenset({"z", "Z"})
_PROPAGATION = frozenset({"shared", "slave", "private", "rshared", "rslave", "rprivate"})
_FLAGS = frozenset({"rw", "ro", "exec", "noexec", "nosuid", "nodev"})
_NUMBERS = frozenset({"uid", "gid", "nr_inodes"})
_KERNEL_PATHS = ("/proc", "/sys", "/dev")

_MOUNT = Struct(
    (
        "Type",
        "Source",
        "Target",
        "ReadOnly",
        "Consistency",
        "BindOptions",
        "VolumeOptions",
        "ImageOptions",
        "TmpfsOptions",
        "ClusterOptions",
    ),
    unknown="refuse",
)
_VOLUME_OPTIONS = Struct(("NoCopy", "Labels", "Subpath", "DriverConfig"), unknown="refuse")
_DRIVER = Struct(("Name", "Options"), unknown="refuse")
_TMPFS_OPTIONS = Struct(("SizeBytes", "Mode", "Options"), unknown="refuse")


def clean_target(path: str, value: str, complaint: str) -> str:
    """The mount point `value`, cleaned. `complaint` is put before what is wrong. Raises InvalidParameter, Forbidden."""
    target = line(4096)(path, value)
    if not target:
        wrong(f"{complaint}field Target must not be empty")
    if not target.startswith("/"):
        wrong(f"{complaint}invalid mount path: '{shown(target)}' mount path must be absolute")
    target = "/" + posixpath.normpath(target).lstrip("/")
    if len(target.encode()) > MOST_TARGET_BYTES:
        wrong(f"{complaint}a mount path has at most {MOST_TARGET_BYTES} bytes")
    if target == "/":
        wrong(f"{complaint}invalid specification: destination can't be '/'")
    _check_place(path, target, _KERNEL_PATHS)
    return target


def _check_place(path: str, target: str, kernel_paths: tuple[str, ...]) -> None:
    for kernel in kernel_paths:
        if (target == kernel or target.startswith(kernel + "/")) and not (target + "/").startswith("/dev/shm/"):  # noqa: S108
            forbid(f"a mount at {shown(target)}", path)


def check_image_volumes(targets: Iterable[str]) -> None:
    """An image's own `Volumes`. Raises Forbidden.

    /dev with an image's files in it takes the masks off /proc. What images for systemd have at /sys/fs/cgroup does no
    harm.
    """
    for target in targets:
        _check_place("the image's Volumes", posixpath.normpath(f"/{target.lstrip('/')}"), ("/proc", "/dev"))


def binds(draft: Draft, path: str, value: Any) -> None:
    """`[volume:]target[:mode]`. A host path is refused; without a name the volume is anonymous."""
    for item in array(path, value, draft.rules.max_mounts):
        bind = line(8192)(path, item)
        draft.volumes.append(_bind(draft, path, bind))
        draft.binds.append(bind)


def _bind(draft: Draft, path: str, bind: str) -> VolumeMount:
    invalid = f"invalid volume specification: '{shown(bind)}'"
    parts = bind.split(":")
    if not parts[0] or len(parts) > 3:
        wrong(invalid)
    if len(parts) == 1:
        source, target, mode = "", parts[0], ""
    elif len(parts) == 2:
        source, target, mode = parts[0], parts[1], ""
        if _is_mode(target):
            # A mode needs a source: `/data:ro` is neither a volume nor a host path.
            wrong(invalid)
    else:
        source, target, mode = parts
    if source.startswith("/"):
        forbid("host paths", f'{path} "{shown(bind)}"')
    complaint = f'{invalid}: invalid mount config for type "volume": '
    flags = _bind_mode(draft, path, mode, complaint)
    if source:
        check_volume_name(source, short=True)
    return VolumeMount(
        target=clean_target(path, target, complaint),
        name=source or None,
        read_only="ro" in flags,
        no_copy="nocopy" in flags,
        driver=draft.volume_driver,
        origin="Binds",
    )


def _is_mode(word: str) -> bool:
    known = {"ro", "rw", "nocopy", "consistent", "cached", "delegated"} | _RELABEL | _PROPAGATION
    return all(flag in known for flag in word.split(",")) or not word


def _bind_mode(draft: Draft, path: str, mode: str, complaint: str) -> set[str]:
    if not mode:
        return set()
    given = mode.split(",")
    flags = set(given)
    if flags & _PROPAGATION:
        wrong(f"{complaint}field BindOptions must not be specified")
    if flags - {"ro", "rw", "nocopy"} - _RELABEL or len(flags) < len(given) or {"ro", "rw"} <= flags:
        wrong(f"invalid mode: {shown(mode, 64)}")
    if flags & _RELABEL:
        draft.warn(f"{path}: the mode {shown(mode, 64)} asks for an SELinux label, which is not set here")
    return flags


def mounts(draft: Draft, path: str, value: Any) -> None:
    """`Mounts[]` of the types volume and tmpfs."""
    for index, item in enumerate(array(path, value, draft.rules.max_mounts)):
        _mount(draft, f"{path}[{index}]", item)


def _mount(draft: Draft, path: str, value: Any) -> None:
    fields = _MOUNT.read(path, value, draft.warnings)
    kind = text(f"{path}.Type", fields.get("Type", ""))
    source = line(4096)(f"{path}.Source", fields.get("Source", ""))
    read_only = boolean(f"{path}.ReadOnly", fields.get("ReadOnly", False))
    text(f"{path}.Consistency", fields.get("Consistency", ""))
    complaint = f'invalid mount config for type "{shown(kind, 64)}": '
    match kind:
        case "bind":
            forbid("host paths", f'{path}.Type "bind"')
        case "npipe" | "cluster":
            forbid(f"{kind} mounts", f"{path}.Type")
        case "image":
            raise NotAvailable("image mounts are not available here; use a volume")
        case "volume" | "tmpfs":
            pass
        case _:
            wrong(f"{complaint}mount type unknown")
    if "ClusterOptions" in fields:
        forbid("cluster volumes", f"{path}.ClusterOptions")
    for foreign in ("BindOptions", "ImageOptions", "TmpfsOptions" if kind == "volume" else "VolumeOptions"):
        if foreign in fields:
            wrong(f"{complaint}field {foreign} must not be specified")
    target = clean_target(f"{path}.Target", text(f"{path}.Target", fields.get("Target", "")), complaint)
    if kind == "tmpfs":
        if source:
            wrong(f"{complaint}field Source must not be specified")
        _tmpfs_mount(draft, f"{path}.TmpfsOptions", fields.get("TmpfsOptions", {}), target, read_only)
        return
    if source:
        check_volume_name(source, complaint, short=True)
    elif read_only:
        wrong(f"{complaint}must not set ReadOnly mode when using anonymous volumes")
    options = _volume_options(draft, f"{path}.VolumeOptions", fields.get("VolumeOptions", {}))
    draft.volumes.append(VolumeMount(target=target, name=source or None, read_only=read_only, **options))


def _volume_options(draft: Draft, path: str, value: Any) -> dict[str, Any]:
    fields = _VOLUME_OPTIONS.read(path, value, draft.warnings)
    if text(f"{path}.Subpath", fields.get("Subpath", "")):
        # Engines are spoken to at 1.44 at most: they would ignore it and mount the whole volume.
        wrong(f"{path}.Subpath needs an engine with API 1.45")
    driver, volume_size = _driver_config(draft, f"{path}.DriverConfig", fields.get("DriverConfig", {}))
    return {
        "no_copy": boolean(f"{path}.NoCopy", fields.get("NoCopy", False)),
        "labels": labels.read(draft, f"{path}.Labels", fields.get("Labels", {})),
        "driver": driver,
        "size": volume_size,
    }


def _driver_config(draft: Draft, path: str, value: Any) -> tuple[str, int]:
    """(driver, size). Any other option of the local driver mounts what belongs to the node: `o=bind,device=/etc`."""
    fields = _DRIVER.read(path, value, draft.warnings)
    driver = check_driver(draft, f"{path}.Name", text(f"{path}.Name", fields.get("Name", "")))
    volume_size = 0
    for key, option in mapping(f"{path}.Options", fields.get("Options", {}), 16).items():
        if key != "size":
            forbid(f'the volume driver option "{shown(key, 64)}"', f"{path}.Options")
        volume_size = size(f"{path}.Options", text(f"{path}.Options", option))
    return driver, volume_size


def check_driver(draft: Draft, path: str, driver: str) -> str:
    """A volume driver that this data center has; "" stays "" (the default one). Raises Forbidden."""
    if driver and driver not in draft.rules.allowed_volume_drivers:
        forbid(f'volume driver "{shown(driver, 64)}" is not available', path)
    return driver


def volume_driver(draft: Draft, path: str, value: Any) -> None:
    """`VolumeDriver`, the driver of the volumes that `Binds` and `Volumes` make."""
    draft.volume_driver = draft.written["VolumeDriver"] = check_driver(draft, path, text(path, value))


def volumes(draft: Draft, path: str, value: Any) -> None:
    """`Config.Volumes`: each key is a path, colons included; each becomes an anonymous volume."""
    for key, item in mapping(path, value, MOST_ANONYMOUS_VOLUMES).items():
        if item is not None and not isinstance(item, dict):
            wrong_type(f"{path}[{shown(key, 64)}]", item, "object")
        target = clean_target(path, key, "")
        if target not in draft.anonymous:
            draft.anonymous.append(target)


def volumes_from(draft: Draft, path: str, value: Any) -> None:
    """`container[:ro|rw]`."""
    for item in array(path, value, 16):
        source = line(256)(path, item)
        container, colon, mode = source.partition(":")
        if not container:
            wrong("volumes-from specification cannot be an empty string")
        if colon and mode not in ("ro", "rw"):
            wrong(f"invalid mode: {shown(mode, 64)}")
        draft.volumes_from.append((container.removeprefix("/"), mode or "rw"))


def tmpfs(draft: Draft, path: str, value: Any) -> None:
    """`Tmpfs`: path -> mount options as `mount -o` has them."""
    written: dict[str, str] = {}
    for key, item in mapping(path, value, draft.rules.max_mounts).items():
        target = clean_target(path, key, "")
        options = written[key] = line(1024)(f"{path}[{shown(key, 64)}]", item if item is not None else "")
        _add_tmpfs(draft, path, target, [tuple(o.split("=", 1)) for o in options.split(",") if o], origin="Tmpfs")
    draft.written["Tmpfs"] = written


def _tmpfs_mount(draft: Draft, path: str, value: Any, target: str, read_only: bool) -> None:
    fields = _TMPFS_OPTIONS.read(path, value, draft.warnings)
    size_bytes = integer(f"{path}.SizeBytes", fields.get("SizeBytes", 0))
    if size_bytes < 0:
        wrong(f"invalid {path}.SizeBytes: {size_bytes} is negative")
    mode = integer(f"{path}.Mode", fields.get("Mode", 0))
    if not 0 <= mode <= 0o1777:
        wrong(f"invalid {path}.Mode: {mode} is not between 0 and 01777")
    options: list[tuple[str, ...]] = []
    for item in array(f"{path}.Options", fields.get("Options", []), 32):
        words = array(f"{path}.Options", item, 4096)
        if len(words) not in (1, 2):
            wrong('invalid mount config for type "tmpfs": invalid option array length')
        option = tuple(line(64)(f"{path}.Options", word) for word in words)
        if option[0] in ("size", "mode", "ro", "rw"):
            wrong(f'invalid mount config for type "tmpfs": invalid option: {option[0]}')
        options.append(option)
    if size_bytes:
        options.append(("size", str(size_bytes)))
    if mode:
        options.append(("mode", f"{mode:o}"))
    if read_only:
        options.append(("ro",))
    _add_tmpfs(draft, path, target, options, origin="Mounts")


def _add_tmpfs(draft: Draft, path: str, target: str, options: list[tuple[str, ...]], *, origin: str) -> None:
    size_bytes: int | None = None
    mode: int | None = None
    flags: list[str] = []
    for name, *values in options:
        argument = values[0] if values else None
        if name == "size" and argument is not None:
            size_bytes = size(path, argument) or None
        elif name == "mode" and argument is not None and re.fullmatch(r"0*[0-7]{1,4}", argument):
            mode = int(argument, 8)
            if mode > 0o1777:
                _bad_option(name, argument)
        elif name in _NUMBERS and argument is not None and re.fullmatch(r"[0-9]{1,10}", argument):
            flags.append(f"{name}={int(argument)}")
        elif name in _FLAGS and argument is None:
            flags.append(name)
        else:
            _bad_option(name, argument)
    draft.tmpfs.append(
        TmpfsMount(
            target=target,
            size=size_bytes,
            mode=mode,
            options=tuple(flag for flag in flags if flag not in ("ro", "rw")),
            read_only="ro" in flags,
            origin=origin,
        )
    )


def _bad_option(name: str, argument: str | None) -> NoReturn:
    wrong(f'Invalid tmpfs option "{shown(name if argument is None else f"{name}={argument}", 64)}"')


def settle(draft: Draft) -> None:
    """No two mounts at one place, and an anonymous volume of `Volumes` only where nothing else is."""
    taken: set[str] = set()
    for target in [mount.target for mount in draft.volumes] + [mount.target for mount in draft.tmpfs]:
        if target in taken:
            wrong(f"Duplicate mount point: {shown(target)}")
        taken.add(target)
    for mount in draft.volumes:
        if mount.name is not None:
            # What an engine finds out last.
            check_volume_name(mount.name)
    for target in draft.anonymous:
        if target in taken:
            draft.covered.append(target)
        else:
            draft.volumes.append(VolumeMount(target=target, driver=draft.volume_driver, origin="Volumes"))
