"""Routes, parameters and bodies: what reaches a service, and how its answer goes out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.errors import NotFound
from tests.unit.api.stubs import Api, make_api

JSON = {"Content_Type": "application/json"}


def asked(api: Api, service: str) -> tuple[str, tuple, dict]:
    (call,) = api.stubs[service].asked
    return call


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1.44/"),
        ("GET", "/debug/pprof/"),
        ("GET", "/metrics"),
        ("POST", "/containers/web/archive"),
        ("PUT", "/containers/create"),
        ("GET", "/containers/create"),
        ("HEAD", "/containers/json"),
        ("PATCH", "/version"),
        ("GET", "/version/"),
        ("GET", "/containers/json/"),
    ],
)
def test_what_is_not_in_the_table_is_not_there(api: Api, method: str, path: str) -> None:
    answer = api.call(method, path)
    assert answer.status_int == 404
    assert method == "HEAD" or answer.json == {"message": "page not found"}
    assert not any(stub.asked for stub in api.stubs.values())


# -- containers ------------------------------------------------------------------------------------------------------


def test_create(api: Api) -> None:
    api.create.answers["create"] = ("ab" * 32, ["careful"])
    body = json.dumps({"Image": "busybox", "Cmd": ["true"]}).encode()
    answer = api.call("POST", "/v1.44/containers/create?name=web", body, **JSON)
    assert (answer.status_int, answer.json) == (201, {"Id": "ab" * 32, "Warnings": ["careful"]})
    _, (account, spec), _ = asked(api, "create")
    assert (account, spec.image, spec.name) == (api.account, "busybox", "web")


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"", JSON, 400, "config cannot be empty"),
        (b"{", JSON, 400, "unexpected end of JSON input"),
        (b"[]", JSON, 400, ""),
        (b'"x"', JSON, 400, ""),
        (b'{"Image":1}', JSON, 400, ""),
        (b'{"Image":"a"}{}', JSON, 400, "unexpected content after JSON"),
        (b'{"Image":"a","image":"b"}', JSON, 400, "duplicate key"),
        (b'{"Image":"a"}', {"Content_Type": "text/plain"}, 400, "must be 'application/json'"),
        (b'{"Image":"a"}', {"Content_Type": "application/json; charset=latin-1"}, 400, "must be 'application/json'"),
        (b'{"Image":"a","HostConfig":{"Privileged":true}}', JSON, 403, "not allowed on this shared host"),
        (b'{"Image":"' + b"a" * (1 << 20) + b'"}', JSON, 413, "larger than"),
    ],
)
def test_create_refusals(api: Api, body: bytes, headers: dict, status: int, words: str) -> None:
    answer = api.call("POST", "/containers/create", body, **headers)
    assert answer.status_int == status, answer.text
    assert words in answer.json["message"]
    assert not api.create.asked


def test_create_with_a_charset(api: Api) -> None:
    api.create.answers["create"] = ("ab" * 32, [])
    answer = api.call("POST", "/containers/create", b'{"Image":"a"}', Content_Type='application/json; charset="UTF-8"')
    assert answer.status_int == 201


def test_list(api: Api) -> None:
    api.queries.answers["list"] = b'[{"Id":"x"}]'
    answer = api.call(
        "GET", '/v1.24/containers/json?all=1&limit=5&size=true&filters={"name":{"a":true,"b":false}}&before=z'
    )
    assert (answer.content_type, answer.json) == ("application/json", [{"Id": "x"}])
    name, (account,), how = asked(api, "queries")
    assert (name, account) == ("list", api.account)
    assert how == {"everything": True, "limit": 5, "size": True, "filters": {"name": ["a"], "before": ["z"]}}


@pytest.mark.parametrize(
    "query", ["limit=x", "filters={", "filters=[1]", 'filters={"a":1}', "limit=99999999999999999999"]
)
def test_list_refusals(api: Api, query: str) -> None:
    assert api.call("GET", f"/containers/json?{query}").status_int == 400
    assert not api.queries.asked


def test_inspect_and_top(api: Api) -> None:
    api.queries.answers["inspect"] = {"Id": "x", "Name": "/web"}
    assert api.call("GET", "/containers/web/json?size=1").json["Name"] == "/web"
    assert asked(api, "queries") == ("inspect", (api.account, "web"), {"size": True})
    api.queries.asked.clear()
    api.queries.answers["top"] = {"Titles": ["PID"], "Processes": [["1"]]}
    assert api.call("GET", "/containers/web/top?ps_args=-ef").json["Titles"] == ["PID"]
    assert asked(api, "queries") == ("top", (api.account, "web", "-ef"), {})


@pytest.mark.parametrize(
    ("method", "path", "status", "call"),
    [
        ("POST", "/containers/web/start", 204, ("start", ("web",), {})),
        ("POST", "/containers/web/stop?t=5", 204, ("stop", ("web",), {"seconds": 5, "signal": None})),
        ("POST", "/containers/web/stop?signal=SIGINT", 204, ("stop", ("web",), {"seconds": None, "signal": "2"})),
        ("POST", "/containers/web/restart", 204, ("restart", ("web",), {"seconds": None, "signal": None})),
        ("POST", "/containers/web/kill", 204, ("kill", ("web",), {"signal": "9"})),
        ("POST", "/containers/web/kill?signal=term", 204, ("kill", ("web",), {"signal": "15"})),
        ("POST", "/containers/web/rename?name=new", 204, ("rename", ("web", "new"), {})),
        ("DELETE", "/containers/web", 204, ("remove", ("web",), {"force": False, "volumes": False, "link": False})),
        (
            "DELETE",
            "/containers/web?force=1&v=1",
            204,
            ("remove", ("web",), {"force": True, "volumes": True, "link": False}),
        ),
    ],
)
def test_actions(api: Api, method: str, path: str, status: int, call: tuple) -> None:
    answer = api.call(method, f"/v1.44{path}")
    assert (answer.status_int, answer.body) == (status, b"")
    name, args, how = call
    assert asked(api, "lifecycle") == (name, (api.account, *args), how)


@pytest.mark.parametrize(
    "path",
    [
        "/containers/web/stop?t=x",
        "/containers/web/stop?signal=NONSENSE",
        "/containers/web/kill?signal=0",
        "/containers/web/kill?signal=65",
        "/containers/web/start?checkpoint=x",
        "/containers/web/start?detachKeys=ctrl-",
        "/containers/web/resize?h=1",
        "/containers/web/resize?h=-1&w=1",
        "/containers/web/resize?h=1&w=65536",
    ],
)
def test_action_refusals(api: Api, path: str) -> None:
    answer = api.call("POST", path)
    assert answer.status_int == 400 and answer.json["message"]
    assert not api.lifecycle.asked and not api.io.asked


def test_a_start_with_a_body(api: Api) -> None:
    body = b'{"Privileged": true, "Binds": ["/:/host"]}'
    assert api.call("POST", "/v1.24/containers/web/start", body, **JSON).status_int == 400
    assert not api.lifecycle.asked
    assert api.call("POST", "/v1.23/containers/web/start", body, **JSON).status_int == 204
    assert asked(api, "lifecycle") == ("start", (api.account, "web"), {})


@pytest.mark.parametrize(
    ("body", "media_type", "words"),
    [
        (b'{"Memory":', "application/json", "invalid JSON: unexpected end of JSON input"),
        (b'["a", "b"]', "application/json", "invalid JSON: cannot unmarshal array into field body of type object"),
        (b'{"Memory": 1}', "text/plain", "Content-Type specified (text/plain) must be 'application/json'"),
        # So little is no body.
        (b"[1, 2]", "text/plain", ""),
        (b"null    ", "application/json", ""),
    ],
)
def test_a_start_with_a_body_that_is_no_host_config(api: Api, body: bytes, media_type: str, words: str) -> None:
    answer = api.call("POST", "/v1.23/containers/web/start", body, Content_Type=media_type)
    assert (answer.status_int, answer.text.strip()) == (400 if words else 204, words)
    assert bool(api.lifecycle.asked) == (not words)


def test_resize(api: Api) -> None:
    assert api.call("POST", "/containers/web/resize?h=24&w=80").status_int == 200
    assert asked(api, "io") == ("resize", (api.account, "web"), {"height": 24, "width": 80})


def test_names_are_decoded_once(api: Api) -> None:
    api.queries.answers["inspect"] = NotFound("No such container: é%20")
    answer = api.call("GET", "/containers/%C3%A9%2520/json")
    assert asked(api, "queries")[1] == (api.account, "é%20")
    assert answer.json == {"message": "No such container: é%20"}


# -- exec ------------------------------------------------------------------------------------------------------------


def test_exec_create(api: Api) -> None:
    api.io.answers["create_exec"] = "cd" * 32
    answer = api.call("POST", "/containers/web/exec", b'{"Cmd":["true"],"Tty":true}', **JSON)
    assert (answer.status_int, answer.json) == (201, {"Id": "cd" * 32})
    _, (account, name, spec), _ = asked(api, "io")
    assert (account, name, spec.cmd, spec.tty) == (api.account, "web", ("true",), True)


@pytest.mark.parametrize(
    ("body", "status"), [(b"{}", 400), (b'{"Cmd":[]}', 400), (b'{"Cmd":["true"],"Privileged":true}', 403)]
)
def test_exec_create_refusals(api: Api, body: bytes, status: int) -> None:
    assert api.call("POST", "/containers/web/exec", body, **JSON).status_int == status
    assert not api.io.asked


def test_exec_detached_resize_inspect(api: Api) -> None:
    assert api.call("POST", "/exec/abc/start", b'{"Detach":true}', **JSON).status_int == 200
    assert asked(api, "io") == ("start_exec_detached", (api.account, "abc"), {"tty": False})
    api.io.asked.clear()
    assert api.call("POST", "/exec/abc/resize?h=1&w=2").status_int == 200
    assert asked(api, "io") == ("resize_exec", (api.account, "abc"), {"height": 1, "width": 2})
    api.io.asked.clear()
    api.io.answers["inspect_exec"] = {"ID": "abc", "ContainerID": "x", "ProcessConfig": {}}
    assert api.call("GET", "/v1.44/exec/abc/json").json["ID"] == "abc"
    api.queries.answers["inspect"] = {"Id": "x", "Name": "/web", "Config": {}, "HostConfig": {}, "NetworkSettings": {}}
    old = api.call("GET", "/v1.21/exec/abc/json")
    assert old.json["Container"]["Name"] == "/web" if old.status_int == 200 else old.text
    assert api.queries.asked


# -- the rest --------------------------------------------------------------------------------------------------------


def test_version(api: Api) -> None:
    seen = api.call("GET", "/version").json
    assert (seen["ApiVersion"], seen["MinAPIVersion"], seen["Os"]) == ("1.44", "1.20", "linux")
    assert seen["Components"][0]["Details"]["ApiVersion"] == "1.44"


def test_ca(api: Api, tmp_path: Path) -> None:
    assert api.call("GET", "/ca.pem").status_int == 404
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    answer = make_api(str(tmp_path / "ca.pem")).call("GET", "/ca.pem")
    assert (answer.status_int, answer.text) == (200, "-----BEGIN CERTIFICATE-----\n")


def test_a_chunked_body(api: Api) -> None:
    api.create.answers["create"] = ("ab" * 32, [])
    big = b'{"Image":"' + b"a" * (1 << 20) + b'"}'
    for body, status in ((b'{"Image":"a"}', 201), (big, 413)):
        environ = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
        answer = api.app.request(
            "/containers/create",
            method="POST",
            body=body,
            headers={"Content-Type": "application/json"},
            environ=environ,
            expect_errors=True,
        )
        assert answer.status_int == status
