"""How much of a request has to be here before it is worth a thread. Bytes only, no sockets.

This decides nothing but how long to wait: the head is judged by gunicorn's parser, and whatever looks unusual here is
handed to it at once.
"""

from __future__ import annotations

import re

#: The most that a request's line and headers may take together.
HEAD_LIMIT = 64 * 1024
#: Bodies up to this size are complete before the request gets a thread.
SMALL_BODY = 64 * 1024

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?=\r\n)", re.IGNORECASE)
_CODING = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)
_CONTINUE = re.compile(rb" HTTP/1\.1\r\n(?s:.*\r\n)?expect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)


class Head:
    """Collects one request: append to `buffer`, then ask `complete()`."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        #: Bytes of the head, its empty line included; 0 until it is complete.
        self.size = 0
        #: Bytes of body to wait for; 0 when there is none, when it is large, and when its length is not plain.
        self.small_body = 0
        #: The client waits for "100 Continue" before it sends its body.
        self.expects_continue = False
        self._searched = 0

    def is_whole(self) -> bool:
        """Whether the head is here, within the limit, and a small body with it."""
        return self.complete() and self.size <= HEAD_LIMIT and len(self.buffer) >= self.size + self.small_body

    def complete(self) -> bool:
        """Whether the whole head is in the buffer; sets the other attributes then."""
        if self.size:
            return True
        end = self.buffer.find(_END, max(0, self._searched - len(_END) + 1))
        if end < 0:
            self._searched = len(self.buffer)
            return False
        self.size = end + len(_END)
        head = bytes(self.buffer[: self.size])
        lengths = _LENGTH.findall(head)
        if len(lengths) == 1 and not _CODING.search(head) and int(lengths[0]) <= SMALL_BODY:
            self.small_body = int(lengths[0])
            self.expects_continue = _CONTINUE.search(head) is not None
        return True
