"""Figures with their limits, as a table."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

#: At most, or at least, this many times the base.
Limit = tuple[str, float]


@dataclass(frozen=True)
class Row:
    """One figure of ours beside the base's, each a median; a figure without a base stands alone."""

    what: str
    unit: str
    ours: float
    base: float | None = None
    #: "which base", for the table's reader.
    against: str = ""
    limit: Limit | None = None
    rounds: int = 0
    #: The middle half of the rounds' own ratios: how far to trust the ratio.
    spread: tuple[float, float] | None = None
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    @property
    def ratio(self) -> float | None:
        return self.ours / self.base if self.base else None

    @property
    def holds(self) -> bool:
        if self.limit is None or self.ratio is None:
            return True
        kind, bound = self.limit
        return self.ratio <= bound if kind == "<=" else self.ratio >= bound

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "holds": self.holds}


def compared(
    what: str, unit: str, ours: Sequence[float], base: Sequence[float], against: str, limit: Limit | None = None
) -> Row:
    """A row from the rounds of both sides, which came in pairs."""
    ratios = [o / b for o, b in zip(ours, base, strict=True) if b]
    spread = None
    if len(ratios) >= 4:
        low, _, high = statistics.quantiles(ratios, n=4)
        spread = (low, high)
    return Row(what, unit, statistics.median(ours), statistics.median(base), against, limit, len(ours), spread)


_HEAD = ("", "ours", "base", "unit", "ratio", "half of rounds", "limit", "", "rounds", "load", "base is")


def show(title: str, rows: Sequence[Row]) -> None:
    """Print rows as a table."""
    lines = [_HEAD] + [_cells(row) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
    print(f"\n== {title}")
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        cells[0], cells[-1] = line[0].ljust(widths[0]), line[-1]
        print("  ".join(cells).rstrip(), flush=True)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.what,
        _number(row.ours),
        "" if row.base is None else _number(row.base),
        row.unit,
        "" if row.ratio is None else f"{row.ratio:.3f}",
        "" if row.spread is None else f"{row.spread[0]:.2f} .. {row.spread[1]:.2f}",
        "" if row.limit is None else f"{row.limit[0]} {row.limit[1]:g}",
        "" if row.limit is None else ("holds" if row.holds else "MISSED"),
        str(row.rounds or ""),
        f"{row.load:.1f}",
        row.against,
    )


def _number(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"
