"""Messages of a stream, like app.engine.client.Body."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


class FakeBody:
    """`closed` tells a test that nobody wants the rest, `waits_at` how many events there were when its reader had all
    and came for more."""

    def __init__(self, messages: Iterator[Json]) -> None:
        self._messages = messages
        self.closed = threading.Event()
        self.waits_at = 0

    def messages(self) -> Iterator[Json]:
        for message in self._messages:
            if self.closed.is_set():
                return
            yield message

    def close(self) -> None:
        self.closed.set()

    def abort(self) -> None:
        self.closed.set()

    def __enter__(self) -> FakeBody:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
