"""Pulls from a registry."""

from __future__ import annotations

import pytest

from app.errors import NotFound
from tests.contract.conftest import Subject
from tests.contract.registry import ADDRESS, Content

TOOL = f"{ADDRESS}/lib/tool"


def pulled(subject: Subject, image: str, tag: str) -> list[dict]:
    with subject.engine.pull_image(image, tag) as body:
        return list(body.messages())


def digest_in(messages: list[dict]) -> str:
    found = [m["status"].removeprefix("Digest: ") for m in messages if m["status"].startswith("Digest: ")]
    assert len(found) == 1
    return found[0]


def test_pull(subject: Subject, registry: Content) -> None:
    messages = pulled(subject, TOOL, "1")
    assert messages[0] == {"status": "Pulling from lib/tool", "id": "1"}
    digest = digest_in(messages)
    seen = subject.engine.inspect_image(f"{TOOL}@{digest}")
    assert seen["Id"] == registry.ids["lib/tool", "1"]
    assert f"{TOOL}@{digest}" in seen["RepoDigests"] or not seen["RepoDigests"]
    again = pulled(subject, TOOL, "1")
    assert digest_in(again) == digest
    assert again[-1]["status"] == f"Status: Image is up to date for {TOOL}:1"


def test_pull_by_digest(subject: Subject, registry: Content) -> None:
    digest = digest_in(pulled(subject, TOOL, "2"))
    messages = pulled(subject, TOOL, digest)
    assert digest_in(messages) == digest
    assert subject.engine.inspect_image(f"{TOOL}@{digest}")["Id"] == registry.ids["lib/tool", "2"]


def test_unknown_tag(subject: Subject, registry: Content) -> None:
    with pytest.raises(NotFound) as raised:
        pulled(subject, TOOL, "none")
    assert raised.value.message == f"manifest for {TOOL}:none not found: manifest unknown: manifest unknown"
