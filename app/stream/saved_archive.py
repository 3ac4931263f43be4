"""The tar of `docker save`: an engine's archive of images by id, with the names that an account has for them.

Everything but the descriptions passes as it comes. The manifest and `repositories` are written anew at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from app.errors import Internal, InvalidParameter
from app.stream import tar

MAX_JSON = 16 << 20
MAX_ENTRIES = 1_000_000
_DROPPED = frozenset({"repositories", "index.json", "oci-layout"})
#: Nobody has saved a thing: what dockerd sends then.
NOTHING = tar.file("manifest.json", b"null\n") + tar.END


def named(chunks: Iterable[bytes], names: Mapping[str, Sequence[tuple[str, str]]]) -> Iterator[bytes]:
    """`chunks` is an engine's archive; `names` says (repository, tag) of each image id. Raises Internal."""
    reader = tar.Reader(chunks, max_entries=MAX_ENTRIES)
    manifest: bytes | None = None
    try:
        for entry in reader.entries():
            if entry.name == "manifest.json":
                if entry.size > MAX_JSON:
                    raise Internal("the node sent a malformed archive")
                manifest = b"".join(reader.content())
            elif entry.name not in _DROPPED:
                yield tar.header(entry)
                if entry.kind == tar.FILE:
                    yield from reader.content()
                    yield tar.padding(entry.size)
    except InvalidParameter as error:
        raise Internal("the node sent a malformed archive") from error
    if manifest is None:
        raise Internal("the node sent an archive without a manifest")
    yield from _descriptions(manifest, names)
    yield tar.END


def _descriptions(manifest: bytes, names: Mapping[str, Sequence[tuple[str, str]]]) -> Iterator[bytes]:
    entries: list[dict[str, Any]] = []
    repositories: dict[str, dict[str, str]] = {}
    asked_for = list(names)
    by_id = {f"sha256:{_digits(item)}": item for item in json.loads(manifest)}
    # An engine tells them in no order.
    for image_id in sorted(by_id, key=lambda i: asked_for.index(i) if i in names else len(asked_for)):
        item, digits = by_id[image_id], image_id.removeprefix("sha256:")
        mine = names.get(image_id, ())
        layers = item.get("Layers") or []
        tags = [f"{repository}:{tag}" for repository, tag in mine] or None
        entries.append({"Config": item["Config"], "RepoTags": tags, "Layers": layers})
        for repository, tag in mine:
            last = layers[-1].removesuffix("/layer.tar").rpartition("/")[2] if layers else digits
            repositories.setdefault(repository, {})[tag] = last
    yield tar.file("manifest.json", json.dumps(entries, separators=(",", ":")).encode() + b"\n")
    if repositories:
        yield tar.file("repositories", json.dumps(repositories, separators=(",", ":")).encode() + b"\n")


def _digits(item: dict[str, Any]) -> str:
    """The image's id in the manifest of an archive: "<id>.json" or "blobs/sha256/<id>"."""
    return str(item["Config"]).rpartition("/")[2].removesuffix(".json")
