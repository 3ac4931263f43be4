"""The API killed with -9 in the middle of a pull and a push: nobody has what nobody was told of, and nothing of it
stays on the engine."""

from __future__ import annotations

import gzip
import secrets
import threading
from collections.abc import Iterator

import pytest

from tests import busybox
from tests.e2e.any_registry import AnyRegistry, digest_of
from tests.e2e.clients import Docker
from tests.e2e.images import forget_images
from tests.e2e.stack import Stack
from tests.e2e.test_crash import kill_tree, settle
from tests.machine import wait_until


@pytest.fixture(autouse=True)
def fresh(stack: Stack, alice: str) -> Iterator[None]:
    forget_images(stack)
    yield
    forget_images(stack)


def pending(stack: Stack, kind: str) -> bool:
    return bool(stack.psql("SELECT id FROM operations WHERE kind = %s AND state = 'pending'", [kind]))


def kill(stack: Stack) -> None:
    kill_tree(stack.pid("gunicorn"))
    wait_until(lambda: answers(stack), "the API again", timeout=30)


def answers(stack: Stack) -> bool:
    try:
        return stack.request("alice", "GET", "/v1.44/images/json").status == 200
    except OSError:
        return False


def test_pull(stack: Stack, any_registry: AnyRegistry) -> None:
    layer = busybox.files({"data": secrets.token_bytes(100_000)})
    image_id = any_registry.image("app/crash", "1", [layer])
    name = f"{any_registry.host}/app/crash:1"
    gate = threading.Event()
    any_registry.held[f"/v2/app/crash/blobs/{digest_of(gzip.compress(layer, mtime=0))}"] = gate
    with Docker(stack, "alice").background("pull", name):
        wait_until(lambda: pending(stack, "pull"), "the pull")
        kill(stack)
    gate.set()
    settle(stack)
    assert "crash" not in stack.docker("alice", "images").text
    wait_until(lambda: stack.engine.call("GET", f"/images/{image_id}/json")[0] == 404, "the content's end", timeout=60)
    stack.docker("alice", "pull", "-q", name)
    assert stack.docker("alice", "images", "-q", "--no-trunc", name).text.strip() == image_id


def test_push(stack: Stack, any_registry: AnyRegistry) -> None:
    name = f"{any_registry.host}/app/crash:2"
    stack.docker("alice", "tag", "busybox", name)
    gate = threading.Event()
    any_registry.held["/v2/"] = gate
    with Docker(stack, "alice").background("push", name):
        wait_until(lambda: pending(stack, "push"), "the push")
        kill(stack)
    gate.set()
    settle(stack)
    tags = [tag for image in stack.engine.call("GET", "/images/json")[1] for tag in image["RepoTags"] or []]
    assert not any(any_registry.host in tag for tag in tags)
    assert "digest: sha256:" in stack.docker("alice", "push", name).text
