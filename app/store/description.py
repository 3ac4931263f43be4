"""The schema in words and as a picture, read from the database's own catalog, for `deploy/SCHEMA.md`.

A part of that page stands between `<!-- begin NAME -->` and `<!-- end NAME -->`: `picture` (tables with their keys, as
Mermaid draws them), `tables` and `views` (every column with its comment).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sqlalchemy import Row, text

from app.store.session import Transaction

_COLUMNS = text(
    """
    SELECT c.relname AS relation, c.relkind = 'v' AS is_view, obj_description(c.oid, 'pg_class') AS about,
           a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS needed,
           col_description(c.oid, a.attnum) AS said,
           EXISTS (SELECT FROM pg_constraint k
                   WHERE k.conrelid = c.oid AND k.contype = 'p' AND a.attnum = ANY (k.conkey)) AS is_key,
           EXISTS (SELECT FROM pg_constraint k
                   WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)) AS refers,
           EXISTS (SELECT FROM pg_constraint k
                   WHERE k.conrelid = c.oid AND k.contype = 'u' AND a.attnum = ANY (k.conkey)) AS is_unique
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'v') AND c.relname <> 'alembic_version'
    ORDER BY c.relname, a.attnum
    """
)
_REFERENCES = text(
    """
    SELECT k.conrelid::regclass::text AS source, k.confrelid::regclass::text AS target,
           string_agg(a.attname, ', ' ORDER BY a.attnum) AS columns, bool_and(a.attnotnull) AS needed
    FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
    WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace
    GROUP BY k.oid ORDER BY 1, 3
    """
)

_SHORT = {"timestamp with time zone": "timestamptz", "integer": "int", "boolean": "bool"}


def describe(tx: Transaction) -> dict[str, str]:
    """The parts by name, as Markdown."""
    columns, references = tx.execute(_COLUMNS).all(), tx.execute(_REFERENCES).all()
    tables = [c for c in columns if not c.is_view]
    return {
        "picture": _picture(tables, references),
        "tables": _lists(tables),
        "views": _lists(c for c in columns if c.is_view),
    }


def renewed(page: str, parts: dict[str, str]) -> str:
    """The page with each part between its marks. Raises ValueError where a mark is missing."""
    for name, part in parts.items():
        marked = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        if not marked.search(page):
            raise ValueError(f"the page has no part between <!-- begin {name} --> and <!-- end {name} -->")
        page = marked.sub(lambda found, part=part: f"{found[1]}{part}{found[2]}", page)  # type: ignore[misc]
    return page


def _picture(tables: Sequence[Row], references: Iterable[Row]) -> str:
    lines = ["```mermaid", "erDiagram"]
    for name in dict.fromkeys(column.relation for column in tables):
        lines.append(f"    {name} {{")
        for column in tables:
            marks = [
                mark for mark, has in (("PK", column.is_key), ("FK", column.refers), ("UK", column.is_unique)) if has
            ]
            if column.relation == name and marks:
                lines.append(f"        {_type(column)} {column.name} {', '.join(marks)}")
        lines.append("    }")
    for reference in references:
        end = "||" if reference.needed else "|o"
        lines.append(f'    {reference.target} {end}--o{{ {reference.source} : "{reference.columns}"')
    return "\n".join([*lines, "```", ""])


def _lists(columns: Iterable[Row]) -> str:
    lines: list[str] = []
    last = ""
    for column in columns:
        if column.relation != last:
            last = column.relation
            lines += ["", f"### {last}", "", column.about or "", "", "| | | |", "|---|---|---|"]
        null = "" if column.needed or column.is_view else ", null"
        said = (column.said or "").replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| `{column.name}` | {_type(column)}{null} | {said} |")
    return "\n".join([*lines, "", ""])


def _type(column: Row) -> str:
    return _SHORT.get(column.type, column.type)
