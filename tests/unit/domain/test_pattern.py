"""What is wrong with a tenant's expression is not written past the log."""

from __future__ import annotations

import pytest

from app.domain import pattern


def test_an_expression() -> None:
    assert pattern.compile("a+b").search("xaab")


def test_none(capfd: pytest.CaptureFixture[str]) -> None:
    for text in ("(", "[", "a{99999}", "\\"):
        with pytest.raises(pattern.error):
            pattern.compile(text)
    assert capfd.readouterr() == ("", "")
