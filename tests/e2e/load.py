"""Requests without a pause, while something happens that nobody is to notice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

WAIT = 60.0


class Load:
    """Runs each of `turns` over and over in a thread of its own; a turn gives the load and counts what is answered.

    `failed` has the answers that were not what they should be, and the errors.
    """

    def __init__(self, *turns: Callable[[Load], None]) -> None:
        self._done = threading.Event()
        self.failed: list[Any] = []
        self.answered = 0
        self._threads = [threading.Thread(target=self._run, args=(turn,)) for turn in turns]

    def _run(self, turn: Callable[[Load], None]) -> None:
        while not self._done.is_set():
            try:
                turn(self)
            except Exception as error:
                self.failed.append(repr(error))

    def count(self, answer: Any, expected: Any, *about: Any) -> None:
        """An answer has come; one that was not expected is kept, with what it was about."""
        self.answered += 1
        if answer != expected:
            self.failed.append((answer, *about))

    @property
    def goes_on(self) -> bool:
        """For a turn that takes long."""
        return not self._done.is_set()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(WAIT)
