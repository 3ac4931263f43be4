"""What a worker owes while it lives."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from app import bootstrap
from app.bootstrap import Worker
from app.server.relay import POOL_THREADS, Relay
from app.server.stream import Stream
from app.services.identity import Credential


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay()
    yield made
    made.stop()


def test_a_removed_keys_streams_are_cut_while_all_of_the_pool_waits(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For engines that do not answer, say."""
    monkeypatch.setattr(bootstrap, "REVOCATION_SECONDS", 0.01)
    monkeypatch.setattr(bootstrap, "atexit", SimpleNamespace(register=lambda work: None))
    waiting, go_on = threading.Semaphore(0), threading.Event()

    def wait() -> None:
        waiting.release()
        go_on.wait(60)

    for _ in range(POOL_THREADS):
        relay.every(0.0, wait)
    for _ in range(POOL_THREADS):
        assert waiting.acquire(timeout=30)
    mine, client = socket.socketpair()
    upstream, engine = socket.socketpair()
    credential = Credential("alice", "fingerprint")
    relay.add(Stream(client=client, upstream=upstream, identity=credential))

    nothing: Any = SimpleNamespace(follow=lambda: None, beat=lambda: None, run=lambda: None, write_or_warn=lambda: None)
    identity: Any = SimpleNamespace(still_valid=lambda identities: set())
    Worker(nothing, nothing, identity, nothing, nothing, nothing).worker_started(relay)
    mine.settimeout(30)
    try:
        assert mine.recv(1) == b""
    finally:
        go_on.set()
        mine.close()
        engine.close()
