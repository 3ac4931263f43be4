"""The image resources over HTTP, with a service that records what it is asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

import falcon
import falcon.testing
import pytest

from app.api import errors, params, versions
from app.api.resources.images import ImageCreate, ImageInspect, ImageList, ImageLoad
from app.api.router import Route, Router
from app.api.share import Share
from app.errors import Error, InvalidParameter, NotFound
from app.stream import json_stream


class Messages:
    def __init__(self, messages: list[dict]) -> None:
        self._left = iter(messages)
        self.closed = False

    def __iter__(self) -> Iterator[dict]:
        return self

    def __next__(self) -> dict:
        return next(self._left)

    def close(self) -> None:
        self.closed = True


class StubImages:
    def __init__(self) -> None:
        self.asked: list[tuple] = []
        self.fails: Error | None = None
        self.messages = Messages([{"status": "Pulling from library/x", "id": "1"}, json_stream.error("lost")])

    def _ask(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.fails:
            raise self.fails

    def pull(self, account: str, name: str, tag: str, *, platform: str, auth: str) -> Messages:
        self._ask("pull", account, name, tag, platform, auth)
        return self.messages

    def inspect(self, account: str, name: str) -> dict:
        self._ask("inspect", account, name)
        return {"Id": "sha256:1", "Size": 5, "Created": "2024-01-01T00:00:00Z"}

    def load(self, account: str, chunks: Iterable[bytes]) -> list[dict]:
        if self.fails:
            next(iter(chunks))
        self._ask("load", account, b"" if self.fails else b"".join(chunks))
        return [{"stream": "Loaded image: x:1\n"}, {"stream": "Loaded image: ü:1\n"}]

    def list(self, account: str, *, everything: bool, filters: dict) -> list[dict]:
        self._ask("list", account, everything, filters)
        return [{"Id": "sha256:1", "RepoTags": [], "RepoDigests": [], "Size": 5}]


class Account(str):
    """An account that compares as its login."""

    id = uuid4()


class Context:
    def __init__(self, version: str) -> None:
        self._version = version

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.account = Account("alice")
        req.context.api_version = versions.parse(self._version)
        req.context.query = params.parse_query(req.query_string)


def client(images: StubImages, version: str = "1.44") -> falcon.testing.TestClient:
    routes = [
        Route("GET", "/images/json", ImageList(images).on_get, "images.list"),  # type: ignore[arg-type]
        Route("POST", "/images/create", ImageCreate(images, Share(2)).on_post, "images.create"),  # type: ignore[arg-type]
        Route("POST", "/images/load", ImageLoad(images, Share(2)).on_post, "images.load"),  # type: ignore[arg-type]
        Route("GET", "/images/{name}/json", ImageInspect(images).on_get, "images.inspect"),  # type: ignore[arg-type]
    ]
    app = falcon.App(router=Router(routes), middleware=[Context(version)])  # type: ignore[call-overload]
    app.add_error_handler(Error, errors.handle_kind)
    return falcon.testing.TestClient(app)


@pytest.fixture
def images() -> StubImages:
    return StubImages()


def test_pull(images: StubImages) -> None:
    credentials = base64.b64encode(b'{"username":"u","password":"p","extra":1}').decode()
    got = client(images).simulate_post(
        "/images/create",
        params={"fromImage": "q.io/x", "tag": "1", "platform": "linux/arm64"},
        headers={"X-Registry-Auth": credentials, "X-Meta-Evil": "1"},
    )
    assert got.status_code == 200
    assert got.headers["Content-Type"] == "application/json"
    assert got.text == (
        '{"status":"Pulling from library/x","id":"1"}\r\n{"errorDetail":{"message":"lost"},"error":"lost"}\r\n'
    )
    [(*asked, auth)] = images.asked
    assert asked == ["pull", "alice", "q.io/x", "1", "linux/arm64"]
    assert json.loads(base64.urlsafe_b64decode(auth)) == {"username": "u", "password": "p"}
    assert images.messages.closed


def test_pull_without_credentials(images: StubImages) -> None:
    for header in ("", "nonsense", base64.b64encode(b"[]").decode()):
        client(images).simulate_post("/images/create", params={"fromImage": "x"}, headers={"X-Registry-Auth": header})
    assert images.asked == [("pull", "alice", "x", "", "", "")] * 3


def test_pull_of_old_clients_knows_no_platform(images: StubImages) -> None:
    client(images, "1.31").simulate_post("/images/create", params={"fromImage": "x", "tag": "1", "platform": "a/b"})
    assert images.asked == [("pull", "alice", "x", "1", "", "")]


def test_pull_refused(images: StubImages) -> None:
    images.fails = NotFound("pull access denied for x")
    got = client(images).simulate_post("/images/create", params={"fromImage": "x", "tag": "1"})
    assert (got.status_code, got.json) == (404, {"message": "pull access denied for x"})


@pytest.mark.parametrize(("query", "status"), [("", 400), ("fromSrc=-", 501), ("fromImage=a&fromImage=b", 400)])
def test_pull_of_nothing(images: StubImages, query: str, status: int) -> None:
    got = client(images).simulate_post("/images/create", query_string=query)
    assert got.status_code == status
    assert set(got.json) == {"message"}
    assert images.asked == []


def test_list(images: StubImages) -> None:
    filters = '{"label":{"a=b":true},"dangling":["true"]}'
    assert client(images).simulate_get("/images/json", params={"filters": filters}).status_code == 400
    filters = '{"label":{"a=b":true},"dangling":{"true":true}}'
    got = client(images).simulate_get("/images/json", params={"filters": filters, "all": "1"})
    assert got.json == [{"Id": "sha256:1", "RepoTags": [], "RepoDigests": [], "Size": 5}]
    assert images.asked == [("list", "alice", True, {"label": ["a=b"], "dangling": ["true"]})]


def test_old_lists(images: StubImages) -> None:
    got = client(images, "1.24").simulate_get("/images/json", params={"filter": "busy*"})
    assert got.json[0]["RepoTags"] == ["<none>:<none>"]
    assert got.json[0]["VirtualSize"] == 5
    assert images.asked == [("list", "alice", False, {"reference": ["busy*"]})]


@pytest.mark.parametrize("name", ["x", "x:1", "reg.io:5000/a/b", "sha256:ab", "q.io/x@sha256:ab"])
def test_inspect(images: StubImages, name: str) -> None:
    got = client(images).simulate_get(f"/images/{name}/json")
    assert got.json["Id"] == "sha256:1"
    assert images.asked == [("inspect", "alice", name)]


def test_load(images: StubImages) -> None:
    got = client(images).simulate_post("/images/load", body=b"tar" * 100_000)
    assert got.headers["Content-Type"] == "application/json"
    assert got.content == '{"stream":"Loaded image: x:1\\n"}\r\n{"stream":"Loaded image: ü:1\\n"}\r\n'.encode()
    assert images.asked == [("load", "alice", b"tar" * 100_000)]


def test_old_clients_are_told_nothing_of_a_load(images: StubImages) -> None:
    got = client(images, "1.22").simulate_post("/images/load", body=b"tar")
    assert (got.status_code, got.content) == (200, b"")


def test_a_refused_load_reads_the_rest(images: StubImages) -> None:
    images.fails = InvalidParameter("unexpected EOF")
    got = client(images).simulate_post("/images/load", body=b"x" * 1_000_000)
    assert (got.status_code, got.json) == (400, {"message": "unexpected EOF"})
