"""The classic builder of the fake engine: FROM by id and one step for each other line; no step does anything."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import socket
import tarfile
from collections.abc import Mapping
from email.message import Message
from typing import IO, Any

from app.engine.client import RawStream
from app.errors import InvalidParameter
from app.stream import json_stream
from tests.fakes.images import FakeImages
from tests.fakes.traps import recorded

Json = dict[str, Any]


class FakeBuilds(FakeImages):
    def __init__(self) -> None:
        super().__init__()
        #: (parent id, step) -> images that it has made.
        self.steps: dict[tuple[str, str], list[str]] = {}

    @recorded
    def build_image(self, query: Mapping[str, Any], context: tuple[IO[bytes], int]) -> RawStream:
        file, length = context
        with tarfile.open(fileobj=io.BytesIO(file.read(length))) as archive:
            content = [archive.extractfile(member) for member in archive if member.name == query["dockerfile"]]
        assert content and content[-1], "no Dockerfile in the context"
        lines = [line for line in content[-1].read().decode().split("\n") if line]
        if any("nosuch" in line for line in lines):
            raise InvalidParameter("dockerfile parse error")
        said = b"".join(map(json_stream.encode, self._build(lines, query)))
        ours, theirs = socket.socketpair()
        ours.sendall(said)
        ours.close()
        theirs.setblocking(False)
        return RawStream(theirs, 200, Message(), b"")

    def _build(self, lines: list[str], query: Mapping[str, Any]) -> list[Json]:
        told: list[Json] = []
        image_id = ""
        for number, line in enumerate(lines, 1):
            told += [{"stream": f"Step {number}/{len(lines)} : {line}"}, {"stream": "\n"}]
            word, _, rest = line.partition(" ")
            if word == "FROM":
                image_id = self._image(rest.split()[0])["Id"]
            elif rest == "false":
                words = "The command '/bin/sh -c false' returned a non-zero code: 1"
                return [*told, {"errorDetail": {"code": 1, "message": words}, "error": words}]
            elif word == "RUN" and rest.startswith("say "):
                told.append({"stream": rest.removeprefix("say ") + "\n"})
                image_id = self._step(image_id, line, told, json.loads(query["cachefrom"]))
            else:
                image_id = self._step(image_id, line, told, json.loads(query["cachefrom"]))
            told.append({"stream": f" ---> {image_id.removeprefix('sha256:')[:12]}\n"})
        self.names[query["t"]] = image_id
        told.append({"aux": {"ID": image_id}})
        told.append({"stream": f"Successfully built {image_id.removeprefix('sha256:')[:12]}\n"})
        return [*told, {"stream": f"Successfully tagged {query['t']}\n"}]

    def _step(self, parent: str, line: str, told: list[Json], sources: list[str]) -> str:
        offered = {image for source in sources for image in self._chain(source)}
        for cached in self.steps.get((parent, line), []):
            if cached in offered:
                told.append({"stream": " ---> Using cache\n"})
                return cached
        container = secrets.token_hex(6)
        told.append({"stream": f" ---> Running in {container}\n"})
        image_id = f"sha256:{hashlib.sha256(secrets.token_bytes(16)).hexdigest()}"
        self.images[image_id] = {**self.images[parent], "Id": image_id, "Parent": parent, "RepoTags": []}
        self.steps.setdefault((parent, line), []).append(image_id)
        told.append({"stream": f"Removing intermediate container {container}\n"})
        return image_id

    def _chain(self, image_id: str) -> list[str]:
        found = []
        while image_id in self.images:
            found.append(image_id)
            image_id = self.images[image_id].get("Parent") or ""
        return found
