"""`docker images` and `docker image inspect`."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.images import forget_images, image, pack
from tests.e2e.stack import Registry, Stack


@pytest.fixture(scope="module")
def ids(stack: Stack, registry: Registry) -> Iterator[dict[str, str]]:
    """alice has app:one, app:two, team/app:one, an image without a name, and one by digest; bob has app:one."""
    for account in ("alice", "bob"):
        stack.remove_all(account)
    forget_images(stack)
    found = {}
    for key, tags in (("one", ["app:one", "team/app:one"]), ("two", ["app:two"]), ("none", []), ("his", ["app:one"])):
        files, found[key] = image(f"images {key}", *tags)
        stack.docker("bob" if key == "his" else "alice", "load", "-q", input=pack(files))
    found["digest"], found["pulled"] = registry.push("app/images", "v1", marker="images")
    stack.docker("alice", "pull", "-q", f"{registry.host}/app/images@{found['digest']}")
    yield found
    forget_images(stack)


def listed(stack: Stack, *words: str, template: str = "{{.Repository}}:{{.Tag}}", **how: str) -> list[str]:
    return stack.docker("alice", "images", "--format", template, *words, **how).text.split()


@pytest.mark.parametrize("api", [None, "1.24", "1.20"])
def test_table(stack: Stack, registry: Registry, ids: dict[str, str], cli: str, api: str | None) -> None:
    if api and cli != "20":
        pytest.skip("pinned versions are spoken by CLI 20.10")
    lines = stack.docker("alice", "images", cli=cli, api=api).text.splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    rows = {tuple(line.split()[:3]) for line in lines[1:]}
    short = {key: value[7:19] for key, value in ids.items()}
    assert {
        ("app", "one", short["one"]), ("team/app", "one", short["one"]), ("app", "two", short["two"]),
        ("<none>", "<none>", short["none"]), (f"{registry.host}/app/images", "<none>", short["pulled"]),
    } <= rows  # fmt: skip
    assert not any(row[2] == short["his"] for row in rows)


FILTERS = [
    ("app", {"app:one", "app:two"}),
    ("app:one", {"app:one"}),
    ("team/app", {"team/app:one"}),
    ("*/app", {"team/app:one"}),
    ("a?p", {"app:one", "app:two"}),
    ("nosuch", set()),
    ("-f reference=app:t*", {"app:two"}),
    ("-f reference=*/*:one", {"team/app:one"}),
    ("-f label=marker=images-two", set()),
    ("-f label=nosuch", set()),
    ("-f dangling=false -f reference=app", {"app:one", "app:two"}),
]


@pytest.mark.parametrize(("words", "expected"), FILTERS, ids=[row[0] for row in FILTERS])
def test_filters(stack: Stack, ids: dict[str, str], cli: str, words: str, expected: set[str]) -> None:
    assert set(listed(stack, *words.split(), cli=cli)) == expected


def test_dangling(stack: Stack, registry: Registry, ids: dict[str, str], cli: str) -> None:
    """Those without a tag; a digest is none."""
    found = listed(stack, "-f", "dangling=true", cli=cli)
    assert sorted(found) == sorted(["<none>:<none>", f"{registry.host}/app/images:<none>"])


def test_labels_with_spaces(stack: Stack, ids: dict[str, str]) -> None:
    assert listed(stack, "-f", "label=marker=images two") == ["app:two"]
    assert len(listed(stack, "-f", "label=marker")) == 4


def test_quiet_long_and_digests(stack: Stack, registry: Registry, ids: dict[str, str], cli: str) -> None:
    assert stack.docker("alice", "images", "-q", "app", cli=cli).text.split() in (
        [ids["one"][7:19], ids["two"][7:19]], [ids["two"][7:19], ids["one"][7:19]],
    )  # fmt: skip
    assert ids["two"] in stack.docker("alice", "images", "-q", "--no-trunc", cli=cli).text.split()
    digests = listed(stack, "--digests", template="{{.Repository}}@{{.Digest}}", cli=cli)
    assert f"{registry.host}/app/images@{ids['digest']}" in digests
    assert len(listed(stack, "-a", cli=cli)) >= len(listed(stack, cli=cli))


def test_inspect(stack: Stack, registry: Registry, ids: dict[str, str], cli: str) -> None:
    seen = json.loads(stack.docker("alice", "image", "inspect", "app:one", cli=cli).text)[0]
    assert seen["Id"] == ids["one"] and sorted(seen["RepoTags"]) == ["app:one", "team/app:one"]
    assert seen["Config"]["Labels"] == {"marker": "images one"} and seen["Os"] == "linux"
    assert seen["Size"] > 1_000_000 and seen["RootFS"]["Layers"]
    assert seen["GraphDriver"]["Data"] is None
    pulled = json.loads(stack.docker("alice", "inspect", ids["pulled"][7:19], cli=cli).text)[0]
    assert pulled["RepoDigests"] == [f"{registry.host}/app/images@{ids['digest']}"] and pulled["RepoTags"] == []


@pytest.mark.parametrize("version", ["1.20", "1.24", "1.44"])
def test_every_name_of_an_image(stack: Stack, registry: Registry, ids: dict[str, str], version: str) -> None:
    names = ["app:one", "team/app:one", "docker.io/library/app:one", ids["one"], ids["one"][7:], ids["one"][7:19]]
    for name in names:
        response = ask(stack, "alice", "GET", f"/v{version}/images/{name}/json")
        assert response.json()["Id"] == ids["one"], name
    by_digest = ask(stack, "alice", "GET", f"/v{version}/images/{registry.host}/app/images@{ids['digest']}/json")
    assert by_digest.json()["Id"] == ids["pulled"]


def test_unknown_and_not_yours_are_the_same(stack: Stack, registry: Registry, ids: dict[str, str]) -> None:
    his = ids["his"]
    pulled = f"{registry.host}/app/images@{ids['digest']}"
    cases = [("alice", his), ("alice", his[7:]), ("alice", his[7:19]), ("alice", "nosuch"), ("alice", "app:nosuch")]
    cases += [("bob", "app:two"), ("bob", ids["two"]), ("bob", ids["pulled"][7:19]), ("bob", pulled)]
    with Unchanged(stack):
        for account, name in cases:
            response = ask(stack, account, "GET", f"/images/{name}/json")
            shown = f"{name}:latest" if name in ("nosuch", his[7:19], ids["pulled"][7:19], his[7:]) else name
            assert response.status == 404 and message(response).startswith("No such image: "), name
            assert message(response) in (f"No such image: {shown}", f"No such image: {name}")
            create = ask(stack, account, "POST", "/containers/create", {"Image": name})
            assert create.status == 404 and message(create).startswith("No such image: "), name


BAD = [
    ('{"bogus":["x"]}', 400, "Invalid filter 'bogus'"),
    ('{"dangling":["maybe"]}', 400, "Invalid filter 'dangling=[maybe]'"),
    ('{"reference":["["]}', 400, "syntax error in pattern"),
    ('{"before":["nosuch"]}', 404, None),
    ("[]", 400, "invalid filter"),
    ("x", 400, "invalid filter"),
]


@pytest.mark.parametrize(("filters", "status", "words"), BAD, ids=[row[0] for row in BAD])
def test_bad_filters(stack: Stack, filters: str, status: int, words: str | None) -> None:
    response = ask(stack, "alice", "GET", f"/images/json?filters={urllib.parse.quote(filters)}")
    assert response.status == status and (words is None or message(response) == words)
