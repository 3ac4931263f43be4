"""`docker tag`: names of images, which are the account's own."""

from __future__ import annotations

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.images import image, pack
from tests.e2e.stack import Stack

pytestmark = pytest.mark.usefixtures("fresh_images")


def load(stack: Stack, marker: str, *tags: str, account: str = "alice") -> str:
    files, image_id = image(marker, *tags)
    stack.docker(account, "load", "-q", input=pack(files))
    return image_id


def named(stack: Stack, name: str, account: str = "alice") -> str:
    """The id of the image that has the name, "" where none has."""
    return stack.docker(account, "images", "-q", "--no-trunc", name).text.strip()


def test_by_every_word(stack: Stack, cli: str) -> None:
    image_id = load(stack, f"tag {cli}", "app:one")
    for source, name, full in (
        ("app:one", "app:two", "app:two"),
        (image_id, "reg.example.com:5000/team/app", "reg.example.com:5000/team/app:latest"),
        (image_id[7:19], "docker.io/library/third:1", "third:1"),
        ("docker.io/library/app:one", "app:one", "app:one"),
    ):
        assert stack.docker("alice", "tag", source, name, cli=cli).text == ""
        assert named(stack, full) == image_id
    stack.docker("alice", "image", "tag", "app:two", "app:three", cli=cli)
    assert stack.docker("alice", "run", "--rm", "app:three", "echo", "hello", cli=cli).text == "hello\n"


def test_a_name_moves(stack: Stack, cli: str) -> None:
    first = load(stack, f"first {cli}", "app:one")
    second = load(stack, f"second {cli}", "app:two")
    stack.docker("alice", "tag", "app:two", "app:one", cli=cli)
    assert named(stack, "app:one") == second
    left = stack.docker("alice", "images", "-q", "--no-trunc", "-f", "dangling=true", cli=cli).text.split()
    assert left == [first], "the image stays without a name"


def test_two_accounts(stack: Stack, cli: str) -> None:
    hers, his = (load(stack, account, "app:one", account=account) for account in ("alice", "bob"))
    stack.docker("alice", "tag", "app:one", "app:two", cli=cli)
    stack.docker("bob", "tag", "app:one", "app:two", cli=cli)
    assert (named(stack, "app:two"), named(stack, "app:two", "bob")) == (hers, his)
    for source in (his, his[7:19]):
        with Unchanged(stack):
            done = stack.docker("alice", "tag", source, "mine", cli=cli, check=False)
        assert done.code == 1 and "No such image" in done.said


BAD = [
    ("busybox", "repo=A", 400, "invalid reference format: repository name must be lowercase"),
    ("busybox", "", 400, "invalid reference format"),
    ("busybox", "repo=a&tag=b%20c", 400, "invalid tag format"),
    ("busybox", f"repo=a@sha256:{'0' * 64}", 400, "refusing to create a tag with a digest reference"),
    ("busybox", "repo=a&repo=b", 400, 'parameter "repo" is given more than once'),
    ("busybox", "repo=a&tag=b&tag=c", 400, 'parameter "tag" is given more than once'),
    ("nosuch", "repo=a", 404, "No such image: nosuch:latest"),
    ("busybox:nosuch", "repo=a", 404, "No such image: busybox:nosuch"),
    ("BAD", "repo=a", 400, "invalid reference format: repository name must be lowercase"),
]


@pytest.mark.parametrize(("source", "query", "status", "words"), BAD, ids=[f"{row[0]} {row[1]}" for row in BAD])
def test_bad_input(stack: Stack, source: str, query: str, status: int, words: str) -> None:
    with Unchanged(stack):
        response = ask(stack, "alice", "POST", f"/v1.41/images/{source}/tag?{query}")
    assert (response.status, message(response)) == (status, words)


def test_bad_names_by_the_cli(stack: Stack, cli: str) -> None:
    with Unchanged(stack):
        for words in (("busybox", "BAD"), ("busybox", "a:b c"), ("nosuch", "a"), ("busybox",)):
            assert stack.docker("alice", "tag", *words, cli=cli, check=False).code == 1
