"""Sizes, times and tables as an operator sees them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import typer

from app.cli import output


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1 << 20, "1 MiB"), (3 << 29, "1.5 GiB"), (5 << 50, "5120 TiB")],
)
def test_size(value: int, words: str) -> None:
    assert output.size(value) == words


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("6m", 6 << 20), ("2G", 2 << 30), ("1t", 1 << 40)])
def test_read_size(text: str, value: int) -> None:
    assert output.read_size(text) == value


@pytest.mark.parametrize("text", ["", "m", "-1", "1.5g", "1kb", "ten"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        output.read_size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-05-04", datetime(2026, 5, 4, tzinfo=UTC)),
        ("2026-05-04T12:00", datetime(2026, 5, 4, 12, tzinfo=UTC)),
        ("2026-05-04T12:00Z", datetime(2026, 5, 4, 12, tzinfo=UTC)),
        ("2026-05-04T12:00+02:00", datetime(2026, 5, 4, 10, tzinfo=UTC)),
    ],
)
def test_moments(text: str, value: datetime) -> None:
    assert output.read_moment(text) == value


@pytest.mark.parametrize(("text", "ago"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604800), ("1w", 604800)])
def test_moments_ago(text: str, ago: int) -> None:
    assert abs(datetime.now(UTC) - output.read_moment(text) - timedelta(seconds=ago)) < timedelta(seconds=30)


@pytest.mark.parametrize("text", ["", "yesterday", "h", "2026-13-01", "-2h", "2 h"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        output.read_moment(text)


def test_a_name_is_neither_markup_nor_a_command_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table(("name", "x"), [("[red]web[/red]", "\x1b[2J\x07"), (None, 3)])
    shown = capsys.readouterr().out
    assert "[red]web[/red]" in shown and "?[2J?" in shown and "\x1b" not in shown
    assert "-" in shown


def test_json_is_one_line_with_times_in_iso(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_json([{"at": datetime(2026, 5, 4, tzinfo=UTC), "n": 1}])
    assert capsys.readouterr().out == '[{"at": "2026-05-04T00:00:00+00:00", "n": 1}]\n'
