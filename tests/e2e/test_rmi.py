"""`docker rmi`, by Docker's rules, for two accounts."""

from __future__ import annotations

import json

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.images import image, pack
from tests.e2e.stack import Stack
from tests.machine import wait_until

pytestmark = pytest.mark.usefixtures("fresh_images")


def load(stack: Stack, marker: str, *tags: str, account: str = "alice") -> str:
    files, image_id = image(marker, *tags)
    stack.docker(account, "load", "-q", input=pack(files))
    return image_id


def names(stack: Stack, account: str = "alice") -> set[str]:
    listed = stack.docker(account, "images", "--format", "{{.Repository}}:{{.Tag}}").text.split()
    return {name for name in listed if not name.startswith("busybox:")}


def refused(stack: Stack, *words: str, cli: str | None = None) -> str:
    with Unchanged(stack):
        done = stack.docker("alice", "rmi", *words, cli=cli, check=False)
    # CLI 20.10 has words of its own for a 404.
    assert done.code == 1 and done.said.startswith("Error"), done
    return done.said.removeprefix("Error response from daemon: ").removeprefix("Error: ").strip()


def test_tag_and_untag(stack: Stack, cli: str) -> None:
    image_id = load(stack, f"tags {cli}", "app:one")
    stack.docker("alice", "tag", "app:one", "reg.example.com/team/app:two", cli=cli)
    stack.docker("alice", "tag", image_id[7:19], "third", cli=cli)
    assert names(stack) == {"app:one", "reg.example.com/team/app:two", "third:latest"}
    said = stack.docker("alice", "rmi", "app:one", cli=cli).text
    assert said == "Untagged: app:one\n"
    short = image_id[7:19]
    words = f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
    assert refused(stack, short, cli=cli) == words
    lines = stack.docker("alice", "rmi", "-f", short, cli=cli).text.splitlines()
    assert set(lines[:2]) == {"Untagged: reg.example.com/team/app:two", "Untagged: third:latest"}
    assert lines[2] == f"Deleted: {image_id}"
    assert names(stack) == set() and "No such image" in refused(stack, image_id, cli=cli)
    other = load(stack, f"moved {cli}", "app:one")
    stack.docker("alice", "tag", "busybox", "app:one", cli=cli)
    assert stack.docker("alice", "images", "-q", "--no-trunc", "-f", "dangling=true", cli=cli).text.strip() == other


def test_the_table_of_rules(stack: Stack, cli: str) -> None:
    image_id = load(stack, f"rules {cli}", "app:one")
    short = image_id[7:19]
    container = stack.docker("alice", "create", "app:one", "sleep", "600").text.strip()
    in_use = f'conflict: unable to remove repository reference "app:one" (must force) - container {container[:12]} is '
    in_use += f"using its referenced image {short}"
    assert refused(stack, "app:one", cli=cli) == in_use
    stopped = f"conflict: unable to delete {short} (must be forced) - image is being used by stopped container "
    assert refused(stack, short, cli=cli) == stopped + container[:12]
    stack.docker("alice", "start", container)
    assert refused(stack, "app:one", cli=cli) == in_use
    running = f"conflict: unable to delete {short} (cannot be forced) - image is being used by running container "
    for force in ([], ["-f"]):
        assert refused(stack, *force, image_id, cli=cli) == running + container[:12]
    assert stack.docker("alice", "rmi", "-f", "app:one", cli=cli).text == "Untagged: app:one\n"
    stack.docker("alice", "tag", image_id, "app:one")
    stack.docker("alice", "kill", container)
    lines = stack.docker("alice", "rmi", "-f", "app:one", cli=cli).text.splitlines()
    assert lines[:2] == ["Untagged: app:one", f"Deleted: {image_id}"]
    assert names(stack) == set()
    # Its container has it still.
    stack.docker("alice", "start", container)


def test_another_accounts_use_does_not_matter(stack: Stack) -> None:
    ids = {account: load(stack, "shared", "app:one", account=account) for account in ("alice", "bob")}
    stack.docker("bob", "run", "-d", "app:one", "sleep", "60")
    assert f"Deleted: {ids['alice']}" in stack.docker("alice", "rmi", "app:one").text
    assert names(stack) == set() and names(stack, "bob") == {"app:one"}
    for name in ("app:one", ids["bob"], ids["bob"][7:15]):
        assert "No such image" in refused(stack, name)
    assert stack.docker("bob", "run", "--rm", "app:one", "echo", "hello").text == "hello\n"


def test_content_leaves_the_node_with_its_last_account(stack: Stack) -> None:
    image_id = load(stack, "leaves", "app:one")
    load(stack, "leaves", "app:one", account="bob")
    for account in ("alice", "bob"):
        assert stack.engine.call("GET", f"/images/{image_id}/json")[0] == 200
        stack.docker(account, "rmi", "app:one")
    content = f"/images/{image_id}/json"
    wait_until(lambda: stack.engine.call("GET", content)[0] == 404, "the content's end", timeout=60)
    assert stack.psql("SELECT id FROM images WHERE id = %s", [image_id]) == []
    load(stack, "leaves", "app:one")
    assert stack.docker("alice", "run", "--rm", "app:one", "echo", "back").text == "back\n"


BAD = [
    ("DELETE", "/images/nosuch:x", 404, "No such image: nosuch:x"),
    ("DELETE", "/images/BAD", 400, "invalid reference format: repository name must be lowercase"),
    ("DELETE", "/images/sha256:zz", 404, "No such image: sha256:zz"),
    ("DELETE", "/images/%00", 400, "invalid path"),
]  # fmt: skip


def test_bad_input(stack: Stack) -> None:
    with Unchanged(stack):
        for method, path, status, words in BAD:
            response = ask(stack, "alice", method, f"/v1.41{path}")
            assert response.status == status, (path, response.body)
            assert words is None or message(response) == words, path


def test_events(stack: Stack) -> None:
    since = stack.psql("SELECT extract(epoch FROM now())::text")[0][0]
    image_id = load(stack, "events", "app:one")
    stack.docker("alice", "tag", "app:one", "app:two")
    stack.docker("alice", "save", "app:one")
    stack.docker("alice", "rmi", "app:one", "app:two")
    until = stack.psql("SELECT (extract(epoch FROM now()) + 1)::text")[0][0]
    path = f"/v1.44/events?since={since}&until={until}&filters=%7B%22type%22:%5B%22image%22%5D%7D"
    told = [json.loads(line) for line in ask(stack, "alice", "GET", path).body.splitlines()]
    assert [event["Action"] for event in told] == ["load", "tag", "save", "untag", "untag", "delete"]
    assert {event["Actor"]["ID"] for event in told} == {image_id}
    assert told[1]["status"] == "tag" and told[1]["id"] == image_id
    about = [event["Actor"]["Attributes"] for event in told]
    assert [one["name"] for one in about] == [image_id, "app:two", *[image_id] * 4]
    # An engine tells an image's labels as long as there is an image.
    assert [one.get("marker") for one in about] == ["events"] * 5 + [None]
    assert ask(stack, "bob", "GET", path).body == b""
