from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.domain.durations import human, parse_go_time

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "Less than a second"),
        (0.999, "Less than a second"),
        (1.9, "1 second"),
        (2, "2 seconds"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (60 * MINUTE - 1, "59 minutes"),
        (HOUR, "About an hour"),
        (1.4 * HOUR, "About an hour"),
        (1.6 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
        (3660 * DAY, "10 years"),
    ],
)
def test_human(seconds: float, words: str) -> None:
    assert human(seconds) == words


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        ("yesterday", None),
        ("2026-05-04T12:00:00Z", datetime(2026, 5, 4, 12, tzinfo=UTC)),
        ("2026-05-04T12:00:00.5Z", datetime(2026, 5, 4, 12, 0, 0, 500000, tzinfo=UTC)),
        ("2026-05-04T12:00:00.000001999Z", datetime(2026, 5, 4, 12, 0, 0, 1, tzinfo=UTC)),
        ("2026-05-04T12:00:00.123456789+02:00", datetime(2026, 5, 4, 10, 0, 0, 123456, tzinfo=UTC)),
    ],
)
def test_parse_go_time(text: str, moment: datetime | None) -> None:
    assert parse_go_time(text) == moment
