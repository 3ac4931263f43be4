"""Kind -> status and body, in both forms."""

from __future__ import annotations

import pytest

from app import errors
from app.api.errors import status_of
from tests.unit.api.stubs import Api

KINDS = [
    (errors.InvalidParameter, 400),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.TooLarge, 413),
    (errors.TooMany, 429),
    (errors.Internal, 500),
    (errors.NotImplemented, 501),
    (errors.Unavailable, 503),
]


def test_every_kind_has_a_status() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Error)}
    assert kinds - {errors.Error, errors.NotModified} == {kind for kind, _ in KINDS}
    assert status_of(errors.Error("x")) == 500
    assert status_of(errors.NotModified()) == 304


@pytest.mark.parametrize(("kind", "status"), KINDS)
def test_both_forms(api: Api, kind: type[errors.Error], status: int) -> None:
    message = 'No such "thing": é <b>'
    api.lifecycle.answers["start"] = kind(message)
    answer = api.call("POST", "/v1.44/containers/web/start")
    assert (answer.status_int, answer.content_type) == (status, "application/json")
    assert answer.json == {"message": message}
    old = api.call("POST", "/v1.23/containers/web/start")
    assert (old.status_int, old.headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
    assert old.body.decode() == message + "\n"
    assert "Retry-After" not in answer.headers


def test_retry_after(api: Api) -> None:
    api.lifecycle.answers["start"] = errors.Unavailable("away", retry_after=7)
    answer = api.call("POST", "/containers/web/start")
    assert (answer.status_int, answer.headers["Retry-After"]) == (503, "7")


@pytest.mark.parametrize("version", ["", "/v1.20", "/v1.44"])
def test_not_modified_has_no_body(api: Api, version: str) -> None:
    api.lifecycle.answers["start"] = errors.NotModified("not to be seen")
    answer = api.call("POST", f"{version}/containers/web/start")
    assert (answer.status_int, answer.body) == (304, b"")
    assert "Content-Type" not in answer.headers
    assert answer.headers["Api-Version"] == "1.44"


@pytest.mark.parametrize(
    "defect", [RuntimeError("secret /etc/passwd"), KeyError("sdc"), ValueError(), AssertionError("x")]
)
def test_a_defect_tells_nothing(api: Api, defect: Exception) -> None:
    api.queries.answers["inspect"] = defect
    answer = api.call("GET", "/v1.44/containers/web/json")
    assert answer.status_int == 500
    assert answer.json == {"message": "internal error; the operator's log has the request id"}
    assert answer.headers["X-Request-Id"]
    old = api.call("GET", "/v1.20/containers/web/json")
    assert (old.status_int, old.content_type) == (500, "text/plain")


def test_half_a_surrogate_in_a_message(api: Api) -> None:
    api.lifecycle.answers["start"] = errors.NotFound("No such container: \ud800")
    for version in ("1.20", "1.44"):
        assert api.call("POST", f"/v{version}/containers/web/start").status_int == 404


def test_a_bad_header_of_http(api: Api) -> None:
    answer = api.call("POST", "/containers/create", Content_Length="nonsense")
    assert answer.status_int == 400 and set(answer.json) == {"message"}
