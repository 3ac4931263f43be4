"""`docker push`, and what `docker manifest` asks of a registry."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import re

import pytest

from tests.e2e.behind import ask, message
from tests.e2e.images import image, on_the_engine, pack
from tests.e2e.stack import Registry, Stack

pytestmark = pytest.mark.usefixtures("fresh_images")


def test_push_and_pull(stack: Stack, registry: Registry, cli: str) -> None:
    files, image_id = image(f"push {cli}", f"{registry.host}/app/push{cli}:1")
    stack.docker("alice", "load", "-q", input=pack(files))
    name = f"{registry.host}/app/push{cli}"
    said = stack.docker("alice", "push", f"{name}:1", cli=cli).text.splitlines()
    assert said[0] == f"The push refers to repository [{name}]"
    digest = re.fullmatch(r"1: digest: (sha256:[0-9a-f]{64}) size: \d+", said[-1])
    assert digest and any(line.endswith(": Preparing") for line in said)
    listed = stack.docker("alice", "images", "--digests", "--format", "{{.Repository}} {{.Digest}}").text
    assert f"{name} {digest[1]}" in listed
    stack.docker("bob", "pull", "-q", f"{name}:1", cli=cli)
    assert stack.docker("bob", "images", "-q", "--no-trunc", name).text.strip() == image_id
    stack.docker("alice", "tag", f"{name}:1", f"{name}:2")
    said = stack.docker("alice", "push", "-a", name, cli=cli).text
    assert f"1: digest: {digest[1]}" in said and f"2: digest: {digest[1]}" in said
    # The engine has forgotten what it was called for the while.
    assert registry.host not in on_the_engine(stack, "images", "--digests").text


def test_the_engines_words(stack: Stack, registry: Registry, locked_registry: Registry, cli: str) -> None:
    for words in (f"{registry.host}/app/nosuch:1", f"{registry.host}/app/nosuch"):
        ours, stock = stack.docker("alice", "push", words, cli=cli, check=False), on_the_engine(stack, "push", words)
        assert (ours.code, ours.said) == (stock.code, stock.said)
    name = f"{locked_registry.host}/app/words:1"
    stack.docker("alice", "tag", "busybox", name)
    done = stack.docker("alice", "push", name, cli=cli, check=False)
    assert done.code == 1 and done.said.strip() == "no basic auth credentials"


def test_two_accounts_push_to_one_name(stack: Stack, registry: Registry) -> None:
    name = f"{registry.host}/app/both:1"
    digests = {}
    for account in ("alice", "bob"):
        stack.docker(account, "load", "-q", input=pack(image(f"both {account}", name)[0]))
    for _ in range(2):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            done = {account: pool.submit(stack.docker, account, "push", name) for account in ("alice", "bob")}
        for account, pushed in done.items():
            digest = pushed.result().text.split("digest: ")[1].split()[0]
            assert digests.setdefault(account, digest) == digest
    assert digests["alice"] != digests["bob"]


def test_the_wire(stack: Stack, registry: Registry) -> None:
    stack.docker("alice", "tag", "busybox", f"{registry.host}/app/wire:1")
    headers = {"X-Registry-Auth": base64.b64encode(b"{}").decode()}
    path = f"/v1.44/images/{registry.host}/app/wire/push?tag=1"
    response = ask(stack, "alice", "POST", path, headers=headers)
    assert response.status == 200 and response.headers.get_content_type() == "application/json"
    lines = [json.loads(line) for line in response.body.splitlines()]
    assert set(lines[-1]) == {"progressDetail", "aux"} and set(lines[-1]["aux"]) == {"Tag", "Digest", "Size"}
    found = ask(stack, "alice", "GET", f"/v1.44/distribution/{registry.host}/app/wire:1/json").json()
    assert found["Descriptor"]["digest"] == lines[-1]["aux"]["Digest"]
    assert found["Platforms"] == [{"architecture": "amd64", "os": "linux"}]
    gone = ask(stack, "alice", "GET", f"/v1.44/distribution/{registry.host}/app/wire:none/json")
    assert (gone.status, message(gone)) == (404, "manifest unknown: manifest unknown")
