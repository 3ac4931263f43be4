"""What the commands share: the settings and the database, tables or JSON, sizes and times."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table

from app.services.inventory import Inventory
from app.services.operator import Operator
from app.settings import Settings
from app.store.session import Store

AsJson = Annotated[bool, typer.Option("--json", help="Machine readable output.")]

_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def store() -> Store:
    return Store(Settings.from_environ().database_url, pool=1)


def operator() -> Operator:
    return Operator(store())


def inventory() -> Inventory:
    return Inventory(store())


def console() -> Console:
    """As wide as the terminal; where there is none, wide enough that programs find a row in a line."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 240
    return Console(width=width, highlight=False)


def show_json(value: Any) -> None:
    typer.echo(json.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def show_table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    table = Table(*columns)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console().print(table)


def show_facts(facts: Mapping[str, Any]) -> None:
    """What is known of one thing, a line each."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(name, escape(value))
    console().print(table)


def clean(value: Any) -> str:
    """For a terminal: whoever chose a name must not move the operator's cursor."""
    if value is None:
        return "-"
    text = moment(value) if isinstance(value, datetime) else str(value)
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", text)


def escape(value: Any) -> str:
    """For a table, where brackets would be markup."""
    return escape_markup(clean(value))


def moment(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def size(value: int) -> str:
    """Bytes as people say them: 512 MiB, 1.5 GiB."""
    amount, unit = float(value), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.1f}".removesuffix(".0") + f" {unit}"


def cpus(nano: int) -> str:
    return f"{nano / 1e9:g}"


def read_size(text: str) -> int:
    """512m, 64g or bytes. Raises BadParameter."""
    match = re.fullmatch(r"(\d+)([bkmgt]?)", text.lower())
    if not match:
        raise typer.BadParameter(f"a size is a number and b, k, m, g or t, not {text!r}")
    return int(match[1]) * _SIZES[match[2]]


def read_moment(text: str) -> datetime:
    """A time ago (90s, 30m, 2h, 7d) or a time (2026-05-04, 2026-05-04T12:00, with Z or an offset; UTC without)."""
    if match := re.fullmatch(r"(\d{1,6})([smhdw])", text):
        return datetime.now(UTC) - timedelta(seconds=int(match[1]) * _SPANS[match[2]])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"a time is like 2h, 7d, 2026-05-04 or 2026-05-04T12:00Z, not {text!r}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
