"""`docker history`."""

from __future__ import annotations

import json

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.images import image, on_the_engine, pack
from tests.e2e.stack import Stack

pytestmark = pytest.mark.usefixtures("fresh_images")

WAYS = [
    (),
    ("--no-trunc",),
    ("-q",),
    ("-H=false",),
    ("--format", "{{.ID}}|{{.CreatedAt}}|{{.CreatedSince}}|{{.CreatedBy}}|{{.Size}}|{{.Comment}}"),
    ("--no-trunc", "--format", "{{json .}}"),
]


def test_as_a_stock_engine_shows_it(stack: Stack, cli: str) -> None:
    """Of the same image, which both have with the same id."""
    files, image_id = image(f"history {cli}", "app:one")
    stack.docker("alice", "load", "-q", input=pack(files))
    assert on_the_engine(stack, "tag", image_id, "app:one").code == 0
    try:
        for words in WAYS:
            ours = stack.docker("alice", "history", *words, "app:one", cli=cli)
            stock = on_the_engine(stack, "history", *words, "app:one", cli=cli)
            assert (ours.text, ours.said) == (stock.text, stock.said), words
    finally:
        on_the_engine(stack, "rmi", "app:one")
    for name in (image_id, image_id[7:19], "docker.io/library/app:one"):
        assert stack.docker("alice", "history", "-q", "--no-trunc", name, cli=cli).text.strip() == image_id


def test_of_what_was_built(stack: Stack, cli: str) -> None:
    """Newest first; the steps of the base after one's own, without ids of their own."""
    dockerfile = f'FROM busybox\nLABEL of={cli}\nRUN echo 12345 > /x\nCMD ["cat", "/x"]\n'
    stack.docker("alice", "build", "-t", "app:built", "-", input=dockerfile.encode(), cli=cli, timeout=120)
    steps = stack.docker("alice", "history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Size}}", "app:built").text
    command, run, label, *base = steps.splitlines()
    assert 'CMD ["cat" "/x"]' in command and command.endswith("|0B")
    assert "echo 12345 > /x" in run and run.endswith("|6B")
    assert f"LABEL of={cli}" in label and base
    ids = stack.docker("alice", "history", "-q", "app:built", cli=cli).text.split()
    assert ids[0] == stack.docker("alice", "images", "-q", "app:built").text.strip()


def test_the_wire_and_refusals(stack: Stack, cli: str) -> None:
    stack.docker("alice", "load", "-q", input=pack(image("history", "app:one")[0]))
    for version in ("1.20", "1.44"):
        [step] = ask(stack, "alice", "GET", f"/v{version}/images/app:one/history").json()
        assert set(step) == {"Id", "Created", "CreatedBy", "Tags", "Size", "Comment"}
        assert step["Tags"] == ["app:one"] and step["Size"] > 0
    with Unchanged(stack):
        assert "No such image" in stack.docker("bob", "history", "app:one", cli=cli, check=False).said
        for name, status, words in (
            ("nosuch", 404, "No such image: nosuch:latest"),
            ("app:two", 404, "No such image: app:two"),
            ("BAD", 400, "invalid reference format: repository name must be lowercase"),
        ):
            answer = ask(stack, "alice", "GET", f"/images/{name}/history")
            assert answer.status == status and message(answer) == words, (name, answer.body)
            done = stack.docker("alice", "history", name, cli=cli, check=False)
            assert done.code == 1 and done.said.startswith("Error response from daemon: ")
    assert json.loads(ask(stack, "alice", "GET", "/images/app:one/history").body)
