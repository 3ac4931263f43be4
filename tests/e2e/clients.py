"""The docker CLIs as people have them, each with the API version that it speaks, in the hands of an account."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.stack import Response, Result, Stack, clis
from tests.e2e.terminal import Terminal


@dataclass(frozen=True)
class Client:
    """A docker CLI by its major version; `api` pins DOCKER_API_VERSION."""

    cli: str
    api: str | None = None

    def __str__(self) -> str:
        return f"cli{self.cli}" + (f"-api{self.api}" if self.api else "")


#: CLI 28 where the machine has it; else the newest there is.
NEWEST = Client(max(clis(), key=int, default="20"))
OLDEST = Client("20", "1.20")
CLIENTS = [NEWEST, Client("20"), Client("20", "1.24"), OLDEST]

every_client = pytest.mark.parametrize("client", CLIENTS, ids=str)
#: For what takes long: the two that differ most.
two_clients = pytest.mark.parametrize("client", [NEWEST, OLDEST], ids=str)


class Docker:
    """`docker ...` as one account with one client."""

    def __init__(self, stack: Stack, account: str, client: Client = NEWEST) -> None:
        self._stack = stack
        self._account = account
        self._client = client

    def __call__(self, *words: str, input: bytes | None = None, timeout: float = 60, check: bool = True) -> Result:
        client = self._client
        return self._stack.docker(
            self._account, *words, cli=client.cli, api=client.api, input=input, timeout=timeout, check=check
        )

    @contextlib.contextmanager
    def background(self, *words: str, **how: Any) -> Iterator[subprocess.Popen]:
        """The command with pipes; killed in the end if it is still there."""
        process = self._stack.spawn(self._account, *words, cli=self._client.cli, api=self._client.api, **how)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)
            for pipe in (process.stdin, process.stdout, process.stderr):
                with contextlib.suppress(OSError):  # what was not written yet has nowhere to go
                    if pipe is not None:
                        pipe.close()

    @contextlib.contextmanager
    def terminal(self, *words: str, rows: int = 24, columns: int = 80) -> Iterator[Terminal]:
        """The command in a terminal of its own; killed in the end if it is still there."""
        command = self._stack.command(*words, cli=self._client.cli)
        terminal = Terminal(command, self._stack.env(self._account, api=self._client.api), rows, columns)
        try:
            yield terminal
        finally:
            terminal.close()

    def container(self, *words: str) -> str:
        """The id of a container that `docker run -d` or `docker create` makes."""
        return self(*words).text.strip()

    def state(self, container: str) -> str:
        """running, exited ... as `docker ps` and `docker inspect` say it; they must agree."""
        shown = self("ps", "-a", "--no-trunc", "--filter", f"id={container}", "--format", "{{.Status}}").text.strip()
        status = self("inspect", "-f", "{{.State.Running}} {{.State.ExitCode}}", container).text.split()
        if shown.startswith("Up"):
            assert status[0] == "true", (shown, status)
            return "running"
        if shown.startswith("Exited"):
            assert status == ["false", shown.partition("(")[2].partition(")")[0]], (shown, status)
            return "exited"
        return shown.lower()

    def call(self, method: str, path: str, body: Any = None) -> Response:
        """One request of the API at 1.44, or at the version that `path` names."""
        return self._stack.request(self._account, method, path if path.startswith("/v1.") else f"/v1.44{path}", body)


def read_until(process: subprocess.Popen, wanted: bytes, timeout: float = 60) -> bytes:
    """What the process writes to stdout, up to and with `wanted`. The pipe must be unbuffered (bufsize=0)."""
    found = bytearray()

    def read() -> None:
        while wanted not in found and (data := process.stdout.read(65536)):
            found.extend(data)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(timeout)
    assert wanted in found, f"not in {timeout} s: {wanted!r} in {bytes(found)!r}"
    return bytes(found)
