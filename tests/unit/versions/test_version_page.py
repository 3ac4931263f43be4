"""`deploy/VERSIONS.md` says what the change objects do."""

from app.api.versions import CHANGES
from app.api.versions.page import page
from tests import machine

PAGE = machine.ROOT / "deploy" / "VERSIONS.md"


def test_every_change_is_on_the_page():
    text = page()
    assert all(change.sentence() in text for change in CHANGES)


def test_the_page_is_as_the_changes_are():
    assert PAGE.read_text() == page(), "make it anew: python -m app.api.versions.page > deploy/VERSIONS.md"
