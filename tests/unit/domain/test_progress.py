"""Progress messages and their bars."""

from __future__ import annotations

from app.domain import progress


def test_bars() -> None:
    half = progress.of("abc", "Downloading", 500_000, 1_000_000)
    assert half["progressDetail"] == {"current": 500_000, "total": 1_000_000} and half["id"] == "abc"
    assert half["progress"] == f"[{'=' * 25}>{' ' * 24}]  500kB/1MB"
    assert progress.of("abc", "Downloading", 10, 10)["progress"] == f"[{'=' * 50}]  10B/10B"
    assert progress.of("abc", "Downloading", 1_234_567, 0)["progress"] == "1.235MB"


def test_an_engines_message_is_made_anew() -> None:
    message = {"status": "Downloading", "id": "a", "progressDetail": {"current": 1, "node": "n1"}, "secret": "x"}
    assert progress.rebuilt(message) == {"status": "Downloading", "id": "a", "progressDetail": {"current": 1}}
    assert progress.rebuilt({"status": 1, "progressDetail": None}) == {}
