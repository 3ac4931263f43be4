from __future__ import annotations

import pytest

from app.api import middleware
from app.services.identity import Credential
from tests.unit.api.stubs import Api, make_api


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    """A client whose certificate is `alice`'s."""
    monkeypatch.setattr(middleware, "_credential", lambda pem, verify: Credential("alice", "SHA256:x"))
    return make_api()
