"""`docker search`: what a registry's index knows, in a stock engine's words."""

from __future__ import annotations

import urllib.parse
from typing import Any

import pytest

from tests.e2e.any_registry import AnyRegistry
from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.images import on_the_engine
from tests.e2e.stack import Stack

LONG = "A description that is longer than the room that a table of one line has for it"
INDEX: list[dict[str, Any]] = [
    {"name": "app", "description": "The official one", "star_count": 300, "is_official": True},
    {"name": "team/app", "description": LONG, "star_count": 5, "is_automated": True, "is_trusted": True},
    {"name": "x/app", "description": "", "star_count": 0, "pull_count": 3},
    {"name": "other", "description": "Nothing that was looked for", "star_count": 9},
]

WAYS = [
    (),
    ("--no-trunc",),
    ("--limit", "1"),
    ("--filter", "stars=5"),
    ("--filter", "is-official=true"),
    ("--filter", "is-automated=true", "--filter", "stars=1"),
    ("--filter", "is-official=false", "--format", "{{.Name}}|{{.Description}}|{{.StarCount}}|{{.IsOfficial}}|"),
    ("--format", "{{json .}}"),
]


@pytest.fixture
def host(any_registry: AnyRegistry) -> str:
    any_registry.index = INDEX
    return any_registry.host


def test_what_is_found(stack: Stack, any_registry: AnyRegistry, host: str, cli: str) -> None:
    for words in WAYS:
        ours = stack.docker("alice", "search", *words, f"{host}/app", cli=cli)
        stock = on_the_engine(stack, "search", *words, f"{host}/app", cli=cli)
        assert (ours.text, ours.said) == (stock.text, stock.said), words
    lines = stack.docker("alice", "search", f"{host}/app", cli=cli).text.splitlines()
    assert lines[0].split()[:4] == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert [line.split()[0] for line in lines[1:]] == ["app", "team/app", "x/app"]
    assert LONG not in "\n".join(lines)
    shown = stack.docker("alice", "search", "--no-trunc", "--limit", "2", f"{host}/team", cli=cli).text
    assert LONG in shown and any("q=team" in asked and "n=2" in asked for asked in any_registry.asked)
    nothing = stack.docker("alice", "search", f"{host}/nosuch", cli=cli).text
    assert len(nothing.splitlines()) == 1


def test_the_wire(stack: Stack, host: str) -> None:
    term = urllib.parse.quote(f"{host}/app", safe="")
    for version in ("1.20", "1.44"):
        response = ask(stack, "alice", "GET", f"/v{version}/images/search?term={term}")
        assert response.status == 200
        assert response.json()[0] == {
            "star_count": 300, "is_official": True, "name": "app", "is_automated": False,
            "description": "The official one",
        }  # fmt: skip
        assert len(response.json()) == 3


def test_without_an_index(stack: Stack, any_registry: AnyRegistry, cli: str) -> None:
    """As most private registries are: a stock engine finds that too."""
    term = f"{any_registry.host}/app"
    ours = stack.docker("alice", "search", term, cli=cli, check=False)
    stock = on_the_engine(stack, "search", term, cli=cli)
    assert (ours.code, ours.said) == (stock.code, stock.said) and ours.code == 1
    assert any(asked.startswith("GET /v1/search") for asked in any_registry.asked)


BAD = [
    ("term=a&limit=0", 400, "Limit 0 is outside the range of [1, 100]"),
    ("term=a&limit=101", 400, "Limit 101 is outside the range of [1, 100]"),
    ("term=a&limit=x", 400, 'strconv.Atoi: parsing "x": invalid syntax'),
    ("term=a&filters=x", 400, "invalid filter"),
    ('term=a&filters={"colour":["red"]}', 400, "Invalid filter 'colour'"),
    ('term=a&filters={"stars":["many"]}', 400, "Invalid filter 'stars=many'"),
    ('term=a&filters={"is-official":["x"]}', 400, "Invalid filter 'is-official=[x]'"),
    ("term=a&term=b", 400, 'parameter "term" is given more than once'),
    ("term=a%0ab", 400, "invalid search term"),
    ("term=10.0.0.1/a", 403, "registry 10.0.0.1 is not allowed: it is at an address of an inner network"),
]


@pytest.mark.parametrize(("query", "status", "words"), BAD, ids=[row[0] for row in BAD])
def test_bad_input(stack: Stack, query: str, status: int, words: str) -> None:
    path = "/v1.44/images/search?" + urllib.parse.quote(query, safe="=&%/")
    with Unchanged(stack):
        response = ask(stack, "alice", "GET", path)
    assert (response.status, message(response)) == (status, words)


def test_bad_input_by_the_cli(stack: Stack, host: str, cli: str) -> None:
    for words in (("--limit", "101", f"{host}/app"), ("--filter", "colour=red", f"{host}/app"), ("10.0.0.1/app",)):
        done = stack.docker("alice", "search", *words, cli=cli, check=False)
        assert done.code == 1 and done.said.startswith("Error response from daemon: "), done
    assert stack.docker("alice", "search", cli=cli, check=False).code == 1
