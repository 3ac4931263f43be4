"""`deploy/SCHEMA.md` shows the schema as it is."""

from __future__ import annotations

import pytest

from app.store import description
from app.store.session import Store
from app.store.tables import metadata
from app.store.views import VIEWS
from tests import machine

PAGE = machine.ROOT / "deploy" / "SCHEMA.md"


@pytest.fixture
def parts(database_url: str) -> dict[str, str]:
    store = Store(database_url, pool=1)
    with store.autocommit() as tx:
        found = description.describe(tx)
    store.close()
    return found


def test_the_page_is_made_from_the_schema(parts: dict[str, str]) -> None:
    page = PAGE.read_text()
    assert description.renewed(page, parts) == page, "make it anew: sdc-docker db describe --into deploy/SCHEMA.md"


def test_everything_is_in_it(parts: dict[str, str]) -> None:
    for table in metadata.tables.values():
        assert (
            f"    {table.name} {{\n" in parts["picture"] and f"### {table.name}\n\n{table.comment}\n" in parts["tables"]
        )
        for column in table.columns:
            assert f"| `{column.name}` |" in parts["tables"]
    for view in VIEWS:
        assert f"### {view.name}\n\n{view.comment}\n" in parts["views"]
    assert 'accounts ||--o{ containers : "account_id"' in parts["picture"]
    assert 'nodes |o--o{ events : "node_id"' in parts["picture"]


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="begin picture"):
        description.renewed("a page", {"picture": "x"})
