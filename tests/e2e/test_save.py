"""`docker save`."""

from __future__ import annotations

import json

import pytest

from tests.e2e.images import files_of, image, on_the_engine, pack
from tests.e2e.stack import Stack

pytestmark = pytest.mark.usefixtures("fresh_images")


def test_save_and_load(stack: Stack, cli: str) -> None:
    one, first = image(f"one {cli}", "app:one", "app:two")
    two, second = image(f"two {cli}", "reg.example.com/team/app:1")
    for files in (one, two):
        stack.docker("alice", "load", "-q", input=pack(files))
    archive = stack.docker("alice", "save", "app:one", "reg.example.com/team/app:1", cli=cli).stdout
    files = files_of(archive)
    entries = json.loads(files["manifest.json"])
    assert [entry["RepoTags"] for entry in entries] == [["app:one"], ["reg.example.com/team/app:1"]]
    assert [f"sha256:{entry['Config'].removesuffix('.json')}" for entry in entries] == [first, second]
    assert set(json.loads(files["repositories"])) == {"app", "reg.example.com/team/app"}
    for loaded in (stack.docker("bob", "load", input=archive, cli=cli).text, on_the_engine_load(stack, archive)):
        assert "Loaded image: app:one" in loaded and "Loaded image: reg.example.com/team/app:1" in loaded
    assert stack.docker("bob", "images", "-q", "--no-trunc", "app:one").text.strip() == first
    assert stack.docker("bob", "run", "--rm", "app:one", "echo", "hello").text == "hello\n"


def on_the_engine_load(stack: Stack, archive: bytes) -> str:
    """What a stock engine makes of it. It has the images again after that, and no names."""
    path = stack.home / "saved.tar"
    path.write_bytes(archive)
    said = on_the_engine(stack, "load", "-i", str(path)).text
    for name in ("app:one", "reg.example.com/team/app:1"):
        assert on_the_engine(stack, "rmi", name).code == 0
    return said


@pytest.mark.parametrize(("word", "tags"), [("id", None), ("prefix", None), ("repository", ["app:one", "app:two"])])
def test_by_other_words(stack: Stack, word: str, tags: list[str] | None) -> None:
    files, image_id = image("words", "app:one", "app:two")
    stack.docker("alice", "load", "-q", input=pack(files))
    name = {"id": image_id, "prefix": image_id[7:19], "repository": "app"}[word]
    saved = files_of(stack.docker("alice", "save", name).stdout)
    assert json.loads(saved["manifest.json"])[0]["RepoTags"] == tags


def test_nobody_elses(stack: Stack, cli: str) -> None:
    files, image_id = image("mine", "app:mine")
    stack.docker("alice", "load", "-q", input=pack(files))
    for name in ("app:mine", image_id, image_id[7:19], "app"):
        done = stack.docker("bob", "save", "busybox", name, cli=cli, check=False)
        assert done.code == 1 and done.said.strip() == f"Error response from daemon: No such image: {name}"
