"""`docker login` and `docker logout`: registries with a password, with tokens, and what may not be asked."""

from __future__ import annotations

import pytest

from tests import busybox
from tests.e2e.any_registry import AnyRegistry
from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.clients import Client, Docker
from tests.e2e.images import image, pack
from tests.e2e.stack import OWN_REGISTRY, Registry, Stack

pytestmark = pytest.mark.usefixtures("fresh_images")


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


def test_a_terminal_is_asked(stack: Stack, locked_registry: Registry, cli: str) -> None:
    host = locked_registry.host
    with Docker(stack, "alice", Client(cli)).terminal("login", host) as terminal:
        terminal.expect(b"Username")
        terminal.type(b"joe\r")
        terminal.expect(b"Password")
        terminal.type(b"secret\r")
        terminal.expect(b"Login Succeeded")
        assert terminal.wait() == 0
    assert "Removing login credentials" in stack.docker("alice", "logout", host, cli=cli).text


def test_the_data_centers_own_needs_none(stack: Stack, cli: str) -> None:
    assert "Login Succeeded" in login(stack, "alice", OWN_REGISTRY, "anybody", "anything", cli)
    stack.docker("alice", "logout", OWN_REGISTRY, cli=cli)


def test_bad_requests(stack: Stack) -> None:
    with Unchanged(stack):
        for body, words in (
            (None, "EOF"),
            (b"{", "invalid JSON: unexpected end of JSON input"),
            (b"[]", "the request body must be an object"),
            (b'{"username":1}', "invalid JSON: cannot unmarshal number into field username of type string"),
            (
                b'{"serveraddress":["x"]}',
                "invalid JSON: cannot unmarshal array into field serveraddress of type string",
            ),
        ):
            response = ask(stack, "alice", "POST", "/v1.44/auth", body)
            assert (response.status, message(response)) == (400, words), body
