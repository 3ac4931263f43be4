"""The fake has the calls of the real one, with the same parameters."""

from __future__ import annotations

import inspect

from app.engine.engine import Engine
from tests.fakes.engine import FakeEngine


def calls(of: type) -> dict[str, str]:
    found = inspect.getmembers(of, inspect.isfunction)
    return {name: str(inspect.signature(call).replace(return_annotation="")) for name, call in found if name[0] != "_"}


def test_same_interface() -> None:
    fake = calls(FakeEngine)
    assert {name: fake.get(name) for name in calls(Engine)} == calls(Engine)
