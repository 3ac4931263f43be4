"""Lines that are rewritten on their way."""

from __future__ import annotations

import pytest

from app.errors import Internal
from app.stream import lines
from app.stream.lines import RewrittenLines


def test_lines_become_chunks_however_they_are_cut() -> None:
    data = b"ab\ncde\n\nf"
    for size in (1, 2, 100):
        transform = RewrittenLines(lambda line: line.upper() + b"!")
        out = b"".join(transform.feed(data[i : i + size]) for i in range(0, len(data), size)) + transform.finish()
        body, rest = b"", out
        while rest != lines.LAST_CHUNK:
            length, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(length, 16)], rest[int(length, 16) + 2 :]
        assert body == b"AB!CDE!F!"


def test_nothing_is_no_chunk() -> None:
    transform = RewrittenLines(lambda line: b"")
    assert transform.feed(b"x\n") == b"" and transform.finish() == lines.LAST_CHUNK


def test_a_line_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 10)
    with pytest.raises(Internal):
        RewrittenLines(bytes).feed(b"x" * 11)
