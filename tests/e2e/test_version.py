"""`docker version`, and the version that a client and the service agree on."""

from __future__ import annotations

import json

from tests.e2e.behind import ask
from tests.e2e.stack import Stack


def test_version(stack: Stack, cli: str) -> None:
    shown = json.loads(stack.docker("alice", "version", "--format", "{{json .Server}}", cli=cli).text)
    assert (shown["ApiVersion"], shown["MinAPIVersion"], shown["Os"]) == ("1.44", "1.20", "linux")
    assert "API version:      1.44 (minimum version 1.20)" in stack.docker("alice", "version", cli=cli).text
    plain = ask(stack, "alice", "GET", "/version").json()
    assert plain["Components"][0]["Details"]["ApiVersion"] == plain["ApiVersion"] == "1.44"
    assert ask(stack, "alice", "GET", "/v1.24/version").json()["ApiVersion"] == "1.44"


def test_the_client_negotiates(stack: Stack, cli: str) -> None:
    spoken = stack.docker("alice", "version", "--format", "{{.Client.APIVersion}}", cli=cli).text.strip()
    assert spoken == {"28": "1.44", "20": "1.41"}[cli]
    old = stack.docker("alice", "version", "--format", "{{.Client.APIVersion}}", cli=cli, api="1.24").text.strip()
    assert old == "1.24"
