"""pause, update, commit, archive, changes and what is refused, over services that record what they are asked."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from app.errors import NotFound
from app.services.container_commit import CommitSpec
from app.services.container_files import PathStat
from tests.unit.api.stubs import Api

JSON = {"Content_Type": "application/json"}
STAT = PathStat("a", 5, 420, "2026-01-01T00:00:00Z", "")


@pytest.mark.parametrize("action", ["pause", "unpause"])
def test_pause(api: Api, action: str) -> None:
    assert api.call("POST", f"/v1.20/containers/web/{action}").status_int == 204
    assert api.lifecycle.asked == [(action, (api.account, "web"), {})]


def test_update(api: Api) -> None:
    api.update.answers["update"] = ["careful"]
    body = b'{"Memory": 67108864, "PidsLimit": 5}'
    answer = api.call("POST", "/containers/web/update", body, **JSON)
    assert answer.json == {"Warnings": ["careful"]}
    assert api.update.asked[-1][1][2].resources == {"memory": 1 << 26, "pids_limit": 5}
    api.update.answers["update"] = []
    assert api.call("POST", "/v1.39/containers/web/update", body, **JSON).json == {"Warnings": None}
    assert api.update.asked[-1][1][2].resources == {"memory": 1 << 26}
    old = api.call("POST", "/v1.21/containers/web/update", body, **JSON)
    assert old.status_int == 400 and "requires minimum API version 1.22" in old.text


def test_commit(api: Api) -> None:
    api.commit.answers["commit"] = "sha256:x"
    query = "container=web&repo=made&tag=one&comment=hi&author=me&pause=0&changes=ENV+a%3Db&changes=CMD+x"
    answer = api.call("POST", f"/commit?{query}", b'{"User": "me"}', **JSON)
    assert (answer.status_int, answer.json) == (201, {"Id": "sha256:x"})
    spec = CommitSpec("made", "one", "hi", "me", False, ["ENV a=b", "CMD x"], {"User": "me"})
    assert api.commit.asked == [("commit", (api.account, "web", spec), {})]
    api.call("POST", "/commit?container=web")
    assert api.commit.asked[-1][1][2] == CommitSpec(changes=[])
    for bad in ("container=a&container=b", "container=a&repo=x&repo=y", "container=a&changes=RUN+x"):
        assert api.call("POST", f"/commit?{bad}").status_int == 400


def test_what_is_at_a_path(api: Api) -> None:
    api.files.answers["stat"] = STAT
    answer = api.call("HEAD", "/containers/web/archive?path=/tmp/a")
    told = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
    assert told == {"name": "a", "size": 5, "mode": 420, "mtime": "2026-01-01T00:00:00Z", "linkTarget": ""}
    api.files.answers["stat"] = NotFound("nope")
    missing = api.call("HEAD", "/containers/web/archive?path=/nope")
    assert (missing.status_int, missing.body) == (404, b"")


def test_a_copy_into_a_container(api: Api) -> None:
    taken: list[tuple[bytes, dict[str, Any]]] = []
    api.files.answers["write"] = lambda *args, **how: taken.append((b"".join(args[3]), how))
    assert api.call("PUT", "/containers/web/archive?path=/tmp&noOverwriteDirNonDir=1&copyUIDGID=true").status_int == 200
    assert taken == [(bytes(1024), {"keep_kinds": True, "copy_owner": True})]
    api.call("PUT", "/v1.29/containers/web/archive?path=/tmp&copyUIDGID=true")
    assert taken[-1][1] == {"keep_kinds": False, "copy_owner": False}
    bad = api.call("PUT", "/containers/web/archive?path=/tmp", b"x" * 600)
    assert bad.status_int == 400 and "invalid tar header" in bad.text


def test_the_old_copy(api: Api) -> None:
    for body in (b"", b"{}", b"[]", b'{"Resource": 5}'):
        assert api.call("POST", "/v1.23/containers/web/copy", body, **JSON).status_int == 400
    for version in ("", "/v1.24", "/v1.44"):
        assert api.call("POST", f"{version}/containers/web/copy", b"{}", **JSON).status_int == 404


@pytest.mark.parametrize(
    ("method", "path", "hint"),
    [
        ("GET", "/swarm", "docker run"),
        ("POST", "/swarm/init", "docker run"),
        ("DELETE", "/nodes/x", "docker run"),
        ("POST", "/services/x/update", "docker run"),
        ("GET", "/secrets", "docker cp"),
        ("POST", "/plugins/x/enable", "drivers"),
        ("POST", "/containers/web/checkpoints", "docker commit"),
        ("POST", "/session", "DOCKER_BUILDKIT=0"),
        ("POST", "/grpc", "DOCKER_BUILDKIT=0"),
    ],
)
def test_what_is_not_here(api: Api, method: str, path: str, hint: str) -> None:
    answer = api.call(method, path)
    assert answer.status_int == 501 and hint in answer.json["message"]


def test_what_is_asked_in_passing(api: Api) -> None:
    assert api.call("GET", "/plugins").json == []
    assert api.call("GET", "/plugins/x/json").status_int == 404
    assert api.call("GET", "/v1.24/plugins").status_int == 400
    for path in ("/containers/json", "/nosuch"):
        assert api.call("OPTIONS", path).status_int == 200
