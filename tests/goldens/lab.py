"""One real engine with two images on it, asked at any version; and how chance is taken out of what it says."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import tarfile
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from tests import busybox, later
from tests.goldens import registry
from tests.machine import Engine, private_engine

#: The versions up to which each engine is asked; the newest one's answers are walked down by the tests.
NEWEST = {"20.10": "1.41", "26.1": "1.44"}

Query = dict[str, list[str]]


class Lab:
    """`call` it as a client of a version."""

    def __init__(self, engine: Engine, series: str) -> None:
        self.engine = engine
        self.series = series
        self.newest = NEWEST[series]
        self.release = self.ok("GET", "/version")["Version"].partition("+")[0]
        self.load(busybox.archive())

    def call(
        self, version: str, method: str, path: str, query: Query | None = None, body: Any = None, *, timeout: float = 30
    ) -> tuple[int, Any]:
        """Status and answer; several JSON objects one after the other are a list."""
        words = f"?{urllib.parse.urlencode(query, doseq=True)}" if query else ""
        status, answer = self.engine.call(method, f"/v{version}{path}{words}", body, timeout=timeout)
        if isinstance(answer, bytes):
            with contextlib.suppress(ValueError):
                return status, [json.loads(line) for line in answer.splitlines() if line.strip()]
        return status, answer

    def ok(self, method: str, path: str, body: Any = None, query: Query | None = None) -> Any:
        """The same at the newest version, where nothing goes wrong."""
        status, answer = self.call(self.newest, method, path, query, body)
        assert status < 400, (method, path, status, answer)
        return answer

    def load(self, archive: bytes) -> None:
        self.ok("POST", "/images/load", archive)

    @contextlib.contextmanager
    def container(self, name: str, *, start: bool = True, **body: Any) -> Iterator[str]:
        """One that sleeps, by its id."""
        made = self.ok("POST", "/containers/create", {"Image": "busybox", "Cmd": SLEEP, **body}, {"name": [name]})["Id"]
        try:
            if start:
                self.ok("POST", f"/containers/{made}/start")
            yield made
        finally:
            self.call(self.newest, "DELETE", f"/containers/{made}", {"force": ["1"], "v": ["1"]})

    @contextlib.contextmanager
    def network(self, name: str, **body: Any) -> Iterator[str]:
        made = self.ok("POST", "/networks/create", {"Name": name, **body})["Id"]
        try:
            yield made
        finally:
            self.call(self.newest, "DELETE", f"/networks/{made}")

    @contextlib.contextmanager
    def volume(self, name: str, **body: Any) -> Iterator[str]:
        self.ok("POST", "/volumes/create", {"Name": name, **body})
        try:
            yield name
        finally:
            self.call(self.newest, "DELETE", f"/volumes/{name}")

    def exec(self, container: str, *words: str, **body: Any) -> str:
        """A command that is made and not started, by its id."""
        how = {"Cmd": list(words), "AttachStdout": True, **body}
        return str(self.ok("POST", f"/containers/{container}/exec", how)["Id"])


#: Shells do not hear SIGTERM; a trap makes the end quick.
SLEEP = ["sh", "-c", "trap 'exit 9' TERM; trap 'exit 7' INT; while :; do sleep 0.1; done"]


@contextlib.contextmanager
def lab(series: str) -> Iterator[Lab]:
    """An engine of that series, with a registry beside it."""
    before = os.environ["PATH"]
    if series != "20.10":
        os.environ["PATH"] = later.engine_path()
    try:
        with private_engine() as engine:
            pid = int((engine.socket.parent / "pid").read_text())
            with registry.beside(pid):
                yield Lab(engine, series)
    finally:
        os.environ["PATH"] = before


def timeless_archive() -> bytes:
    """An image that does not say when it was made."""
    config = json.dumps({k: v for k, v in busybox.config().items() if k not in ("created", "history")}).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": ["timeless:latest"], "Layers": ["layer.tar"]}]
    return busybox.files({"layer.tar": busybox.layer(), name: config, "manifest.json": json.dumps(manifest).encode()})


def dockerfile(text: str) -> bytes:
    return busybox.files({"Dockerfile": text.encode()})


def folder_of(uid: int) -> bytes:
    """An archive with one file of that owner."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("mine")
        member.uid = member.gid = uid
        archive.addfile(member)
    return out.getvalue()


# --- chance ----------------------------------------------------------------------------------------------------------

#: Numbers that are different every time, or on every machine; zero means something and stays.
_NUMBERS = re.compile(r"rx_\w+|tx_\w+|current|limit|Pid|Size|VirtualSize|SharedSize|SizeRw|SizeRootFs")
_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_ID = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{12})\b")
_LONGEST = 160


class Scrubbed:
    """Ids become `id1`, `id2`, in the order in which they are met; times, sizes and the machine's words become one."""

    def __init__(self, lab: Lab) -> None:
        info = lab.ok("GET", "/info")
        self._ids: list[str] = []
        self._words: Mapping[str, str] = {
            str(lab.engine.socket.parent): "/engine",
            lab.engine.socket.parent.name: "engine",
            info["KernelVersion"]: "KERNEL",
            info["Name"]: "MACHINE",
        }

    def __call__(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {self._text(k): self(v, k) for k, v in sorted(value.items())}
        if isinstance(value, list):
            return [self(item, key) for item in value]
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0 and _NUMBERS.fullmatch(key):
            return 4321
        return value

    def _text(self, text: str) -> str:
        for word, told in self._words.items():
            text = text.replace(word, told)
        text = _ID.sub(self._id, _TIME.sub("2026-01-02T03:04:05Z", text))
        return text if len(text) <= _LONGEST else "LONG"

    def _id(self, match: re.Match[str]) -> str:
        short = match[0][:12]
        if short not in self._ids:
            self._ids.append(short)
        return f"id{self._ids.index(short) + 1}"
