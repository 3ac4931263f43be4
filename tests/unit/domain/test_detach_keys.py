import pytest

from app.domain import detach_keys
from app.errors import InvalidParameter


@pytest.mark.parametrize(
    ("text", "sequence"),
    [
        ("", b""),
        (detach_keys.DEFAULT, b"\x10\x11"),
        ("a,b,ctrl-@", b"ab\0"),
        ("ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,DEL", b"\x1b\x1c\x1d\x1e\x1f\x7f"),
    ],
)
def test_sequences(text, sequence):
    assert detach_keys.parse(text) == sequence


@pytest.mark.parametrize("text", ["ctrl-1", "ctrl-", "ab", ",", "ctrl-A", "é", ",".join("a" * 33)])
def test_no_sequences(text):
    with pytest.raises(InvalidParameter, match="Invalid detach keys"):
        detach_keys.parse(text)
