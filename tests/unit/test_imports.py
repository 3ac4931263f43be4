"""Who may import whom: dependencies point inward, and each third party has one home."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parents[2] / "app"

#: Package of ours -> packages of ours that it may import.
ALLOWED = {
    "errors": set(),
    "settings": set(),
    "log": set(),
    "domain": {"errors"},
    "placement": {"errors", "domain"},
    "stream": {"errors"},
    "metrics": {"domain"},
    "server": {"errors", "metrics", "stream"},
    "store": {"errors", "domain"},
    "engine": {"errors", "domain", "metrics", "stream"},
    "services": {"errors", "domain", "placement", "stream", "store", "engine", "settings"},
    "api": {"errors", "domain", "metrics", "stream", "services"},
    "core": {"engine", "services", "settings", "store"},
    "cli": {"errors", "domain", "services", "settings", "store"},
}
#: Third party -> the only packages that may import it.
HOMES = {
    "falcon": {"api"},
    "gunicorn": {"server"},
    "sqlalchemy": {"store"},
    "psycopg2": {"store"},
    "http": {"engine", "metrics", "server"},
    "prometheus_client": {"metrics"},
    "typer": {"cli"},
    "rich": {"cli"},
    "alembic": {"cli"},
}


def modules() -> list[Path]:
    return sorted(path for path in APP.rglob("*.py") if path.stat().st_size)


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_there_are_modules_to_check() -> None:
    assert len(modules()) > 50


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(APP)))
def test_imports_point_inward(path: Path) -> None:
    package = path.relative_to(APP).parts[0].removesuffix(".py")
    for name in imported(path):
        words = name.split(".")
        if words[0] == "app" and package in ALLOWED:
            assert words[1] == package or words[1] in ALLOWED[package], f"{package} imports {name}"
        if words[0] in HOMES:
            assert package in HOMES[words[0]], f"{package} imports {name}"
