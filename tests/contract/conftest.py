"""`subject` is the fake engine in one run of a test and a real one in the other, both behind the same interface."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.engine.client import EngineClient, RawStream
from app.engine.engine import Engine
from app.errors import Error, NotFound
from tests import busybox, machine
from tests.contract import registry as registries
from tests.fakes.engine import FakeEngine

LABEL = "sdc.contract"


@dataclass
class Subject:
    """An engine with a busybox image, and names of the test's own."""

    engine: Engine | FakeEngine
    image: str
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    #: Containers, whatever labels they have.
    made: list[str] = field(default_factory=list)

    def name(self, word: str = "one") -> str:
        return f"c-{self.run}-{word}"

    def create(self, *command: str, name: str = "one", host: dict | None = None, **config: object) -> str:
        """A container of the test's own. Its engine id."""
        body = {"Image": self.image, "Cmd": list(command), "Labels": {LABEL: self.run}, **config}
        seen = self.engine.create_container(self.name(name), body | ({"HostConfig": host} if host else {}))
        assert seen is not None
        self.made.append(seen["Id"])
        return seen["Id"]

    def clean(self) -> None:
        for container in self.made:
            with contextlib.suppress(NotFound):
                self.engine.remove_container(container, force=True, volumes=True)
        for word in ("one", "two"):
            try:
                self.engine.remove_network(self.name(word))
            except Error:
                continue


@pytest.fixture(params=["fake", "real"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "fake":
        fake = FakeEngine()
        subject = Subject(fake, _load(fake))
        yield subject
        fake.close()
        return
    client = EngineClient(request.getfixturevalue("engine").url, version="1.41")
    real = Engine(client)
    subject = Subject(real, _load(real))
    yield subject
    subject.clean()
    client.close()


@pytest.fixture(scope="session")
def real_registry(engine: machine.Engine) -> Iterator[Path]:
    """A registry at 127.0.0.1:5000 of the real engine's own network. The path of its request log."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(engine.socket))
        pid, _, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    with machine.folder("registry") as home, (home / "log").open("wb") as log:
        inside = ["nsenter", f"--target={pid}", "--net", sys.executable, "-m", "tests.contract.registry"]
        process = subprocess.Popen(inside, cwd=machine.ROOT, stdout=log, stderr=log)
        probe = ["nsenter", f"--target={pid}", "--net", sys.executable, "-c", _PROBE]
        try:
            machine.wait_until(
                lambda: subprocess.run(probe, check=False, capture_output=True, timeout=60).returncode == 0,
                "registry",
                log=home / "log",
            )
            yield home / "log"
        finally:
            machine.stop(process)


_PROBE = "import socket; socket.create_connection(('127.0.0.1', 5000), 2).close()"


@pytest.fixture
def registry(subject: Subject, request: pytest.FixtureRequest) -> registries.Content:
    """What can be pulled from 127.0.0.1:5000 by this run's engine."""
    content = registries.Handler.content
    if isinstance(subject.engine, FakeEngine):
        for repository, tag in content.ids:
            layers = [content.layer(repository)]
            subject.engine.publish(f"{registries.ADDRESS}/{repository}", tag, content.config(repository, tag), layers)
    else:
        request.getfixturevalue("real_registry")
    return content


def _load(engine: Engine | FakeEngine) -> str:
    with engine.load_images([busybox.archive(tags=[])]) as body:
        assert list(body.messages()) == [{"stream": f"Loaded image ID: {busybox.image_id()}\n"}]
    return busybox.image_id()


def read_all(stream: RawStream, *, limit: float = 60.0) -> bytes:
    """What comes over a stream until its end."""
    data = stream.leftover
    stream.sock.settimeout(limit)
    while block := stream.sock.recv(65536):
        data += block
    stream.close()
    return data


def dechunk(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        body, data = body + rest[:length], rest[length + 2 :]
    return body
