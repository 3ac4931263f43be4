"""References by the grammar of distribution/reference."""

from __future__ import annotations

import pytest

from app.domain import image_reference
from app.errors import InvalidParameter

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest", "shown"),
    [
        ("busybox", "docker.io/library/busybox", "", "", "busybox"),
        ("busybox:1.36", "docker.io/library/busybox", "1.36", "", "busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox", "", "", "busybox"),
        ("index.docker.io/library/busybox:x", "docker.io/library/busybox", "x", "", "busybox:x"),
        ("bob/tool", "docker.io/bob/tool", "", "", "bob/tool"),
        ("library/a/b", "docker.io/library/a/b", "", "", "library/a/b"),
        ("localhost/tool", "localhost/tool", "", "", "localhost/tool"),
        ("localhost:5000/tool:v1", "localhost:5000/tool", "v1", "", "localhost:5000/tool:v1"),
        ("localhost:5000", "docker.io/library/localhost", "5000", "", "localhost:5000"),
        ("reg.example.com/a/b-c/d_e", "reg.example.com/a/b-c/d_e", "", "", "reg.example.com/a/b-c/d_e"),
        ("REG.example.com/a", "REG.example.com/a", "", "", "REG.example.com/a"),
        ("[2001:db8::1]:5000/a:t", "[2001:db8::1]:5000/a", "t", "", "[2001:db8::1]:5000/a:t"),
        (f"busybox@{DIGEST}", "docker.io/library/busybox", "", DIGEST, f"busybox@{DIGEST}"),
        (f"q.io/x:t@{DIGEST}", "q.io/x", "t", DIGEST, f"q.io/x:t@{DIGEST}"),
        ("a__b/c.d", "docker.io/a__b/c.d", "", "", "a__b/c.d"),
        ("cafe", "docker.io/library/cafe", "", "", "cafe"),
    ],
)
def test_parse(text: str, repository: str, tag: str, digest: str, shown: str) -> None:
    found = image_reference.parse(text)
    assert (found.repository, found.tag, found.digest, str(found)) == (repository, tag, digest, shown)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":x",
        "x:",
        "x:-tag",
        "x:" + "t" * 129,
        "-x",
        "x-",
        "a//b",
        "/a",
        "a/",
        "a b",
        "a\n",
        "a:b\n",
        "a...b",
        "a___b",
        "ä",
        "a@",
        "a@sha256:ab",
        "a@sha512:" + "ab" * 64,
        f"a@{DIGEST}x",
        "a:b/c",
        "host:port/c",
        "http://x/y",
        "a?b",
        "a%2fb",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match=r"^invalid reference format$"):
        image_reference.parse(text)


def test_a_long_name() -> None:
    with pytest.raises(InvalidParameter, match=r"^repository name must not be more than 255 characters$"):
        image_reference.parse("a" * 300)


def test_capitals() -> None:
    for text in ("Busybox", "q.io/Tool"):
        with pytest.raises(InvalidParameter, match=r"^invalid reference format: repository name must be lowercase$"):
            image_reference.parse(text)


def test_a_name_that_looks_like_an_id() -> None:
    with pytest.raises(InvalidParameter, match="cannot specify 64-byte hexadecimal strings"):
        image_reference.parse("ab" * 32)


def test_familiar() -> None:
    assert image_reference.familiar("docker.io/library/busybox") == "busybox"
    assert image_reference.familiar("docker.io/bob/tool") == "bob/tool"
    assert image_reference.familiar("q.io/library/tool") == "q.io/library/tool"
