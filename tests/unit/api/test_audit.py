"""What of a request is recorded, and what is not."""

from __future__ import annotations

import pytest

from app import errors
from app.api.audit import outcome
from app.domain.audit import Entry, Result, Source
from app.services.identity import Refused
from tests.unit.api.stubs import Api


def recorded(api: Api) -> list[Entry]:
    return [args[0] for name, args, _ in api.audit.asked if name == "record"]


@pytest.mark.parametrize(
    ("method", "operation", "status", "result"),
    [
        ("POST", "containers.start", 204, Result.DONE),
        ("POST", "containers.create", 201, Result.DONE),
        ("DELETE", "containers.remove", 204, Result.DONE),
        ("PUT", "containers.archive", 200, Result.DONE),
        ("POST", "containers.attach", 200, Result.DONE),
        ("POST", "containers.start", 304, None),
        ("POST", "containers.start", 404, None),
        ("POST", "containers.start", 409, None),
        ("POST", "containers.start", 500, Result.FAILED),
        ("POST", "containers.start", 503, Result.FAILED),
        ("POST", "containers.wait", 200, None),
        ("POST", "system.auth", 200, None),
        ("GET", "containers.list", 200, None),
        ("GET", "containers.list", 503, None),
        ("GET", "containers.list", 401, Result.REFUSED),
        ("GET", "containers.top", 403, Result.REFUSED),
        ("POST", "containers.stop", 429, Result.REFUSED),
        ("POST", "", 404, None),
    ],
)
def test_outcome(method: str, operation: str, status: int, result: Result | None) -> None:
    assert outcome(method, operation, status) is result


def test_a_change(api: Api) -> None:
    answer = api.call("POST", "/v1.44/containers/web/start")
    (entry,) = recorded(api)
    assert (entry.source, entry.actor, entry.account) == (Source.API, api.account.login, api.account.login)
    assert (entry.account_id, entry.fingerprint) == (api.account.id, "SHA256:x")
    assert (entry.verb, entry.target_type, entry.target) == ("containers.start", "container", "web")
    assert (entry.result, entry.status, entry.reason) == (Result.DONE, 204, "")
    assert entry.request_id == answer.headers["X-Request-Id"]
    assert entry.milliseconds is not None and entry.detail == {"method": "POST"}


def test_a_new_containers_id(api: Api) -> None:
    api.create.answers["create"] = ("ab" * 32, [])
    api.call("POST", "/v1.44/containers/create?name=web", b'{"Image":"busybox"}', Content_Type="application/json")
    (entry,) = recorded(api)
    assert (entry.target, entry.detail) == ("ab" * 32, {"method": "POST", "name": "web"})


def test_reading_leaves_nothing(api: Api) -> None:
    api.call("GET", "/v1.44/containers/json")
    api.call("GET", "/v1.44/version")
    api.call("GET", "/_ping")
    api.call("GET", "/nothing")
    api.lifecycle.answers["start"] = errors.NotFound("No such container: web")
    api.call("POST", "/v1.44/containers/web/start")
    assert recorded(api) == []


def test_a_refusal_by_policy(api: Api) -> None:
    body = b'{"Image":"busybox","HostConfig":{"Privileged":true}}'
    api.call("POST", "/v1.44/containers/create", body, Content_Type="application/json")
    (entry,) = recorded(api)
    assert (entry.result, entry.status, entry.account) == (Result.REFUSED, 403, api.account.login)
    assert entry.reason.startswith("Forbidden: ") and "Privileged" in entry.reason


def test_a_stranger(api: Api) -> None:
    api.identity.refuse = Refused("no account 'alice' with key SHA256:x")
    api.call("GET", "/v1.44/containers/json")
    (entry,) = recorded(api)
    assert (entry.actor, entry.account, entry.account_id) == ("", "", None)
    assert (entry.status, entry.reason) == (401, "Refused: no account 'alice' with key SHA256:x")
    assert entry.detail == {"method": "GET", "claims": "alice", "path": "/containers/json"}


def test_nothing_of_a_body_or_a_header_is_recorded(api: Api) -> None:
    secret = "s3cr3t"
    body = f'{{"Image":"busybox","Env":["PASSWORD={secret}"],"HostConfig":{{"Privileged":true}}}}'.encode()
    api.call(
        "POST",
        f"/v1.44/containers/create?other={secret}",
        body,
        X_Registry_Auth=secret,
        Content_Type="application/json",
    )
    assert recorded(api) and secret not in repr(recorded(api))
