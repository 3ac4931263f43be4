"""A busybox image from a static busybox, as an archive that `docker load` takes.

It gives every account something to run where no registry can be reached. The same binary always makes the same image
id: all times are 0 and the order is fixed.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

TAGS = ["busybox:latest", "busybox:1.35"]

_FOLDERS = ["bin", "dev", "etc", "home", "lib", "proc", "root", "sbin", "sys", "tmp", "usr", "usr/bin", "usr/sbin"]
_FOLDERS += ["var", "var/spool", "var/spool/mail", "var/www"]
_MODES = {"root": 0o700, "tmp": 0o1777}

_USERS = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
sync:x:4:100:sync:/bin:/bin/sync
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
_GROUP = """\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
lp:x:7:
mail:x:8:
utmp:x:43:
www-data:x:33:
staff:x:50:
users:x:100:
nogroup:x:65534:
"""
_NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
_SHADOW = "root:*:10933:0:99999:7:::\nnobody:*:10933:0:99999:7:::\n"


def binary(home: Path) -> Path:
    """The static busybox: one fetched by us, else the machine's own."""
    fetched = home / "busybox" / "bin" / "busybox"
    return fetched if fetched.exists() else Path("/bin/busybox")


def archive(busybox: Path) -> bytes:
    """The image as a tar with manifest, configuration and one layer."""
    layer = _layer(busybox)
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": _architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": ["sh"],
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "busybox-static", "comment": "sdc-docker"}],
    }
    config_json = json.dumps(config, sort_keys=True).encode()
    config_name = hashlib.sha256(config_json).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": TAGS, "Layers": [f"{digest}/layer.tar"]}]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        _add_folder(tar, digest, 0o755)
        _add_file(tar, f"{digest}/layer.tar", layer)
        _add_file(tar, config_name, config_json)
        _add_file(tar, "manifest.json", json.dumps(manifest).encode())
    return buffer.getvalue()


def _layer(busybox: Path) -> bytes:
    listed = subprocess.run([str(busybox), "--list"], capture_output=True, text=True, timeout=10, check=True)
    applets = sorted(set(listed.stdout.split()) - {"busybox"})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for folder in _FOLDERS:
            _add_folder(tar, folder, _MODES.get(folder, 0o755))
        _add_file(tar, "bin/busybox", busybox.read_bytes(), 0o755)
        for applet in applets:
            _add_link(tar, f"bin/{applet}", "bin/busybox", tarfile.LNKTYPE)
        # Scripts ask for it there.
        _add_link(tar, "usr/bin/env", "../../bin/env", tarfile.SYMTYPE)
        for name, text in (
            ("etc/passwd", _USERS),
            ("etc/group", _GROUP),
            ("etc/nsswitch.conf", _NSSWITCH),
        ):
            _add_file(tar, name, text.encode())
        _add_file(tar, "etc/shadow", _SHADOW.encode(), 0o600)
    return buffer.getvalue()


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}.get(platform.machine(), platform.machine())


def _add_folder(tar: tarfile.TarFile, name: str, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, mode
    tar.addfile(member)


def _add_link(tar: tarfile.TarFile, name: str, target: str, kind: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, target, 0o755
    tar.addfile(member)


def _add_file(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))
