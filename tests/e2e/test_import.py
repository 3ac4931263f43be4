"""`docker import`: an image of a file system, by a file, by stdin, by neither of another account's."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests import busybox
from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.stack import Stack

pytestmark = pytest.mark.usefixtures("fresh_images")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file system as an archive."""
    path = tmp_path / "root.tar"
    path.write_bytes(busybox.layer())
    return path


def test_from_a_file(stack: Stack, root: Path, cli: str) -> None:
    words = ("-m", "hello", "-c", 'CMD ["echo", "imported"]', "-c", "ENV A=b", str(root))
    image_id = stack.docker("alice", "import", *words, "imp:1", cli=cli).text.strip()
    shown = json.loads(stack.docker("alice", "image", "inspect", "imp:1").text)[0]
    assert (shown["Id"], shown["Comment"], shown["Config"]["Env"]) == (image_id, "hello", ["A=b"])
    assert stack.docker("alice", "run", "--rm", "imp:1").text == "imported\n"
    assert "imp" not in stack.docker("bob", "images").text


def test_from_stdin(stack: Stack, cli: str) -> None:
    files = busybox.files({"a": cli.encode()})
    piped = stack.docker("alice", "import", "-", input=files, cli=cli).text.strip()
    assert stack.docker("alice", "images", "-q", "--no-trunc", "-f", "dangling=true").text.strip() == piped
    stack.docker("alice", "import", "-", "imp:gz", input=gzip.compress(files), cli=cli)
    comment = stack.docker("alice", "history", "--no-trunc", "--format", "{{.Comment}}", "imp:gz", cli=cli).text
    assert comment == "Imported from -\n"
    # The name moves, the image that had it stays.
    second = stack.docker("alice", "import", "-", "imp:gz", input=busybox.files({"b": b"b"}), cli=cli).text.strip()
    assert stack.docker("alice", "images", "-q", "--no-trunc", "imp:gz").text.strip() == second
    made = stack.docker("alice", "create", "imp:gz", "/b", cli=cli).text.strip()
    assert stack.docker("alice", "cp", f"{made}:/b", "-", cli=cli).stdout.count(b"ustar") == 1


def test_of_an_export(stack: Stack, alice: str, cli: str) -> None:
    stack.docker(alice, "run", "--name", "changed", "busybox", "sh", "-c", "echo kept > /kept")
    exported = stack.docker(alice, "export", "changed", cli=cli).stdout
    stack.docker(alice, "import", "-", "imp:flat", input=exported, cli=cli)
    assert stack.docker(alice, "run", "--rm", "imp:flat", "cat", "/kept", cli=cli).text == "kept\n"


def test_refusals(stack: Stack, root: Path, cli: str) -> None:
    with Unchanged(stack):
        for bad, words in (
            (("http://169.254.169.254/x", "imp:2"), "importing from a URL is not available here"),
            (("-c", "RUN x", str(root), "imp:2"), "run is not a valid change command"),
            ((str(root), "IMP"), "lowercase"),
            (("--platform", "windows", str(root), "imp:2"), "unknown operating system"),
            ((str(root.parent / "nosuch"), "imp:2"), "no such file"),
        ):
            done = stack.docker("alice", "import", *bad, cli=cli, check=False)
            assert done.code == 1 and words in done.said, (bad, done)
        done = stack.docker("alice", "import", "-", "imp:2", input=b"no archive", cli=cli, check=False)
    assert done.code == 1 and done.said.strip(), done


def test_bad_requests(stack: Stack) -> None:
    with Unchanged(stack):
        for query, status, words in (
            ("fromSrc=-&repo=a%20b", 400, "invalid reference format"),
            ("fromSrc=-&repo=a&tag=b%20c", 400, None),
            ("fromSrc=-&repo=a&changes=BOGUS", 400, None),
            ("fromSrc=-&fromSrc=-", 400, 'parameter "fromSrc" is given more than once'),
            ("fromSrc=-&repo=a&repo=b", 400, 'parameter "repo" is given more than once'),
            ("fromSrc=-&message=a&message=b", 400, 'parameter "message" is given more than once'),
        ):
            answer = ask(stack, "alice", "POST", f"/images/create?{query}", busybox.files({"a": b"a"}))
            assert answer.status == status and words in (None, message(answer)), (query, answer.body)
