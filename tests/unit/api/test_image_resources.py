"""The image resources over HTTP, with a service that records what it is asked."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any, cast
from uuid import uuid4

import falcon
import falcon.testing
import pytest

from app.api import errors, params, versions
from app.api.resources.images import (
    ImageActions,
    ImageCreate,
    ImageList,
    ImageLoading,
    ImagePrune,
    ImagePushing,
    ImageSaving,
)
from app.api.resources.registries import RegistryCalls
from app.api.router import Route, Router
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
        self.last: list[dict] = []
        self.messages = Messages([{"status": "Pulling from library/x", "id": "1"}, json_stream.error("lost")])

    def _ask(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.fails:
            raise self.fails

    def pull(self, account: str, name: str, tag: str, *, platform: str, auth: dict) -> Messages:
        self._ask("pull", account, name, tag, platform, auth)
        return self.messages

    def inspect(self, account: str, name: str) -> dict:
        self._ask("inspect", account, name)
        return {"Id": "sha256:1", "Size": 5, "Created": "2024-01-01T00:00:00Z"}

    def load(self, account: str, chunks: Iterable[bytes], *, quiet: bool) -> Messages:
        if self.fails:
            next(iter(chunks))
        self._ask("load", account, b"" if self.fails else b"".join(chunks), quiet)
        return Messages([{"stream": "Loaded image: x:1\n"}, {"stream": "Loaded image: ü:1\n"}, *self.last])

    def import_(self, account: str, source: str, chunks: Iterable[bytes], **how: Any) -> dict:
        self._ask("import", account, source, b"".join(chunks), how)
        return {"status": "sha256:1"}

    def push(self, account: str, name: str, tag: str, *, auth: dict) -> Messages:
        self._ask("push", account, name, tag, auth)
        return self.messages

    def save(self, account: str, names: list[str]) -> Messages:
        self._ask("save", account, names)
        return Messages([b"tar", b"ball"])  # type: ignore[list-item]

    def list(self, account: str, *, everything: bool, filters: dict, shared_size: bool) -> list[dict]:
        self._ask("list", account, everything, filters, *([shared_size] if shared_size else []))
        return [{"Id": "sha256:1", "RepoTags": [], "RepoDigests": [], "Size": 5}]

    def tag(self, *asked: Any) -> None:
        self._ask("tag", *asked)

    def history(self, *asked: Any) -> Any:
        self._ask("history", *asked)
        return [{"Id": "sha256:1", "Tags": None}]

    def remove(self, account: str, name: str, *, force: bool, prune: bool) -> Any:
        self._ask("remove", account, name, force, prune)
        return [{"Untagged": "x:1"}]

    def prune(self, account: str, filters: dict) -> dict:
        self._ask("prune", account, filters)
        return {"ImagesDeleted": None, "SpaceReclaimed": 0}

    def login(self, auth: dict) -> dict:
        self._ask("login", auth)
        return {"IdentityToken": "", "Status": "Login Succeeded"}

    def distribution(self, account: str, name: str, auth: dict) -> dict:
        self._ask("distribution", account, name, auth)
        return {"Descriptor": {}, "Platforms": []}

    def search(self, term: str, *, limit: int | None, filters: dict, auth: dict) -> Any:
        self._ask("search", term, limit, filters, auth)
        return []


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
    stub = cast(Any, images)
    image, saving, registries = ImageActions(stub, stub), ImageSaving(stub), RegistryCalls(stub)
    routes = [
        Route("GET", "/images/json", ImageList(stub).on_get, "images.list"),
        Route("POST", "/images/create", ImageCreate(stub, stub).on_post, "images.create"),
        Route("POST", "/images/load", ImageLoading(stub).on_post, "images.load"),
        Route("GET", "/images/get", saving.on_get_all, "images.save"),
        Route("GET", "/images/search", registries.on_search, "images.search"),
        Route("POST", "/images/prune", ImagePrune(stub).on_post, "images.prune"),
        Route("GET", "/images/{name}/get", saving.on_get, "images.save"),
        Route("GET", "/images/{name}/json", image.on_inspect, "images.inspect"),
        Route("GET", "/images/{name}/history", image.on_history, "images.history"),
        Route("POST", "/images/{name}/push", ImagePushing(stub).on_post, "images.push"),
        Route("POST", "/images/{name}/tag", image.on_tag, "images.tag"),
        Route("DELETE", "/images/{name}", image.on_remove, "images.remove"),
        Route("POST", "/auth", registries.on_auth, "system.auth"),
        Route("GET", "/distribution/{name}/json", registries.on_distribution, "distribution.inspect"),
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
    assert images.asked == [("pull", "alice", "q.io/x", "1", "linux/arm64", {"username": "u", "password": "p"})]
    assert images.messages.closed


def test_pull_without_credentials(images: StubImages) -> None:
    for header in ("", "nonsense", base64.b64encode(b"[]").decode()):
        client(images).simulate_post("/images/create", params={"fromImage": "x"}, headers={"X-Registry-Auth": header})
    assert images.asked == [("pull", "alice", "x", "", "", {})] * 3


def test_pull_of_old_clients_knows_no_platform(images: StubImages) -> None:
    client(images, "1.31").simulate_post("/images/create", params={"fromImage": "x", "tag": "1", "platform": "a/b"})
    assert images.asked == [("pull", "alice", "x", "1", "", {})]


def test_pull_refused(images: StubImages) -> None:
    images.fails = NotFound("pull access denied for x")
    got = client(images).simulate_post("/images/create", params={"fromImage": "x", "tag": "1"})
    assert (got.status_code, got.json) == (404, {"message": "pull access denied for x"})


@pytest.mark.parametrize(
    ("query", "status"), [("", 400), ("fromSrc=-&fromSrc=-", 400), ("fromImage=a&fromImage=b", 400)]
)
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
    assert images.asked == [("load", "alice", b"tar" * 100_000, True)]


def test_load_with_progress(images: StubImages) -> None:
    client(images).simulate_post("/images/load", params={"quiet": "0"}, body=b"tar")
    assert images.asked == [("load", "alice", b"tar", False)]


def test_old_clients_are_told_of_a_failed_load(images: StubImages) -> None:
    images.last = [json_stream.error("no space left")]
    got = client(images, "1.22").simulate_post("/images/load", body=b"tar")
    assert (got.status_code, got.text) == (500, "no space left\n")


def test_old_clients_are_told_nothing_of_a_load(images: StubImages) -> None:
    got = client(images, "1.22").simulate_post("/images/load", body=b"tar")
    assert (got.status_code, got.content) == (200, b"")


def test_a_refused_load_reads_the_rest(images: StubImages) -> None:
    images.fails = InvalidParameter("unexpected EOF")
    got = client(images).simulate_post("/images/load", body=b"x" * 1_000_000)
    assert (got.status_code, got.json) == (400, {"message": "unexpected EOF"})


def test_import(images: StubImages) -> None:
    query = "fromSrc=-&repo=r&tag=1&message=m&changes=CMD+a&changes=USER+b&platform=linux"
    got = client(images).simulate_post("/images/create", query_string=query, body=b"tar")
    assert got.text == '{"status":"sha256:1"}\r\n'
    how = {"repository": "r", "tag": "1", "message": "m", "changes": ["CMD a", "USER b"], "platform": "linux"}
    assert images.asked == [("import", "alice", "-", b"tar", how)]


def test_push(images: StubImages) -> None:
    headers = {"X-Registry-Auth": base64.b64encode(b'{"username":"u"}').decode()}
    got = client(images).simulate_post("/images/q.io/x/push", params={"tag": "1"}, headers=headers)
    assert got.status_code == 200 and got.text.count("\r\n") == 2
    assert images.asked == [("push", "alice", "q.io/x", "1", {"username": "u"})]
    assert images.messages.closed


@pytest.mark.parametrize(("body", "auth"), [({}, {}), ({"username": "u", "email": "", "other": 1}, {"username": "u"})])
def test_credentials_in_the_body_of_a_push(images: StubImages, body: dict, auth: dict) -> None:
    """As before there was a header for them; the SDK for Python sends `{}` where it has none."""
    got = client(images).simulate_post("/images/q.io/x/push", params={"tag": "1"}, json=body)
    assert got.status_code == 200
    assert images.asked == [("push", "alice", "q.io/x", "1", auth)]


@pytest.mark.parametrize(("body", "why"), [("", "EOF"), ("[]", "no object")])
def test_a_push_without_a_word_of_credentials(images: StubImages, body: str, why: str) -> None:
    got = client(images).simulate_post("/images/q.io/x/push", params={"tag": "1"}, body=body)
    assert (got.status_code, got.json) == (400, {"message": f"Bad parameters and missing X-Registry-Auth: {why}"})
    assert not images.asked


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/images/get?names=a&names=b:1", ["a", "b:1"]),
        ("/images/get?names=a,b", ["a", "b"]),
        ("/images/q.io/x:1/get", ["q.io/x:1"]),
        ("/images/get", []),
    ],
)
def test_save(images: StubImages, path: str, names: list[str]) -> None:
    got = client(images).simulate_get(path)
    assert (got.headers["Content-Type"], got.content) == ("application/x-tar", b"tarball")
    assert images.asked == [("save", "alice", names)]


def test_one_image(images: StubImages) -> None:
    api = client(images)
    assert api.simulate_post("/images/q.io/x/tag", params={"repo": "r", "tag": "t", "force": "1"}).status_code == 201
    assert api.simulate_get("/images/q.io/x/history").json == [{"Id": "sha256:1", "Tags": None}]
    assert api.simulate_delete("/images/q.io/x:1", params={"force": "1", "noprune": "1"}).json == [{"Untagged": "x:1"}]
    assert api.simulate_delete("/images/x").status_code == 200
    assert images.asked == [
        ("tag", "alice", "q.io/x", "r", "t"),
        ("history", "alice", "q.io/x"),
        ("remove", "alice", "q.io/x:1", True, False),
        ("remove", "alice", "x", False, True),
    ]


def test_prune(images: StubImages) -> None:
    got = client(images).simulate_post("/images/prune", params={"filters": '{"dangling":{"false":true}}'})
    assert got.json == {"ImagesDeleted": None, "SpaceReclaimed": 0}
    assert images.asked == [("prune", "alice", {"dangling": ["false"]})]


def test_login(images: StubImages) -> None:
    body = b'{"username":"u","password":"p","serveraddress":"q.io","evil":1}'
    got = client(images).simulate_post("/auth", body=body)
    assert got.json == {"IdentityToken": "", "Status": "Login Succeeded"}
    assert images.asked == [("login", {"username": "u", "password": "p", "serveraddress": "q.io"})]
    assert client(images, "1.22").simulate_post("/auth", body=body).json == {"Status": "Login Succeeded"}
    for bad in (b"", b"[]", b"{", b'"x"'):
        assert client(images).simulate_post("/auth", body=bad).status_code == 400


def test_distribution(images: StubImages) -> None:
    assert client(images).simulate_get("/distribution/q.io/a/b:1/json").json == {"Descriptor": {}, "Platforms": []}
    assert images.asked == [("distribution", "alice", "q.io/a/b:1", {})]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=0", "Limit 0 is outside the range of [1, 100]"),
        ("limit=101", "Limit 101 is outside the range of [1, 100]"),
        ("limit=x", 'strconv.Atoi: parsing "x": invalid syntax'),
        ('filters={"foo":["a"]}', "Invalid filter 'foo'"),
        ('filters={"stars":["a"]}', "Invalid filter 'stars=a'"),
        ('filters={"is-official":["a"]}', "Invalid filter 'is-official=[a]'"),
        ("term=a%0Ab", "invalid search term"),
    ],
)
def test_bad_searches(images: StubImages, query: str, words: str) -> None:
    got = client(images).simulate_get("/images/search", query_string=query)
    assert (got.status_code, got.json) == (400, {"message": words})
    assert images.asked == []


def test_search(images: StubImages) -> None:
    query = 'term=busybox&limit=5&filters={"is-official":["true"],"stars":["3"]}'
    assert client(images).simulate_get("/images/search", query_string=query).json == []
    assert images.asked == [("search", "busybox", 5, {"is-official": ["true"], "stars": ["3"]}, {})]
