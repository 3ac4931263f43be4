"""`docker push`, `docker login` and `docker search`: registries with a password, with tokens, and open ones."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import re

import pytest

from tests import busybox
from tests.e2e.any_registry import AnyRegistry
from tests.e2e.behind import Unchanged, ask, message
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


def login(stack: Stack, account: str, host: str, user: str, password: str, cli: str) -> str:
    words = ("login", "-u", user, "--password-stdin", host)
    done = stack.docker(account, *words, input=password.encode(), cli=cli, check=False)
    return done.text if done.code == 0 else done.said


def test_a_registry_with_a_password(stack: Stack, locked_registry: Registry, cli: str) -> None:
    host = locked_registry.host
    assert "401 Unauthorized" in login(stack, "alice", host, "joe", "wrong", cli)
    assert "Login Succeeded" in login(stack, "alice", host, "joe", "secret", cli)
    name = f"{host}/app/locked{cli}:1"
    stack.docker("alice", "tag", "busybox", name)
    assert "digest: sha256:" in stack.docker("alice", "push", name, cli=cli).text
    assert "Status: " in stack.docker("alice", "pull", name, cli=cli).text
    stack.docker("alice", "logout", host, cli=cli)
    done = stack.docker("alice", "pull", name, cli=cli, check=False)
    assert done.said.strip() == (
        f'Error response from daemon: Head "http://{host}/v2/app/locked{cli}/manifests/1": no basic auth credentials'
    )


def test_a_registry_with_tokens(stack: Stack, any_registry: AnyRegistry, cli: str) -> None:
    any_registry.users = {"joe": "secret", "eve": "secret"}
    host = any_registry.host
    assert "incorrect username or password" in login(stack, "alice", host, "joe", "wrong", cli)
    assert "Login Succeeded" in login(stack, "alice", host, "joe", "secret", cli)
    files, image_id = image(f"token {cli}", f"{host}/joe/app:1")
    stack.docker("alice", "load", "-q", input=pack(files))
    assert "digest: sha256:" in stack.docker("alice", "push", f"{host}/joe/app:1", cli=cli).text
    stack.docker("alice", "rmi", f"{host}/joe/app:1")
    stack.docker("alice", "pull", "-q", f"{host}/joe/app:1", cli=cli)
    assert stack.docker("alice", "images", "-q", "--no-trunc", f"{host}/joe/app").text.strip() == image_id
    any_registry.image("eve/app", "1", [busybox.files({"a": cli.encode()})])
    with Unchanged(stack):
        done = stack.docker("alice", "pull", f"{host}/eve/app:1", cli=cli, check=False)
    assert done.code == 1 and "unauthorized" in done.said
    stack.docker("alice", "logout", host, cli=cli)
    with Unchanged(stack):
        assert stack.docker("alice", "pull", f"{host}/joe/app:1", cli=cli, check=False).code == 1


def test_logins_elsewhere(stack: Stack) -> None:
    for address, status in (("10.1.2.3", 403), ("http://127.0.0.1:1/", 403), ("https://BAD host", 400)):
        body = {"username": "u", "password": "p", "serveraddress": address}
        response = ask(stack, "alice", "POST", "/v1.44/auth", body)
        assert response.status == status, response.body


def test_search(stack: Stack, any_registry: AnyRegistry, cli: str) -> None:
    """The tests' registry has no index, as a stock engine finds too."""
    term = f"{any_registry.host}/app"
    ours, stock = stack.docker("alice", "search", term, cli=cli, check=False), on_the_engine(stack, "search", term)
    assert (ours.code, ours.said) == (stock.code, stock.said)
    assert any(asked.startswith("GET /v1/search") for asked in any_registry.asked)
