"""Every route of the API at the oldest version, at 1.24, at the newest, and where it came or went away.

A route that has no case here fails `test_every_route_has_a_case`. What an answer shows is looked at by a few fields
that came or went between the versions; tests/unit/versions knows all of them.
"""

from __future__ import annotations

import dataclasses
import io
import json
import secrets
import tarfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.api.resources.refused import refused
from app.api.router import Route
from app.api.routes import Services, table
from app.api.versions import MAXIMUM, MINIMUM, parse
from tests import busybox
from tests.e2e.behind import ask, message
from tests.e2e.stack import Registry, Response, Stack
from tests.e2e.test_isolation_routes import WEBSOCKET
from tests.machine import wait_until
from tests.unit.api.stubs import Stub

ENDS = (str(MINIMUM), "1.24", str(MAXIMUM))


class World:
    """What alice has: a running container with a terminal, one that has ended, a network, a volume, an image."""

    def __init__(self, stack: Stack, registry: Registry) -> None:
        self.stack = stack
        self.registry = registry
        token = secrets.token_hex(3)
        self.box, self.done, self.net, self.data = (f"{noun}-{token}" for noun in ("box", "done", "net", "data"))
        self.began = f"{time.time():.6f}"

    def ask(self, version: str, method: str, path: str, body: Any = None, **how: Any) -> Response:
        if isinstance(body, bytes):
            how = {"headers": {"Content-Type": "application/x-tar"}} | how
        return ask(self.stack, "alice", method, f"/v{version}{path}", body, **how)

    def set_up(self) -> None:
        docker = self.stack.docker
        docker("alice", "network", "create", self.net)
        on = ("--network", self.net, "-v", f"{self.data}:/data")
        docker("alice", "run", "-dt", "--name", self.box, *on, "busybox", "sleep", "600")
        docker("alice", "run", "--name", self.done, "busybox", "echo", "hello")
        # Events are told a moment later, this one as the last.
        wait_until(lambda: b'"die"' in self.events("1.44").body, "the events of these")
        self.registry.push("walk/through", marker=self.box)

    def tear_down(self) -> None:
        self.stack.remove_all("alice")
        self.stack.docker("alice", "network", "rm", self.net)
        self.stack.docker("alice", "volume", "rm", self.data)

    def events(self, version: str) -> Response:
        return self.ask(version, "GET", f"/events?since={self.began}&until={time.time():.6f}")

    def made(self, **body: Any) -> str:
        """Another container that is not started, by its id."""
        return str(self.ask("1.44", "POST", "/containers/create", {"Image": "busybox", **body}).json()["Id"])

    def removed(self, container: str) -> None:
        assert self.ask("1.44", "DELETE", f"/containers/{container}?force=1").status == 204

    def exec(self, *words: str, start: bool = False) -> str:
        made = str(self.ask("1.44", "POST", f"/containers/{self.box}/exec", {"Cmd": words, "Tty": True}).json()["Id"])
        if start:
            assert self.ask("1.44", "POST", f"/exec/{made}/start", {"Detach": True, "Tty": True}).status == 200
        return made


def bare(path: str) -> str:
    """The path of a route with some name in the place of each name."""
    return path.replace("{", "").replace("}", "")


Asked = Callable[[World, str], Response]


@dataclasses.dataclass(frozen=True)
class Case:
    """One request at a version, the status of its answer, and fields by the version that they came or went with."""

    asked: Asked
    status: int = 200
    came: Mapping[str, str] = dataclasses.field(default_factory=dict)
    went: Mapping[str, str] = dataclasses.field(default_factory=dict)


def simple(method: str, path: str, body: Any = None, status: int = 200, **how: Any) -> Case:
    """A request whose path names the world's things as {box}, {done}, {net}, {data}."""
    return Case(lambda w, v: w.ask(v, method, path.format_map(vars(w)), body), status, **how)


def get(path: str, came: str = "", went: str = "", status: int = 200) -> Case:
    """`came` and `went` as "<path of a field>:<version>" words."""
    fields = (dict(word.split(":") for word in words.split()) for words in (came, went))
    return Case(lambda w, v: w.ask(v, "GET", path.format_map(vars(w))), status, *fields)


def archive(path: str) -> Case:
    """An archive of files, whose bytes are the account's own."""

    def asked(w: World, v: str) -> Response:
        response = w.stack.request("alice", "GET", f"/v{v}{path.format_map(vars(w))}")
        with tarfile.open(fileobj=io.BytesIO(response.body)) as files:
            assert len(files.getmembers()) > 3
        return response

    return Case(asked)


# --- requests with something before or after them --------------------------------------------------------------------


def box_is(path: str, back: str, **how: Any) -> Case:
    """What is done to the running container and undone."""

    def asked(w: World, v: str) -> Response:
        response = w.ask(v, "POST", f"/containers/{w.box}/{path}")
        if back:
            assert w.ask("1.44", "POST", f"/containers/{w.box}/{back}").status == 204
        return response

    return Case(asked, **{"status": 204, **how})


def started(w: World, v: str) -> Response:
    box = w.made(Cmd=["sleep", "600"])
    # Below 1.24 a start may have a HostConfig, which counts for nothing.
    response = w.ask(v, "POST", f"/containers/{box}/start", None if parse(v) >= (1, 24) else {"Privileged": True})
    state = w.ask("1.44", "GET", f"/containers/{box}/json").json()
    assert state["State"]["Running"] and not state["HostConfig"]["Privileged"]
    w.removed(box)
    return response


def created(w: World, v: str) -> Response:
    response = w.ask(v, "POST", "/containers/create", {"Image": "busybox", "HostConfig": {"AutoRemove": True}})
    made = w.ask("1.44", "GET", f"/containers/{response.json()['Id']}/json").json()
    assert made["HostConfig"]["AutoRemove"] == (parse(v) >= (1, 25))
    assert made["HostConfig"]["IpcMode"] == ("private" if parse(v) >= (1, 40) else "shareable")
    w.removed(made["Id"])
    return response


def removed(w: World, v: str) -> Response:
    return w.ask(v, "DELETE", f"/containers/{w.made()}")


def renamed(w: World, v: str) -> Response:
    box = w.made()
    response = w.ask(v, "POST", f"/containers/{box}/rename?name=other-{w.box}")
    assert w.ask("1.44", "GET", f"/containers/{box}/json").json()["Name"] == f"/other-{w.box}"
    w.removed(box)
    return response


def paused(w: World, v: str) -> Response:
    response = w.ask(v, "POST", f"/containers/{w.box}/pause")
    assert w.ask("1.44", "POST", f"/containers/{w.box}/unpause").status == 204
    return response


def unpaused(w: World, v: str) -> Response:
    assert w.ask("1.44", "POST", f"/containers/{w.box}/pause").status == 204
    return w.ask(v, "POST", f"/containers/{w.box}/unpause")


def committed(w: World, v: str) -> Response:
    response = w.ask(v, "POST", f"/commit?container={w.done}&repo=kept-{w.done}")
    assert w.ask("1.44", "DELETE", f"/images/kept-{w.done}").status == 200
    return response


def attached(w: World, v: str) -> Response:
    response = w.ask(v, "POST", f"/containers/{w.done}/attach?logs=1&stdout=1")
    assert response.body == b"\x01\0\0\0\0\0\0\x06hello\n"
    return response


def logged(w: World, v: str) -> Response:
    response = w.ask(v, "GET", f"/containers/{w.done}/logs?stdout=1")
    assert response.body == b"\x01\0\0\0\0\0\0\x06hello\n"
    framed = "multiplexed" if parse(v) >= (1, 42) else "raw"
    assert response.headers["Content-Type"] == f"application/vnd.docker.{framed}-stream"
    return response


def put(w: World, v: str) -> Response:
    return w.ask(v, "PUT", f"/containers/{w.done}/archive?path=/tmp", busybox.files({"planted": b"x"}))


def exec_made(w: World, v: str) -> Response:
    return w.ask(v, "POST", f"/containers/{w.box}/exec", {"Cmd": ["true"], "Container": w.box})


def exec_started(w: World, v: str) -> Response:
    # CLI 1.8 and 1.9 say of their JSON that it is text.
    kind = {"Content-Type": "text/plain" if parse(v) < (1, 22) else "application/json"}
    body = json.dumps({"Detach": True, "Tty": True}).encode()
    return w.ask(v, "POST", f"/exec/{w.exec('true')}/start", body, headers=kind)


def connected(verb: str) -> Case:
    def asked(w: World, v: str) -> Response:
        box = w.made()
        body = {"Container": box, "EndpointConfig": {"Aliases": ["shop"]}} if verb == "connect" else {"Container": box}
        response = w.ask(v, "POST", f"/networks/{w.net if verb == 'connect' else 'bridge'}/{verb}", body)
        on = w.ask("1.44", "GET", f"/containers/{box}/json").json()["NetworkSettings"]["Networks"]
        if verb == "connect":
            # Before 1.22 an alias was not read.
            assert ("shop" in (on[w.net]["Aliases"] or [])) == (parse(v) >= (1, 22))
        else:
            assert "bridge" not in on
        w.removed(box)
        return response

    return Case(asked)


def network_made(w: World, v: str) -> Response:
    name = f"other-{w.net}"
    response = w.ask(v, "POST", "/networks/create", {"Name": name, "Labels": {"a": "b"}})
    labels = w.ask("1.44", "GET", f"/networks/{name}").json()["Labels"]
    assert labels == ({"a": "b"} if parse(v) >= (1, 23) else {})
    assert w.ask("1.44", "DELETE", f"/networks/{name}").status == 204
    return response


def network_removed(w: World, v: str) -> Response:
    assert w.ask("1.44", "POST", "/networks/create", {"Name": f"other-{w.net}"}).status == 201
    return w.ask(v, "DELETE", f"/networks/other-{w.net}")


def volume_made(w: World, v: str) -> Response:
    name = f"other-{w.data}"
    response = w.ask(v, "POST", "/volumes/create", {"Name": name, "Labels": {"a": "b"}})
    labels = w.ask("1.44", "GET", f"/volumes/{name}").json()["Labels"]
    assert (labels or {}) == ({"a": "b"} if parse(v) >= (1, 23) else {})
    assert w.ask("1.44", "DELETE", f"/volumes/{name}").status == 204
    return response


def volume_removed(w: World, v: str) -> Response:
    assert w.ask("1.44", "POST", "/volumes/create", {"Name": f"other-{w.data}"}).status == 201
    return w.ask(v, "DELETE", f"/volumes/other-{w.data}")


def loaded(w: World, v: str) -> Response:
    response = w.ask(v, "POST", "/images/load", busybox.archive(["loaded:1"], walk=w.box))
    assert bool(response.body) == (parse(v) >= (1, 23))
    assert w.ask("1.44", "DELETE", "/images/loaded:1").status == 200
    return response


def pulled(w: World, v: str) -> Response:
    image = f"{w.registry.host}/walk/through"
    response = w.ask(v, "POST", f"/images/create?fromImage={image}&tag=latest", typed=w.registry.host)
    assert b"Downloaded newer image" in response.body
    assert w.ask("1.44", "DELETE", f"/images/{image}").status == 200
    return response


def pushed(w: World, v: str) -> Response:
    image = f"{w.registry.host}/walk/{w.box}"
    assert w.ask("1.44", "POST", f"/images/busybox/tag?repo={image}").status == 201
    response = w.ask(v, "POST", f"/images/{image}/push", headers={"X-Registry-Auth": "e30="}, typed=w.registry.host)
    assert b"digest: sha256:" in response.body
    assert w.ask("1.44", "DELETE", f"/images/{image}").status == 200
    return response


def tagged(w: World, v: str) -> Response:
    response = w.ask(v, "POST", "/images/busybox/tag?repo=tagged&tag=1&force=1")
    assert w.ask("1.44", "DELETE", "/images/tagged:1").status == 200
    return response


def untagged(w: World, v: str) -> Response:
    assert w.ask("1.44", "POST", "/images/busybox/tag?repo=tagged&tag=2").status == 201
    return w.ask(v, "DELETE", "/images/tagged:2")


def built(w: World, v: str) -> Response:
    context = busybox.files({"Dockerfile": b"FROM busybox\nLABEL walk=through\n"})
    response = w.ask(v, "POST", "/build?t=built", context)
    assert b"Successfully built" in response.body
    # The id in a message of its own came with 1.30.
    assert (b'"aux"' in response.body) == (parse(v) >= (1, 30))
    assert w.ask("1.44", "DELETE", "/images/built").status == 200
    return response


def logged_in(w: World, v: str) -> Response:
    return w.ask(v, "POST", "/auth", {"username": "u", "password": "p", "serveraddress": w.registry.host})


def searched(w: World, v: str) -> Response:
    """The tests' registry has no index."""
    return w.ask(v, "GET", f"/images/search?term={w.registry.host}/walk&limit=5", typed=w.registry.host)


def distributed(w: World, v: str) -> Response:
    return w.ask(v, "GET", f"/distribution/{w.registry.host}/walk/through:latest/json", typed=w.registry.host)


def told(w: World, v: str) -> Response:
    response = w.events(v)
    events = [json.loads(line) for line in response.body.splitlines()]
    assert any(event.get("status") == "start" for event in events)
    # Events of networks came with 1.22.
    assert any(event.get("Type") == "network" for event in events) == (parse(v) >= (1, 22))
    return response


def filtered(path: str, **filters: str) -> str:
    """For `format_map`: the braces of the JSON are quoted."""
    return f"{path}{urllib.parse.quote(json.dumps({key: [value] for key, value in filters.items()}))}"


NOTHING = filtered("?filters=", label="nosuch=label")
BOX_ALONE = "filters=%7B%22name%22:%5B%22{box}%22%5D%7D"
VOLUME = "Labels:1.23 Scope:1.24 Options:1.25 CreatedAt:1.31"
NETWORK = "Labels:1.23 Attachable:1.25 Ingress:1.29 ConfigOnly:1.30"
HOST = "HostConfig"

CASES: dict[tuple[str, str], Case] = {
    ("GET", "/_ping"): get("/_ping"),
    ("HEAD", "/_ping"): simple("HEAD", "/_ping"),
    ("GET", "/ca.pem"): get("/ca.pem"),
    ("GET", "/version"): get("/version", "ApiVersion:1.20"),
    ("GET", "/info"): get(
        "/info",
        "Name:1.20 ServerVersion:1.21 ContainersRunning:1.22 CgroupDriver:1.23 SecurityOptions:1.24 Warnings:1.39",
    ),
    ("GET", "/events"): Case(told),
    ("GET", "/containers/json"): get(
        f"/containers/json?{BOX_ALONE}",
        "Image:1.20 ImageID:1.21 NetworkSettings.Networks:1.22 State:1.23 Mounts:1.23 Mounts.Type:1.25",
    ),
    ("POST", "/containers/create"): Case(created, 201),
    ("GET", "/containers/{name}/json"): get(
        "/containers/{box}/json",
        "State.Running:1.20 State.Status:1.21 NetworkSettings.Networks:1.21 Mounts.Propagation:1.22 "
        f"{HOST}.PidsLimit:1.23 {HOST}.IOMaximumIOps:1.24 Mounts.Type:1.25 {HOST}.CgroupnsMode:1.41",
        f"Config.VolumeDriver:1.21 {HOST}.LxcConf:1.22 ExecDriver:1.24",
    ),
    ("GET", "/containers/{name}/top"): get("/containers/{box}/top", "Titles:1.20"),
    ("GET", "/containers/{name}/logs"): Case(logged),
    ("POST", "/containers/{name}/attach"): Case(attached),
    ("GET", "/containers/{name}/attach/ws"): Case(
        lambda w, v: w.ask(v, "GET", f"/containers/{w.box}/attach/ws?logs=1&stdout=1", headers=WEBSOCKET), 101
    ),
    ("POST", "/containers/{name}/wait"): simple("POST", "/containers/{done}/wait", came={"StatusCode": "1.20"}),
    ("POST", "/containers/{name}/start"): Case(started, 204),
    ("POST", "/containers/{name}/stop"): box_is("stop?t=0", "start"),
    ("POST", "/containers/{name}/restart"): box_is("restart?t=0", ""),
    ("POST", "/containers/{name}/kill"): box_is("kill?signal=CONT", ""),
    ("POST", "/containers/{name}/pause"): Case(paused, 204),
    ("POST", "/containers/{name}/unpause"): Case(unpaused, 204),
    ("POST", "/containers/{name}/update"): simple("POST", "/containers/{box}/update", {"CpuShares": 512}),
    ("HEAD", "/containers/{name}/archive"): simple("HEAD", "/containers/{done}/archive?path=/bin/sh"),
    ("GET", "/containers/{name}/archive"): get("/containers/{done}/archive?path=/etc"),
    ("PUT", "/containers/{name}/archive"): Case(put),
    ("POST", "/containers/{name}/copy"): simple("POST", "/containers/{done}/copy", {"Resource": "/etc"}),
    ("GET", "/containers/{name}/changes"): get("/containers/{done}/changes"),
    ("GET", "/containers/{name}/export"): archive("/containers/{done}/export"),
    ("GET", "/containers/{name}/stats"): get(
        "/containers/{box}/stats?stream=0", "read:1.20 networks:1.21 pids_stats:1.23", "network:1.21"
    ),
    ("POST", "/commit"): Case(committed, 201),
    ("POST", "/containers/{name}/rename"): Case(renamed, 204),
    ("POST", "/containers/{name}/resize"): simple("POST", "/containers/{box}/resize?h=20&w=40"),
    ("POST", "/containers/{name}/exec"): Case(exec_made, 201),
    ("DELETE", "/containers/{name}"): Case(removed, 204),
    ("POST", "/exec/{id}/start"): Case(exec_started),
    ("POST", "/exec/{id}/resize"): Case(
        lambda w, v: w.ask(v, "POST", f"/exec/{w.exec('sleep', '60', start=True)}/resize?h=20&w=40")
    ),
    ("GET", "/exec/{id}/json"): Case(
        lambda w, v: w.ask(v, "GET", f"/exec/{w.exec('true')}/json"),
        200,
        {"ID": "1.20", "ContainerID": "1.22", "DetachKeys": "1.24", "Pid": "1.25"},
        {"Container.State": "1.22"},
    ),
    ("GET", "/networks"): get(f"/networks?{BOX_ALONE.replace('box', 'net')}", NETWORK, "Containers.*.IPv4Address:1.28"),
    ("GET", "/networks/"): get(f"/networks/?{BOX_ALONE.replace('box', 'net')}", NETWORK),
    ("POST", "/networks/create"): Case(network_made, 201),
    ("POST", "/networks/prune"): simple("POST", f"/networks/prune{NOTHING}"),
    ("GET", "/networks/{name}"): get(
        "/networks/{net}", f"Containers.*.IPv4Address:1.21 Containers.*.Name:1.22 {NETWORK}"
    ),
    ("DELETE", "/networks/{name}"): Case(network_removed, 204),
    ("POST", "/networks/{name}/connect"): connected("connect"),
    ("POST", "/networks/{name}/disconnect"): connected("disconnect"),
    ("GET", "/images/json"): get("/images/json", "Id:1.20", "VirtualSize:1.44"),
    ("GET", "/images/search"): Case(searched, 500),
    ("GET", "/images/get"): archive("/images/get?names=busybox"),
    ("GET", "/images/{name}/get"): archive("/images/busybox/get"),
    ("POST", "/images/create"): Case(pulled),
    ("POST", "/images/load"): Case(loaded),
    ("POST", "/images/prune"): simple("POST", f"/images/prune{NOTHING}"),
    ("GET", "/images/{name}/json"): get(
        "/images/busybox/json", "Id:1.20 RepoTags:1.21 RootFS:1.22", "VirtualSize:1.44"
    ),
    ("GET", "/images/{name}/history"): get("/images/busybox/history", "Id:1.20"),
    ("POST", "/images/{name}/push"): Case(pushed),
    ("POST", "/images/{name}/tag"): Case(tagged, 201),
    ("DELETE", "/images/{name}"): Case(untagged),
    ("POST", "/build"): Case(built),
    ("POST", "/build/prune"): simple("POST", "/build/prune"),
    ("POST", "/build/cancel"): simple("POST", "/build/cancel?id=x", status=501),
    ("POST", "/auth"): Case(logged_in, came={"Status": "1.20"}),
    ("GET", "/distribution/{name}/json"): Case(distributed, came={"Descriptor": "1.30"}),
    ("GET", "/volumes"): get("/volumes", " ".join(f"Volumes.{word}" for word in VOLUME.split())),
    ("GET", "/volumes/"): get("/volumes/", status=404),
    ("POST", "/volumes/create"): Case(volume_made, 201),
    ("POST", "/volumes/prune"): simple("POST", f"/volumes/prune{NOTHING}"),
    ("GET", "/volumes/{name}"): get("/volumes/{data}", VOLUME),
    ("DELETE", "/volumes/{name}"): Case(volume_removed, 204),
    ("POST", "/containers/prune"): simple("POST", f"/containers/prune{NOTHING}"),
    ("GET", "/system/df"): get("/system/df", "LayersSize:1.25 Volumes.CreatedAt:1.31 BuildCache:1.31"),
    ("GET", "/plugins"): get("/plugins"),
    ("GET", "/plugins/{name}/json"): get("/plugins/nosuch/json", status=404),
    ("OPTIONS", "/{path}"): simple("OPTIONS", "/containers/json"),
    **{
        (route.method, route.path): simple(route.method, bare(route.path), status=501)
        for route in refused()
        if route.operation == "system.refused"
    },
}


def routes() -> list[Route]:
    stubs = {field.name: Stub() for field in dataclasses.fields(Services)} | {"threads": 16, "ca_file": ""}
    return table(cast(Services, SimpleNamespace(**stubs)))


def test_every_route_has_a_case() -> None:
    known = [(route.method, route.path) for route in routes()]
    assert set(known) == set(CASES)
    assert len(known) == len(set(known))


@pytest.fixture(scope="module")
def world(stack: Stack, registry: Registry) -> Iterator[World]:
    stack.remove_all("alice")
    world = World(stack, registry)
    try:
        world.set_up()
        yield world
    finally:
        world.tear_down()


def has(body: Any, path: list[str]) -> bool:
    """Whether a field is there; of a list or of values by name, in the first."""
    if not path:
        return True
    if isinstance(body, list):
        return has(body[0], path)
    if path[0] == "*":
        return has(next(iter((body or {"": {}}).values())), path[1:])
    return isinstance(body, dict) and path[0] in body and has(body[path[0]], path[1:])


def check(route: Route, version: str, case: Case, response: Response) -> None:
    there = (not route.since or parse(version) >= parse(route.since)) and (
        not route.until or parse(version) < parse(route.until)
    )
    about = (route.method, route.path, version, response.status, response.body[:500])
    if there:
        assert response.status == case.status, about
    elif route.until:
        assert response.status == 404, about
    else:
        assert response.status == 400, about
        assert f"requires minimum API version {route.since}" in message(response), about
    if response.status >= 400 and route.method != "HEAD":
        kind = "text/plain" if parse(version) < (1, 24) else "application/json"
        assert response.headers.get_content_type() == kind, about
    if there and (case.came or case.went):
        body = response.json()
        for path, since in case.came.items():
            assert has(body, path.split(".")) == (parse(version) >= parse(since)), (path, *about)
        for path, until in case.went.items():
            assert has(body, path.split(".")) == (parse(version) < parse(until)), (path, *about)


@pytest.mark.parametrize("route", routes(), ids=lambda route: f"{route.method} {route.path}")
def test_at_versions(world: World, route: Route) -> None:
    case = CASES[route.method, route.path]
    turns = [route.since, route.until]
    just_before = [str(parse(turn)._replace(minor=parse(turn).minor - 1)) for turn in turns if turn]
    versions = sorted({*ENDS, *filter(None, turns), *just_before}, key=parse)
    # What only reads may be asked at once.
    with ThreadPoolExecutor(len(versions) if route.method in ("GET", "HEAD") else 1) as pool:
        for version, response in zip(
            versions, pool.map(lambda v: answer(world, route, case, v), versions), strict=True
        ):
            check(route, version, case, response)


def answer(world: World, route: Route, case: Case, version: str) -> Response:
    """Of the case, or only of its route where the version does not have that."""
    missing = (route.since and parse(version) < parse(route.since)) or (
        route.until and parse(version) >= parse(route.until)
    )
    if missing:
        return world.ask(version, route.method, bare(route.path), typed=route.path)
    return case.asked(world, version)
