"""`docker pull`, and what `docker run` pulls by itself, from a registry that the operator allows."""

from __future__ import annotations

import concurrent.futures
import json
import secrets

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.images import on_the_engine
from tests.e2e.stack import Registry, Stack

pytestmark = pytest.mark.usefixtures("fresh_images")


def images(stack: Stack, account: str = "alice") -> set[str]:
    listed = stack.docker(account, "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").text
    return {line for line in listed.splitlines() if not line.startswith("busybox:")}


def test_by_tag(stack: Stack, registry: Registry, cli: str) -> None:
    marker = secrets.token_hex(8)
    digest, image_id = registry.push("app/tagged", "v1", marker=marker)
    name = f"{registry.host}/app/tagged:v1"
    said = stack.docker("alice", "pull", name, cli=cli).text.splitlines()
    assert said[0] == "v1: Pulling from app/tagged"
    assert f"Digest: {digest}" in said and f"Status: Downloaded newer image for {name}" in said
    assert any("Pull complete" in line for line in said) and said[-1] == name
    assert images(stack) == {f"{name} {image_id}"}
    assert stack.docker("alice", "run", "--rm", name, "cat", "/marker").text == marker
    again = stack.docker("alice", "pull", name, cli=cli).text
    assert f"Status: Image is up to date for {name}" in again
    assert stack.docker("alice", "pull", "-q", name, cli=cli).text == f"{name}\n"


def test_by_digest(stack: Stack, registry: Registry, cli: str) -> None:
    digest, image_id = registry.push("app/digest", "v1", marker=f"digest {cli}")
    name = f"{registry.host}/app/digest@{digest}"
    said = stack.docker("alice", "pull", name, cli=cli).text
    assert f"Status: Downloaded newer image for {name}" in said
    assert images(stack) == {f"{registry.host}/app/digest:<none> {image_id}"}
    shown = stack.docker("alice", "images", "--digests", "--format", "{{.Repository}} {{.Digest}}", cli=cli).text
    assert f"{registry.host}/app/digest {digest}" in shown
    assert stack.docker("alice", "run", "--rm", name, "cat", "/marker").text == f"digest {cli}"


def test_a_tag_that_moves(stack: Stack, registry: Registry) -> None:
    name = f"{registry.host}/app/moving:v"
    _, first = registry.push("app/moving", "v", marker="one")
    stack.docker("alice", "pull", name)
    stack.docker("alice", "create", "--name", "kept", name)
    _, second = registry.push("app/moving", "v", marker="two")
    assert "Downloaded newer image" in stack.docker("alice", "pull", name).text
    assert images(stack) == {f"{name} {second}", f"{registry.host}/app/moving:<none> {first}"}
    assert stack.docker("alice", "inspect", "-f", "{{.Image}}", "kept").text.strip() == first
    assert stack.docker("alice", "run", "--rm", name, "cat", "/marker").text == "two"


def test_the_same_tag_is_each_accounts_own(stack: Stack, registry: Registry) -> None:
    name = f"{registry.host}/app/shared:v"
    registry.push("app/shared", "v", marker="for alice")
    stack.docker("alice", "pull", name)
    assert images(stack, "bob") == set()
    registry.push("app/shared", "v", marker="for bob")
    stack.docker("bob", "pull", name)
    for account in ("alice", "bob"):
        assert stack.docker(account, "run", "--rm", name, "cat", "/marker").text == f"for {account}"


def test_what_the_stock_engine_pushed(stack: Stack, registry: Registry) -> None:
    image_id = stack.docker("alice", "images", "-q", "--no-trunc", "busybox:latest").text.strip()
    name = f"{registry.host}/app/pushed:1"
    assert on_the_engine(stack, "tag", image_id, name).code == 0
    pushed = on_the_engine(stack, "push", name)
    assert pushed.code == 0, pushed.said
    assert on_the_engine(stack, "rmi", name).code == 0
    stack.docker("alice", "pull", name)
    assert images(stack) == {f"{name} {image_id}"}
    assert stack.docker("alice", "run", "--rm", name, "echo", "hello").text == "hello\n"


def test_run_pulls(stack: Stack, registry: Registry, cli: str) -> None:
    registry.push("app/auto", "v1", marker=f"auto {cli}")
    name = f"{registry.host}/app/auto:v1"
    done = stack.docker("alice", "run", "--rm", name, "cat", "/marker", cli=cli)
    assert done.text == f"auto {cli}"
    assert f"Unable to find image '{name}' locally" in done.said
    assert "Unable to find" not in stack.docker("alice", "run", "--rm", name, "true", cli=cli).said


@pytest.mark.parametrize("api", ["1.20", "1.24"])
def test_old_versions(stack: Stack, registry: Registry, api: str) -> None:
    registry.push("app/old", "v1", marker=f"old {api}")
    name = f"{registry.host}/app/old:v1"
    said = stack.docker("alice", "pull", name, cli="20", api=api).text
    assert f"Status: Downloaded newer image for {name}" in said
    assert stack.docker("alice", "run", "--rm", name, "cat", "/marker", cli="20", api=api).text == f"old {api}"


def test_the_wire(stack: Stack, registry: Registry) -> None:
    digest, _ = registry.push("app/wire", "v1", marker="wire")
    response = ask(stack, "alice", "POST", f"/v1.44/images/create?fromImage={registry.host}/app/wire&tag=v1")
    assert response.status == 200 and response.headers.get_content_type() == "application/json"
    lines = [json.loads(line) for line in response.body.splitlines()]
    assert lines[0] == {"status": "Pulling from app/wire", "id": "v1"}
    assert {"status": f"Digest: {digest}"} in lines
    assert all(set(line) <= {"status", "id", "progress", "progressDetail"} for line in lines)


@pytest.mark.parametrize("words", ["app/nosuch:v1", "app/words:nosuch", f"app/words@sha256:{'0' * 64}"])
def test_unknown_ones_in_the_engines_words(stack: Stack, registry: Registry, cli: str, words: str) -> None:
    registry.push("app/words", "v1")
    name = f"{registry.host}/{words}"
    with Unchanged(stack):
        ours = stack.docker("alice", "pull", name, cli=cli, check=False)
    stock = on_the_engine(stack, "pull", name)
    assert (ours.code, ours.said) == (stock.code, stock.said)
    assert ours.code == 1


INNER = [
    "127.0.0.1:5000", "localhost:5000", "10.1.2.3:5000", "10.1.2.3", "192.168.1.1:5000", "172.16.0.1:443",
    "169.254.169.254:80", "[::1]:5000", "[fd00::1]:5000", "100.64.0.1:5000", "0.0.0.0:5000", "224.0.0.1:5000",
    "[::ffff:a01:203]:5000", "[64:ff9b::a01:203]:5000", "127.1:5000", "0x7f.0.0.1:5000",
]  # fmt: skip


@pytest.mark.parametrize("host", INNER)
def test_inner_hosts_are_refused_by_name(stack: Stack, host: str) -> None:
    with Unchanged(stack):
        response = ask(stack, "alice", "POST", f"/images/create?fromImage={host}/app&tag=latest")
    assert response.status == 403, response.body
    assert message(response) == f"registry {host} is not allowed: it is at an address of an inner network"


def test_other_ports_of_an_allowed_host_and_the_node_itself(stack: Stack, registry: Registry) -> None:
    for host in (f"{stack.host_address}:1", f"{stack.node_address}:5000", stack.node_address):
        response = ask(stack, "alice", "POST", f"/images/create?fromImage={host}/app&tag=latest")
        assert response.status == 403 and f"registry {host} is not allowed" in message(response)


def test_refused_by_the_cli(stack: Stack, cli: str) -> None:
    done = stack.docker("alice", "run", "--rm", "10.1.2.3:5000/app:1", cli=cli, check=False)
    assert done.code in (1, 125) and "registry 10.1.2.3:5000 is not allowed" in done.said


BAD = [
    ("fromImage=BAD&tag=1", 400, "invalid reference format: repository name must be lowercase"),
    ("fromImage=a%20b&tag=1", 400, "invalid reference format"),
    ("fromImage=busybox&tag=a%20b", 400, None),
    ("fromImage=busybox@sha256:abc", 400, "invalid reference format"),
    ("", 400, None),
    ("fromImage=", 400, None),
    ("fromSrc=http://169.254.169.254/x", 501, None),
    ("fromSrc=-&repo=X", 400, "invalid reference format: repository name must be lowercase"),
    ("fromImage=a&fromImage=b", 400, None),
    ("fromImage=%00", 400, None),
    ("fromImage=" + "a" * 300 + "&tag=1", 400, None),
    (f"fromImage={'0' * 64}&tag=1", 400, f"invalid repository name ({'0' * 64}), cannot specify 64-byte hexadecimal "
     "strings"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "status", "words"), BAD, ids=[row[0][:30] or "nothing" for row in BAD])
def test_bad_input(stack: Stack, query: str, status: int, words: str | None) -> None:
    with Unchanged(stack):
        response = ask(stack, "alice", "POST", f"/v1.41/images/create?{query}")
    assert response.status == status and (words is None or message(response) == words), response.body


def test_all_tags(stack: Stack, registry: Registry, cli: str) -> None:
    ids = {tag: registry.push("app/several", tag, marker=tag)[1] for tag in ("v1", "v2")}
    name = f"{registry.host}/app/several"
    said = stack.docker("alice", "pull", "-a", name, cli=cli).text
    assert "v1: Pulling from app/several" in said and f"Status: Downloaded newer image for {name}" in said
    assert images(stack) == {f"{name}:{tag} {image_id}" for tag, image_id in ids.items()}
    done = stack.docker("alice", "pull", "-a", f"{registry.host}/app/nosuch", cli=cli, check=False)
    assert done.said == on_the_engine(stack, "pull", "-a", f"{registry.host}/app/nosuch").said


def test_many_pulls_of_one_image(stack: Stack, registry: Registry) -> None:
    _, image_id = registry.push("app/many", "v1", marker="many")
    name = f"{registry.host}/app/many:v1"
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        done = [pool.submit(stack.docker, account, "pull", "-q", name) for account in ("alice", "bob") * 3]
        assert {future.result(60).text for future in done} == {f"{name}\n"}
    for account in ("alice", "bob"):
        assert images(stack, account) == {f"{name} {image_id}"}


def test_a_registry_that_is_away(stack: Stack, registry: Registry) -> None:
    """An allowed host whose registry does not answer as one: the words name no address of the node."""
    response = ask(stack, "alice", "POST", f"/images/create?fromImage={registry.host}/app/away&tag=v1", timeout=60)
    assert response.status in (200, 404, 500)
    assert stack.node_address not in response.body.decode()
