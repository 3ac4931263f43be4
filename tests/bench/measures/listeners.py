"""How long an event takes to the last of many that listen."""

from __future__ import annotations

import contextlib
import select
import socket

from tests.bench.measures.streams import remove, sleepers
from tests.bench.measures.turns import clock, in_turn
from tests.bench.report import Limit, Row, compared
from tests.bench.sides import Side, Sides

LIMIT: Limit = ("<=", 2)


def listeners(sides: Sides, rounds: int, *, count: int = 100) -> list[Row]:
    """From the request that causes an event to the last of `count` open event streams, each on its own connection."""
    running = sleepers(sides)
    pair = (sides.ours, sides.fronted)
    with contextlib.ExitStack() as stack:
        opened = {side: [stack.enter_context(_listen(side)) for _ in range(count)] for side in pair}
        clients = {side: stack.enter_context(side.client()) for side in pair}
        # What the opening itself may still bring.
        for side in pair:
            _drain(opened[side])

        def spread(side: Side) -> dict[str, float]:
            waiting = {sock.fileno(): sock for sock in opened[side]}
            poll = select.poll()
            for descriptor in waiting:
                poll.register(descriptor, select.POLLIN)
            began = clock()
            clients[side].call("POST", f"/containers/{running[side]}/kill?signal=WINCH")
            while waiting:
                ready = poll.poll(20_000)
                assert ready, f"{side.name}: {len(waiting)} of {count} heard nothing"
                for descriptor, _ in ready:
                    if b'"kill"' in waiting[descriptor].recv(65536):
                        poll.unregister(descriptor)
                        del waiting[descriptor]
            took = clock() - began
            _drain(opened[side])
            return {"last": took * 1000}

        try:
            ours, base = in_turn(pair, rounds, spread)["last"]
        finally:
            remove(running)
    return [compared(f"an event to the last of {count} listeners", "ms", ours, base, sides.fronted.name, LIMIT)]


def _listen(side: Side) -> socket.socket:
    sock = side.connect()
    sock.sendall(f"GET {side.api}/events HTTP/1.1\r\nHost: docker\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        block = sock.recv(65536)
        assert block, f"{side.name}: {answer!r}"
        answer += block
    assert answer.split()[1] == b"200", f"{side.name}: {answer!r}"
    return sock


def _drain(opened: list[socket.socket]) -> None:
    for sock in opened:
        sock.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            while sock.recv(65536):
                pass
        sock.settimeout(20)
