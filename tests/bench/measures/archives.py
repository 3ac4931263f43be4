"""docker cp of one large file, both ways."""

from __future__ import annotations

import io
import tarfile

from tests.bench.measures.streams import remove, sleepers
from tests.bench.measures.turns import MIB, clock, in_turn
from tests.bench.report import Limit, Row, compared
from tests.bench.sides import Side, Sides

LIMIT: Limit = (">=", 0.7)


def archives(sides: Sides, rounds: int, *, size: int = 256 * MIB) -> list[Row]:
    """PUT and GET of an archive that holds one file of `size` bytes, into and out of a running container."""
    running = sleepers(sides)
    pair = (sides.ours, sides.fronted)
    archive = _archive(size)
    buffer = bytearray(MIB)

    def put(side: Side) -> float:
        sock = side.connect()
        with sock:
            path = f"{side.api}/containers/{running[side]}/archive?path=/"
            head = f"PUT {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\n"
            began = clock()
            sock.sendall(f"{head}Content-Length: {len(archive)}\r\nConnection: close\r\n\r\n".encode())
            for start in range(0, len(archive), MIB):
                sock.sendall(archive[start : start + MIB])
            answer = sock.recv(65536)
            took = clock() - began
        assert answer.split()[1] == b"200", f"{side.name}: {answer[:300]!r}"
        return size / MIB / took

    def get(side: Side) -> float:
        sock = side.connect()
        with sock:
            path = f"{side.api}/containers/{running[side]}/archive?path=/big"
            began = clock()
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n".encode())
            total = 0
            while count := sock.recv_into(buffer):
                total += count
            took = clock() - began
        assert total > size, f"{side.name}: {total} bytes"
        return size / MIB / took

    try:
        found = in_turn(pair, rounds, lambda side: {"put": put(side), "get": get(side)})
    finally:
        remove(running)
    return [
        compared(f"archive {verb.upper()} of {size // MIB} MiB", "MiB/s", *found[verb], sides.fronted.name, LIMIT)
        for verb in ("put", "get")
    ]


def _archive(size: int) -> memoryview:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("big")
        member.size = size
        tar.addfile(member, io.BytesIO(bytes(size)))
    return out.getbuffer()
