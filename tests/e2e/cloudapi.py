"""CloudAPI as its clients use it: HTTPS, each request signed with an SSH key."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cryptography.hazmat.primitives import serialization

from tests import signing
from tests.e2e.stack import Response, Stack


class Cloud:
    """An account with one of its keys: the one that the quickstart made for it, or another."""

    def __init__(self, stack: Stack, login: str, key: Any = None) -> None:
        self._stack = stack
        self.login = login
        self.key = key or serialization.load_ssh_private_key((stack.certificates(login) / "id").read_bytes(), None)

    def __call__(self, method: str, target: str, body: Any = None, **how: Any) -> Response:
        """A request that is signed, by default as the triton CLI signs; `how` is for signing.signed."""
        return self.send(method, target, body, signing.signed(self.key, self.login, method, target, **how))

    def send(
        self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None, source: str = ""
    ) -> Response:
        """A request with just these headers, from another address of loopback if wanted."""
        host, _, port = self._stack.cloudapi.rpartition(":")
        context = ssl.create_default_context(cafile=self._stack.about["ca_file"])
        connection = http.client.HTTPSConnection(
            host, int(port), timeout=30, context=context, source_address=(source, 0) if source else None
        )
        try:
            data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            kind = {"content-type": "application/json"} if data is not None else {}
            connection.request(method, target, body=data, headers=kind | (headers or {}))
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read())
        finally:
            connection.close()

    @contextmanager
    def registered(self, private: Any, name: str = "") -> Iterator[str]:
        """The key is the account's meanwhile; its MD5 fingerprint."""
        body = {"key": signing.public_line(private)} | ({"name": name} if name else {})
        added = self("POST", "/my/keys", body)
        assert added.status == 201, added
        try:
            yield added.json()["fingerprint"]
        finally:
            self("DELETE", f"/my/keys/{added.json()['fingerprint']}")
