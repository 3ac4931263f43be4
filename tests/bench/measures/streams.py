"""Bytes through an exec."""

from __future__ import annotations

from typing import Any

from tests.bench.measures.turns import LABEL, MIB, clock, in_turn
from tests.bench.report import Row, compared
from tests.bench.sides import Side, Sides, hijack


def sleepers(sides: Sides) -> dict[Side, str]:
    """A running container for each of the two sides that streams are compared on."""
    found = {}
    for side in (sides.ours, sides.fronted):
        with side.client() as client:
            body = {"Image": side.image, "Cmd": ["sleep", "3600"], "Labels": LABEL}
            found[side] = client.call("POST", "/containers/create", body)["Id"]
            client.call("POST", f"/containers/{found[side]}/start")
    return found


def remove(running: dict[Side, str]) -> None:
    for side, container in running.items():
        with side.client() as client:
            client.call("DELETE", f"/containers/{container}?force=1")


def _exec(side: Side, container: str, command: list[str], *, stdin: bool) -> tuple[Any, bytes]:
    with side.client() as client:
        body = {"AttachStdin": stdin, "AttachStdout": True, "AttachStderr": True, "Cmd": command}
        made = client.call("POST", f"/containers/{container}/exec", body)
    return hijack(side, f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})


def echo(sides: Sides, rounds: int, *, echoes: int = 100) -> list[Row]:
    """64 bytes to `cat` and back, framed by the engine; a round is the median of many on an open exec."""
    running = sleepers(sides)
    pair = (sides.ours, sides.fronted)
    opened = {side: _exec(side, running[side], ["cat"], stdin=True)[0] for side in pair}
    message = b"x" * 63 + b"\n"
    try:

        def trips(side: Side) -> dict[str, float]:
            sock = opened[side]
            took = []
            for _ in range(echoes):
                began = clock()
                sock.sendall(message)
                missing = 8 + len(message)
                while missing:
                    missing -= len(sock.recv(missing))
                took.append(clock() - began)
            return {"echo": sorted(took)[len(took) // 2] * 1000}

        found = in_turn(pair, rounds, trips)["echo"]
    finally:
        for sock in opened.values():
            sock.close()
        remove(running)
    return [compared("echo of 64 bytes through exec cat", "ms", found[0], found[1], sides.fronted.name, ("<=", 1.6))]


def output(sides: Sides, rounds: int, *, size: int = 256 * MIB) -> list[Row]:
    """`size` bytes of zeros out of an exec, framed by the engine."""
    running = sleepers(sides)
    buffer = bytearray(MIB)
    try:

        def read(side: Side) -> dict[str, float]:
            sock, rest = _exec(side, running[side], ["head", "-c", str(size), "/dev/zero"], stdin=False)
            with sock:
                began, total = clock(), len(rest)
                while count := sock.recv_into(buffer):
                    total += count
                took = clock() - began
            assert total > size, f"{side.name}: {total} bytes"
            return {"speed": size / MIB / took}

        found = in_turn((sides.ours, sides.fronted), rounds, read)["speed"]
    finally:
        remove(running)
    return [compared("exec output of 256 MiB", "MiB/s", found[0], found[1], sides.fronted.name, (">=", 0.9))]
