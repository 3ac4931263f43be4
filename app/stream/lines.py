"""Lines that are rewritten on their way: what an engine sends as lines of JSON, for a client in its words.

A transform of the relay: bytes in, chunks of an HTTP body out.
"""

from __future__ import annotations

from collections.abc import Callable

from app.errors import Internal

#: No line that an engine sends is longer.
MAX_LINE = 1024 * 1024

LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """`data` as one chunk of an HTTP body; nothing makes no chunk, for that would be the last one."""
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


class RewrittenLines:
    """`rewrite` takes a line without its end and gives what the client is sent for it."""

    def __init__(self, rewrite: Callable[[bytes], bytes]) -> None:
        self.ended = False
        self._rewrite = rewrite
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise Internal("the engine's answer is too large")
        return chunk(b"".join(self._rewrite(line) for line in lines if line.strip()))

    def finish(self) -> bytes:
        last = self._rewrite(self._rest) if self._rest.strip() else b""
        return chunk(last) + LAST_CHUNK
