"""What runs in a fake container: a handful of commands, enough to see output, input, exit codes and signals."""

from __future__ import annotations

import contextlib
import queue
import shlex
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from email.message import Message

from app.engine.client import RawStream

STDOUT, STDERR = 1, 2
_KILLED = 137


class Wire:
    """The engine's end of a stream. Writing never blocks; what is written before `end` still arrives."""

    def __init__(self, *, frames: bool = False, chunks: bool = False) -> None:
        self._sock, self.client = socket.socketpair()
        self._frames = frames
        self._chunks = chunks
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._send, daemon=True).start()

    def write(self, stream: int, data: bytes) -> None:
        if self._frames:
            data = struct.pack(">BxxxL", stream, len(data)) + data
        if self._chunks:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self._queue.put(data)

    def end(self) -> None:
        if self._chunks:
            self._queue.put(b"0\r\n\r\n")
        self._queue.put(None)

    def read_into(self, take: Callable[[bytes], None]) -> None:
        """Hand what the client writes to `take`, with b"" for its end."""

        def read() -> None:
            with contextlib.suppress(OSError):
                while data := self._sock.recv(65536):
                    take(data)
            take(b"")

        threading.Thread(target=read, daemon=True).start()

    def _send(self) -> None:
        with contextlib.suppress(OSError), self._sock:
            while (data := self._queue.get()) is not None:
                self._sock.sendall(data)
            self._sock.shutdown(socket.SHUT_RDWR)


def raw(wire: Wire, fields: Mapping[str, str], *, status: int = 200) -> RawStream:
    """The client's end of a wire, behind an answer's head."""
    headers = Message()
    for name, value in fields.items():
        headers[name] = value
    wire.client.setblocking(False)
    return RawStream(wire.client, status, headers, b"")


class CannotStart(Exception):
    """There is no such program."""


class Process:
    """`argv` is true, false, echo, cat, sleep or `sh -c` of such, with `exit N` and `>&2`. As process 1 of a container
    it heeds no signal but KILL."""

    def __init__(
        self,
        argv: list[str],
        *,
        output: Callable[[int, bytes], None],
        ended: Callable[[int], None],
        stdin: bool = False,
    ) -> None:
        self._steps = _steps(argv)
        self._output = output
        self._ended = ended
        self._stdin: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._killed = threading.Event()
        if not stdin:
            self._stdin.put(b"")
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def feed(self, data: bytes) -> None:
        """Standard input; b"" is its end."""
        self._stdin.put(data)

    def kill(self) -> None:
        """End it, and return when everybody has been told."""
        self._killed.set()
        self._stdin.put(b"")
        if threading.current_thread() is not self._thread:
            self._thread.join(10)

    def _run(self) -> None:
        code = 0
        for stream, words in self._steps:
            code = self._step(stream, words, code)
            if self._killed.is_set():
                code = _KILLED
                break
            if words[0] == "exit":
                break
        self._ended(code)

    def _step(self, stream: int, words: list[str], code: int) -> int:
        match words:
            case ["true"]:
                return 0
            case ["false"]:
                return 1
            case ["exit", *status]:
                return int(status[0]) if status else code
            case ["echo", *rest]:
                self._output(stream, " ".join(rest).encode() + b"\n")
            case ["sleep", seconds]:
                self._killed.wait(float(seconds))
            case ["cat"]:
                while data := self._stdin.get():
                    self._output(stream, data)
        return 0


_PROGRAMS = {"true", "false", "echo", "sleep", "cat", "exit"}


def _steps(argv: list[str]) -> list[tuple[int, list[str]]]:
    commands = [argv]
    if argv[:2] == ["sh", "-c"]:
        commands = [shlex.split(part) for part in argv[2].split(";")]
    elif argv[0] == "sh":
        commands = [["cat"]]
    steps = []
    for command in commands:
        stream = STDERR if ">&2" in command else STDOUT
        words = [word for word in command if word != ">&2"]
        if words[0] not in _PROGRAMS:
            raise CannotStart(words[0])
        steps.append((stream, words))
    return steps
