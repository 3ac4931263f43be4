from __future__ import annotations

import uuid

import pytest

from app.services.identity import Refused
from tests.unit.api.stubs import Api


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1.19/version", 400, "client version 1.19 is too old. Minimum supported API version is 1.20"),
        ("/v1.45/version", 400, "client version 1.45 is too new. Maximum supported API version is 1.44"),
        ("/v1.9/version", 400, "client version 1.9 is too old"),
        ("/v1.100/version", 400, "client version 1.100 is too new"),
        ("/v2.0/version", 400, "too new"),
        ("/v1/version", 400, "too old"),
        ("/v1.4.4.4.4/version", 400, "invalid API version"),
    ],
)
def test_versions_out_of_range(api: Api, path: str, status: int, words: str) -> None:
    answer = api.call("GET", path)
    assert answer.status_int == status
    assert words in answer.text


def test_an_old_clients_refusal_is_plain_text(api: Api) -> None:
    assert api.call("GET", "/v1.19/version").content_type == "text/plain"
    assert api.call("GET", "/v1.45/version").content_type == "application/json"


@pytest.mark.parametrize("path", ["/version", "/v1.20/version", "/v1.44/version"])
def test_headers_of_every_answer(api: Api, path: str) -> None:
    answer = api.call("GET", path)
    assert answer.status_int == 200
    assert (answer.headers["Api-Version"], answer.headers["Ostype"]) == ("1.44", "linux")
    assert answer.headers["Docker-Experimental"] == "false"
    assert answer.headers["Server"].startswith("SDC-Docker/")
    assert uuid.UUID(answer.headers["X-Request-Id"])
    again = api.call("GET", path)
    assert again.headers["X-Request-Id"] != answer.headers["X-Request-Id"]


def test_refusals_have_them_too(api: Api) -> None:
    for answer in (api.call("GET", "/nothing"), api.call("GET", "/v9.9/version")):
        assert answer.headers["Api-Version"] == "1.44" and answer.headers["X-Request-Id"]


def test_a_stranger_learns_nothing(api: Api) -> None:
    """The same for what is there and what is not."""
    api.identity.refuse = Refused("unknown key SHA256:x")
    answers = [
        api.call(method, f"/v1.44{path}")
        for method, path in (("GET", "/version"), ("GET", "/nothing"), ("POST", "/containers/create"), ("PUT", "/x"))
    ]
    assert {(a.status_int, a.body) for a in answers} == {(401, b'{"message":"Unauthorized"}\n')}
    assert not any(stub.asked for stub in api.stubs.values())


@pytest.mark.parametrize("path", ["/_ping", "/v1.24/_ping", "/v1.44/_ping"])
def test_ping_needs_nobody(api: Api, path: str) -> None:
    api.identity.refuse = Refused("x")
    answer = api.call("GET", path)
    assert (answer.status_int, answer.text, answer.content_type) == (200, "OK", "text/plain")
    assert answer.headers["Api-Version"] == "1.44" and answer.headers["Builder-Version"] == "1"
    head = api.call("HEAD", path)
    assert (head.status_int, head.body) == (200, b"")
    assert api.call("POST", path).status_int == 404


@pytest.mark.parametrize("path", ["/_ping/", "/_ping/x", "/x/_ping", "/_PING"])
def test_nothing_else_is_open(api: Api, path: str) -> None:
    api.identity.refuse = Refused("x")
    assert api.call("GET", path).status_int == 401


@pytest.mark.parametrize("path", ["/containers/%0aX/json", "/containers/%00/json", "/containers/../json", "/./version"])
def test_paths_that_are_none(api: Api, path: str) -> None:
    answer = api.call("GET", path)
    assert answer.status_int in (400, 404)
    assert not api.queries.asked


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/v1.44//version", "/v1.44/version"),
        ("//version?a=b%20c", "/version?a=b%20c"),
        ("/containers//%C3%A9%20x/json", "/containers/%C3%A9%20x/json"),
    ],
)
def test_doubled_slashes_are_sent_elsewhere(api: Api, path: str, location: str) -> None:
    answer = api.call("GET", path)
    assert answer.status_int == 301
    assert answer.headers["Location"].removeprefix("http://localhost:80") == location


def test_a_query_is_read_once_and_strictly(api: Api) -> None:
    assert api.call("GET", "/containers/json?limit=1&limit=2").status_int == 400
    assert api.call("GET", "/containers/json?x=%ff").status_int == 400
    assert api.call("GET", "/containers/json?x=%00").status_int == 400
    assert not api.queries.asked
