"""Recording of a fake's calls, and the ways in which a test makes one fail or hang."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.errors import Unavailable

LIMIT = 60.0


@dataclass(frozen=True)
class Call:
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass
class Hang:
    """A call that was told to hang. `reached` is set once it does; `release` lets it go on."""

    reached: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self._released.set()

    def stop_here(self) -> None:
        self.reached.set()
        if not self._released.wait(LIMIT):
            raise AssertionError(f"a call hung for {LIMIT} s and nobody released it")


class Traps:
    """The base of a fake: `calls`, `fail`, `hang` and `away`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        #: True: the node cannot be reached.
        self.away = False
        self._traps: dict[tuple[str, bool], list[Exception | Hang]] = {}

    def fail(self, name: str, error: Exception, *, after: bool = False, times: int = 1) -> None:
        """The next `times` calls of `name` raise `error`, before or (an answer that is lost) `after` their effect."""
        self._traps.setdefault((name, after), []).extend([error] * times)

    def hang(self, name: str, *, after: bool = False) -> Hang:
        """The next call of `name` waits until it is released, before or `after` it has had its effect."""
        hang = Hang()
        self._traps.setdefault((name, after), []).append(hang)
        return hang

    def called(self, name: str) -> list[Call]:
        return [call for call in self.calls if call.name == name]

    def spring(self, name: str, after: bool) -> None:
        try:
            # In one step: an observer's threads may come to one trap together.
            trap = self._traps[name, after].pop(0)
        except (KeyError, IndexError):
            return
        if isinstance(trap, Hang):
            trap.stop_here()
        else:
            raise trap


def recorded(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a method of a fake: it is recorded and may be told to fail or to hang."""
    name = method.__name__

    @functools.wraps(method)
    def called(self: Traps, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(Call(name, args, kwargs))
        if self.away:
            raise Unavailable("the node that runs this cannot be reached", retry_after=5)
        self.spring(name, False)
        result = method(self, *args, **kwargs)
        self.spring(name, True)
        return result

    return called
