"""Images for tests, and what a stock engine makes of the same command."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile

from tests import busybox
from tests.e2e.stack import Result, Stack
from tests.machine import busybox_archive

Files = dict[str, bytes]


def forget_images(stack: Stack) -> None:
    """Both accounts lose what tests have brought, whatever uses it."""
    stack.psql("DELETE FROM image_names WHERE repository <> 'docker.io/library/busybox'")
    stack.psql(
        "DELETE FROM account_images a WHERE NOT EXISTS (SELECT FROM image_names n WHERE "
        "n.account_id = a.account_id AND n.image_id = a.image_id)"
    )


def files_of(archive: bytes) -> Files:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]


def pack(files: Files) -> bytes:
    return busybox.files(files)


def image(marker: str, *tags: str) -> tuple[Files, str]:
    """An archive's files and the image's id: busybox with a label that makes it another image."""
    files = files_of(busybox_archive())
    manifest = json.loads(files.pop("manifest.json"))[0]
    config = json.loads(files.pop(manifest["Config"]))
    files.pop("repositories", None)
    config.setdefault("config", {})["Labels"] = {"marker": marker}
    raw = json.dumps(config).encode()
    image_id = hashlib.sha256(raw).hexdigest()
    files[f"{image_id}.json"] = raw
    entry = {"Config": f"{image_id}.json", "RepoTags": list(tags) or None, "Layers": manifest["Layers"]}
    files["manifest.json"] = json.dumps([entry]).encode()
    return files, f"sha256:{image_id}"


def on_the_engine(stack: Stack, *words: str, cli: str = "20") -> Result:
    """The docker command against the stock engine."""
    done = subprocess.run(
        [*stack.command(cli=cli), "-H", stack.engine.url, *words],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )
    return Result(done.returncode, done.stdout, done.stderr)
