"""The configuration of an image that a commit has made, written anew without what is an engine's or ours.

An engine writes into it the container's id there, its configuration as the engine was given it, and all its labels. An
image's id is the digest of this text, so that what is not to be told must not be in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.domain.container_view import LABEL_PREFIX

Json = dict[str, Any]


def rewritten(seen: Json, steps: Sequence[Json], *, image: str, told: Sequence[str] = ()) -> bytes:
    """The configuration of the image that `seen` inspects. `steps` are its history, newest first, as engines tell it;
    `image` is what the tenant called the container's own image, `told` what its links say in the environment: they are
    the container's."""
    config = dict(seen.get("Config") or {})
    if told:
        config["Env"] = [line for line in config.get("Env") or [] if line not in told]
    config["Labels"] = {k: v for k, v in (config.get("Labels") or {}).items() if not k.startswith(LABEL_PREFIX)} or None
    config["Image"] = image
    layers = list((seen.get("RootFS") or {}).get("Layers") or [])
    about: Json = {
        "architecture": seen.get("Architecture", ""),
        "config": config,
        "created": seen.get("Created"),
        "docker_version": seen.get("DockerVersion", ""),
        "history": _history(steps, len(layers)),
        "os": seen.get("Os") or "linux",
        "rootfs": {"type": "layers", "diff_ids": layers},
    }
    for key, name in (("variant", "Variant"), ("author", "Author"), ("comment", "Comment")):
        if seen.get(name):
            about[key] = seen[name]
    return json.dumps(about, separators=(",", ":"), sort_keys=True).encode()


def _history(steps: Sequence[Json], layers: int) -> list[Json]:
    """Engines do not tell which steps made a layer. One that weighs something did; of the others the newest are taken
    for it until the numbers agree, for they all weigh the same."""
    weighing = sum(1 for step in steps if step.get("Size"))
    spare = max(layers - weighing, 0)
    history: list[Json] = []
    for step in steps:
        moment = datetime.fromtimestamp(step.get("Created") or 0, UTC).isoformat().replace("+00:00", "Z")
        line: Json = {"created": moment, "created_by": step.get("CreatedBy", "")}
        if step.get("Comment"):
            line["comment"] = step["Comment"]
        if not step.get("Size"):
            if spare:
                spare -= 1
            else:
                line["empty_layer"] = True
        history.append(line)
    return history[::-1]


def image_id(config: bytes) -> str:
    return f"sha256:{hashlib.sha256(config).hexdigest()}"


def archive(config: bytes) -> bytes:
    """An archive for `docker load` that has this configuration and no layer: the engine has them all already."""
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    layers = [f"{number}/layer.tar" for number in range(len(json.loads(config)["rootfs"]["diff_ids"]))]
    manifest = json.dumps([{"Config": name, "RepoTags": None, "Layers": layers}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member, data in ((name, config), ("manifest.json", manifest)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
