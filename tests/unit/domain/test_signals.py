import signal

import pytest

from app.domain import signals
from app.errors import InvalidParameter


@pytest.mark.parametrize(
    ("text", "number"),
    [("TERM", 15), ("SIGTERM", 15), ("sigkill", 9), ("9", 9), ("64", 64), ("SIGRTMIN+3", 37), ("RTMAX-1", 63)],
)
def test_signals(text, number):
    assert signals.parse(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "-9", "FOO", "SIG", "9 ", "SIGSIGTERM", "1e1", "\u0663"])
def test_no_signals(text):
    with pytest.raises(InvalidParameter, match="Invalid signal"):
        signals.parse(text)


def test_numbers_are_linux_ones():
    for known in signal.Signals:
        name = known.name.removeprefix("SIG")
        if name in signals.NUMBERS:
            assert signals.NUMBERS[name] == known.value
    assert {s.name.removeprefix("SIG") for s in signal.Signals} <= set(signals.NUMBERS)
