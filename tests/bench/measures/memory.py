"""What our processes hold."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.bench.report import Row
from tests.bench.sides import Sides


def memory(sides: Sides) -> list[Row]:
    """Each of our processes, as it is now. PSS counts a page that n processes share as 1/n, RSS as whole."""
    rows, sums = [], {"PSS": 0.0, "RSS": 0.0}
    for part in ("nginx", "gunicorn", "observer"):
        for number, pid in enumerate(_family(sides.stack.pid(part))):
            told = Path(f"/proc/{pid}/smaps_rollup").read_text()
            figures = {name.upper(): int(kib) / 1024 for name, kib in re.findall(r"^(Pss|Rss): +(\d+) kB", told, re.M)}
            for kind, value in figures.items():
                sums[kind] += value
            role = part if number == 0 else f"{part} worker"
            rows += [Row(f"  {role} {kind}", "MiB", figures[kind]) for kind in sums]
    return [Row(f"our processes, idle, {kind}", "MiB", value) for kind, value in sums.items()] + rows


def _family(pid: int) -> list[int]:
    """A process and its descendants, the first first."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
    found = [pid]
    for parent in found:
        found += sorted(children.get(parent, []))
    return found
