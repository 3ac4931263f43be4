"""The data center's own registry: repositories of each account's own, by the certificate alone."""

from __future__ import annotations

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.images import image, on_the_engine, pack
from tests.e2e.stack import OWN_REGISTRY, Stack

pytestmark = pytest.mark.usefixtures("fresh_images")


def test_each_account_has_its_own(stack: Stack, cli: str) -> None:
    name = f"{OWN_REGISTRY}/team/app:{cli}"
    ids = {}
    for account in ("alice", "bob"):
        files, ids[account] = image(f"own {account} {cli}", name)
        stack.docker(account, "load", "-q", input=pack(files))
        said = stack.docker(account, "push", name, cli=cli)
        assert said.text.splitlines()[0] == f"The push refers to repository [{OWN_REGISTRY}/team/app]"
        stack.docker(account, "rmi", name)
    for account, image_id in ids.items():
        said = stack.docker(account, "pull", name, cli=cli).text
        assert f"Status: Downloaded newer image for {name}" in said and f"{cli}: Pulling from team/app" in said
        assert stack.docker(account, "images", "-q", "--no-trunc", name).text.strip() == image_id
    assert stack.docker("alice", "run", "--rm", name, "echo", "hello").text == "hello\n"
    assert "Login Succeeded" in stack.docker("alice", "login", "-u", "x", "-p", "y", OWN_REGISTRY, cli=cli).text


def test_what_another_has_is_not_there(stack: Stack) -> None:
    name = f"{OWN_REGISTRY}/secret:1"
    stack.docker("alice", "tag", "busybox", name)
    stack.docker("alice", "push", name)
    [(account_id,)] = stack.psql("SELECT id FROM accounts WHERE login = 'alice'")
    digits = str(account_id).replace("-", "")
    for path in ("secret", f"{digits}/secret", f"../{digits}/secret"):
        with Unchanged(stack):
            response = ask(stack, "bob", "POST", f"/images/create?fromImage={OWN_REGISTRY}/{path}&tag=1", typed=digits)
        assert response.status in (400, 404), response.body
        if response.status == 404:
            assert message(response).startswith(f"manifest for {OWN_REGISTRY}/{path}:1 not found: manifest unknown")
    found = ask(stack, "bob", "GET", f"/v1.44/distribution/{OWN_REGISTRY}/secret:1/json")
    assert found.status == 404
    assert ask(stack, "alice", "GET", f"/v1.44/distribution/{OWN_REGISTRY}/secret:1/json").status == 200


def test_where_it_is_cannot_be_named(stack: Stack) -> None:
    """Nobody goes there but the service: its address is an inner one, and it wants the service's password."""
    [address] = [
        line.partition("=")[2]
        for line in (stack.home / "run" / "supervisord.conf").read_text().replace(",", "\n").splitlines()
        if line.strip().startswith("SDC_REGISTRY_ADDRESS")
    ][:1]
    host = address.strip("\"' ")
    response = ask(stack, "alice", "POST", f"/images/create?fromImage={host}/x/secret&tag=1")
    assert response.status == 403, response.body
    assert on_the_engine(stack, "pull", f"{host}/x/secret:1").code == 1
