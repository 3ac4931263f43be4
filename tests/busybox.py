"""A busybox image as an archive that `docker load` takes, made from the machine's static busybox.

No test needs a registry for it. The same arguments always give the same image id.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

BUSYBOX = "/bin/busybox"

_FOLDERS = {"bin": 0o755, "dev": 0o755, "etc": 0o755, "proc": 0o755, "root": 0o700, "sys": 0o755, "tmp": 0o1777}
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


@cache
def layer() -> bytes:
    """The root file system: busybox, a link for each of its applets, two accounts and /tmp."""
    listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, timeout=10, check=True)
    with open(BUSYBOX, "rb") as file:
        binary = file.read()
    members: list[tuple[tarfile.TarInfo, bytes]] = []
    for folder, mode in _FOLDERS.items():
        members.append((_member(folder, tarfile.DIRTYPE, mode), b""))
    members.append((_member("bin/busybox", tarfile.REGTYPE, 0o755), binary))
    for applet in sorted(set(listed.stdout.split()) - {"busybox"}):
        members.append((_member(f"bin/{applet}", tarfile.SYMTYPE, 0o777, "busybox"), b""))
    for name, text in _FILES.items():
        members.append((_member(name, tarfile.REGTYPE, 0o644), text.encode()))
    return tar(members)


def config(**extra: Any) -> dict[str, Any]:
    """The image's configuration; `extra` is put into its `config` object (Labels, Env, ...)."""
    return {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": "2024-05-06T07:08:09.123456789Z",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], **extra},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer()).hexdigest()}"]},
        "history": [{"created": "2024-05-06T07:08:09Z", "created_by": "busybox-static"}],
    }


def image_id(**extra: Any) -> str:
    """The id of `archive(**extra)`."""
    return f"sha256:{hashlib.sha256(_json(config(**extra))).hexdigest()}"


def archive(tags: Iterable[str] = ("busybox:latest",), **extra: Any) -> bytes:
    """The image as `docker save` writes it."""
    digest = hashlib.sha256(layer()).hexdigest()
    name = f"{image_id(**extra).removeprefix('sha256:')}.json"
    manifest = [{"Config": name, "RepoTags": list(tags) or None, "Layers": [f"{digest}/layer.tar"]}]
    return files(
        {
            f"{digest}/layer.tar": layer(),
            name: _json(config(**extra)),
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


def files(contents: Mapping[str, bytes]) -> bytes:
    """A tar of regular files."""
    return tar([(_member(name, tarfile.REGTYPE, 0o644), data) for name, data in contents.items()])


def tar(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as out:
        for member, data in members:
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _member(name: str, kind: bytes, mode: int, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname = kind, mode, target
    return member


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
