"""Bad input for every parameter of every route, and the wrong type for every field of every body.

Which parameters there are is not written down here: the resources are run with a watch on what they ask the query
for. A parameter that is read and has no bad value below fails `test_every_parameter_has_a_bad_value`.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import falcon
import falcon.testing
import pytest

from app.api import params, versions
from app.api.router import Route
from app.domain.policy import log_config, mounts, network, network_create, process, resources, security, update, volume
from app.domain.policy.draft import drop, ignore
from app.domain.policy.execs import EXEC, EXEC_START
from app.domain.policy.table import BODY, ENDPOINT, HOST_CONFIG, IPAM, NETWORKING
from app.domain.policy.values import Struct
from tests import busybox, factories
from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.stack import Response, Stack
from tests.e2e.test_every_route_at_versions import routes
from tests.e2e.test_isolation_routes import WEBSOCKET
from tests.unit.api.stubs import Stub

#: How the resources ask for a parameter; those that are not here have their name fixed.
KINDS = ("one", "several", "boolean", "strict_boolean", "integer", "timestamp", "tail", "detach_keys", "filters")
FIXED = {"tail": "tail", "detach_keys": "detachKeys", "filters": "filters"}
#: Queries with which a resource comes to everything that it may ask for.
WAYS = ({"stdout": ["1"]}, {"fromImage": ["x"]}, {"fromSrc": ["-"]})

#: (value, status, words): what is wrong wherever a parameter of that kind stands. Any value does for a boolean, and
#: whatever is no number for a tail, as with dockerd.
Wrong = tuple[str, int, str]
OF_KIND: dict[str, list[Wrong]] = {
    "integer": [
        ("abc", 400, 'strconv.Atoi: parsing "abc": invalid syntax'),
        ("9" * 20, 400, f'strconv.Atoi: parsing "{"9" * 20}": value out of range'),
    ],
    "timestamp": [("abc", 400, 'failed to parse value as time or duration: "abc"')],
    "filters": [("x", 400, "invalid filter"), ("[]", 400, "invalid filter"), ('{"bogus":["x"]}', 400, "bogus")],
    "detach_keys": [("bogus-", 400, "Invalid detach keys (bogus-) provided")],
    "strict_boolean": [("x", 400, 'strconv.ParseBool: parsing "x": invalid syntax')],
    "boolean": [],
    "tail": [],
}

LOWER = "repository name must be lowercase"
SIGNAL: list[Wrong] = [("BOGUS", 400, "Invalid signal: BOGUS"), ("99", 400, "Invalid signal: 99")]
STOP_SECONDS: list[Wrong] = [("-5", 400, "stop timeout"), ("99999", 400, "stop timeout")]
SIZE: list[Wrong] = [("-1", 400, "between 0 and 65535"), ("65536", 400, "between 0 and 65535")]
PATH: list[Wrong] = [("", 400, "path")]
PLATFORM: list[Wrong] = [("windows", 400, "unknown operating system"), ("a b", 400, "cannot parse platform")]
NUMBER: list[Wrong] = [("-5", 400, "")]
NO_JSON: list[Wrong] = [("{", 400, "it is not valid JSON")]

#: operation -> parameter -> what is wrong there, besides what is wrong of its kind.
WRONG: dict[str, dict[str, list[Wrong]]] = {
    "system.events": {"since": [("9", 400, "cannot be after")]},
    "system.df": {"type": [("cheese", 400, "unknown object type: cheese")]},
    "containers.create": {"name": [("a/b", 400, "Invalid container name (a/b)")], "platform": PLATFORM},
    "containers.top": {"ps_args": [("-o pid;id", 403, "these ps arguments")]},
    "containers.wait": {"condition": [("bogus", 400, 'invalid condition: "bogus"')]},
    "containers.start": {"checkpoint": [("x", 400, "checkpoint")], "checkpoint-dir": [("x", 400, "checkpoint")]},
    "containers.stop": {"signal": SIGNAL, "t": STOP_SECONDS},
    "containers.restart": {"signal": SIGNAL, "t": STOP_SECONDS},
    "containers.kill": {"signal": SIGNAL},
    "containers.rename": {"name": [("a b", 400, "Invalid container name (/a b)")]},
    "containers.resize": {"h": SIZE, "w": SIZE},
    "exec.resize": {"h": SIZE, "w": SIZE},
    "containers.archive": {"path": PATH},
    "containers.commit": {
        "container": [("nosuch", 404, "No such container: nosuch")],
        "repo": [("BAD", 400, LOWER)],
        "tag": [("a b", 400, "invalid tag format")],
        "comment": [("x" * 5000, 400, "the comment or the author is longer")],
        "author": [("x" * 5000, 400, "the comment or the author is longer")],
        "changes": [("BOGUS x", 400, "bogus is not a valid change command")],
    },
    "networks.inspect": {"scope": [("swarm", 404, "not found")]},
    "images.search": {"term": [("a\nb", 400, "invalid search term")], "limit": [("101", 400, "outside the range")]},
    "images.save": {"names": [("nosuch", 404, "No such image: nosuch")]},
    "images.create": {
        "fromImage": [("BAD", 400, LOWER)],
        "fromSrc": [("http://example.com/x.tar", 501, "importing from a URL is not available here")],
        "platform": PLATFORM,
        "tag": [("a b", 400, "invalid tag format")],
        "repo": [("BAD", 400, LOWER)],
        "message": [("x" * 5000, 400, "the message is longer")],
        "changes": [("BOGUS x", 400, "bogus is not a valid change command")],
    },
    "images.push": {"tag": [("a b", 400, "invalid reference format")]},
    "images.tag": {"repo": [("BAD", 400, LOWER)], "tag": [("a b", 400, "invalid tag format")]},
    "images.build": {
        "dockerfile": [("../x", 400, "")],
        "remote": [("http://example.com/x.git", 501, "building from a URL is not available here")],
        "target": [("a\nb", 400, "")],
        "platform": PLATFORM,
        "networkmode": [("host", 403, "the host network")],
        "cgroupparent": [("/x", 403, "a control group of one's own")],
        "isolation": [("hyperv", 400, "")],
        "version": [("2", 501, "BuildKit is not available here")],
        "cpusetcpus": [("0", 403, "a choice of CPUs")],
        "cpusetmems": [("0", 403, "memory")],
        "extrahosts": [("abc", 400, 'bad format for add-host: "abc"'), ("[", 400, 'bad format for add-host: "["')],
        "memory": [("1", 400, "Minimum memory limit allowed is 6MB")],
        "memswap": [("1", 400, "")],
        "cpushares": NUMBER,
        "cpuperiod": NUMBER,
        "cpuquota": [("1", 400, "")],
        "shmsize": NUMBER,
        "squash": [("1", 501, "squash")],
        "buildargs": [*NO_JSON, ("[]", 400, "")],
        "labels": [*NO_JSON, ("[]", 400, "")],
        "ulimits": [*NO_JSON, ("{}", 400, "")],
        "cachefrom": [*NO_JSON, ("{}", 400, "")],
        "securityopt": [("{", 403, "security options (securityopt)"), ("seccomp=unconfined", 403, "")],
        "t": [("BAD", 400, LOWER)],
    },
    "build.prune": {"keep-storage": []},
}

#: operation -> what else the query needs, so that a wrong parameter is come to.
BESIDE = {
    "system.events": "until=1",
    "containers.logs": "stdout=1",
    "containers.resize": "h=1&w=1",
    "exec.resize": "h=1&w=1",
    "containers.archive": "path=/tmp",
    "images.tag": "repo=a",
    "images.create": "fromSrc=-&repo=a",
    "images.search": "term=a",
    "containers.commit": "container={box}&repo=a",
    "containers.rename": "name=other",
}
JSON_BODIES: dict[str, Any] = {"containers.create": {"Image": "busybox"}, "containers.commit": {}}
ARCHIVE_BODIES = ("images.build", "images.load", "images.create", "containers.archive")


@cache
def read_by(route: Route) -> dict[str, str]:
    """What a route asks of the query: parameter -> kind."""
    found: dict[str, str] = {}

    def watch(kind: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def asked(query: params.Query, *rest: Any, **how: Any) -> Any:
            found.setdefault(FIXED.get(kind) or rest[0], kind)
            return inner(query, *rest, **how)

        return asked

    headers = {"Content-Type": "application/json", "X-Registry-Auth": "e30=", **WEBSOCKET}
    with pytest.MonkeyPatch.context() as patch:
        for kind in KINDS:
            patch.setattr(params, kind, watch(kind, getattr(params, kind)))
        for query in WAYS:
            made = falcon.testing.create_environ(method=route.method, path="/", body=b"{}", headers=headers)
            request = falcon.Request(made | {"sdc.relay": Stub()})
            request.context.account, request.context.query = factories.account(), query
            request.context.api_version, request.context.operation = versions.CURRENT, route.operation
            try:
                route.responder(request, falcon.Response(), **dict.fromkeys(names_in(route), "x"))
            except Exception:  # The stubs behind it answer nothing; what was asked is known.
                continue
    return found


def names_in(route: Route) -> list[str]:
    return re.findall(r"\{(\w+)\}", route.path)


READING = [route for route in routes() if route.operation != "system.refused" and read_by(route)]


def test_every_parameter_has_a_bad_value() -> None:
    missing = {
        (route.operation, name)
        for route in READING
        for name, kind in read_by(route).items()
        if kind in ("one", "several") and not WRONG.get(route.operation, {}).get(name)
    }
    assert missing == set()
    known = {(route.operation, name) for route in READING for name in read_by(route)}
    assert {(operation, name) for operation, names in WRONG.items() for name in names} <= known
    assert len(known) > 100


class Here:
    """alice's running container, one that is not started, an exec, a network and a volume."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.box, self.made, self.net, self.data = "params-box", "params-made", "params-net", "params-data"
        stack.remove_all("alice")
        stack.docker("alice", "network", "create", self.net)
        on = ("--network", self.net, "-v", f"{self.data}:/data")
        stack.docker("alice", "run", "-dt", "--name", self.box, *on, "busybox", "sleep", "600")
        stack.docker("alice", "create", "--name", self.made, "busybox", "true")
        made = ask(stack, "alice", "POST", f"/v1.44/containers/{self.box}/exec", {"Cmd": ["true"]})
        self.exec = made.json()["Id"]

    def tear_down(self) -> None:
        self.stack.remove_all("alice")
        self.stack.docker("alice", "network", "rm", self.net)
        self.stack.docker("alice", "volume", "rm", self.data)

    def path(self, route: Route) -> str:
        noun = route.path.split("/")[1]
        stopped = route.operation in ("containers.start", "containers.update")
        name = {"containers": self.made if stopped else self.box, "images": "busybox", "networks": self.net,
                "volumes": self.data, "exec": self.exec}.get(noun, "x")  # fmt: skip
        return re.sub(r"\{\w+\}", name, route.path)

    def ask(self, route: Route, name: str, *values: str) -> Response:
        """The request with a parameter that has these values."""
        beside = BESIDE.get(route.operation, "").format_map(vars(self))
        pairs = [pair for pair in urllib.parse.parse_qsl(beside) if pair[0] != name]
        if route.operation == "images.create" and name in ("fromImage", "tag"):
            pairs = [("fromImage", "busybox")] if name == "tag" else []
        query = urllib.parse.urlencode(pairs + [(name, value) for value in values])
        body: Any = JSON_BODIES.get(route.operation)
        headers = {"X-Registry-Auth": "e30="}
        if route.operation in ARCHIVE_BODIES and route.method in ("POST", "PUT"):
            body, headers["Content-Type"] = busybox.files({"Dockerfile": b"FROM busybox\n"}), "application/x-tar"
        if route.operation == "containers.attach_websocket":
            headers |= WEBSOCKET
        path = f"/v1.44{self.path(route)}?{query}"
        typed = max(values, key=len)
        return ask(self.stack, "alice", route.method, path, body, headers=headers, typed=typed)


@pytest.fixture(scope="module")
def here(stack: Stack) -> Iterator[Here]:
    made = Here(stack)
    yield made
    made.tear_down()


@pytest.mark.parametrize("route", READING, ids=lambda route: f"{route.method} {route.path}")
def test_bad_values(here: Here, route: Route) -> None:
    told = []
    with Unchanged(here.stack):
        for name, kind in read_by(route).items():
            wrong = OF_KIND.get(kind, []) + WRONG.get(route.operation, {}).get(name, [])
            cases = [((value,), status, words) for value, status, words in wrong]
            if kind != "several":
                cases.append((("1", "1"), 400, f'parameter "{name}" is given more than once'))
            for values, status, words in cases:
                answer = here.ask(route, name, *values)
                said = "" if route.method == "HEAD" or answer.status == 200 else message(answer)
                if answer.status != status or (words not in said and route.method != "HEAD"):
                    told.append((name, [value[:40] for value in values], answer.status, said[:200]))
    assert not told, "\n".join(map(str, told))


# --- bodies ----------------------------------------------------------------------------------------------------------

Shape = Callable[[str, Any], Any]


def under(*path: str, **beside: Any) -> Shape:
    """A body in which a field stands at a path of objects ("Mounts[]" is in an array), with others beside it."""

    def body(field: str, value: Any) -> Any:
        made: Any = {field: value}
        for step in reversed(path):
            made = {step.removesuffix("[]"): [made] if step.endswith("[]") else made}
        return {**beside, **made} if path else {**beside, field: value}

    return body


IMAGE = {"Image": "busybox"}
ON = ("NetworkingConfig", "EndpointsConfig", "params-net")
VOLUME = {"Type": "volume", "Source": "params-data", "Target": "/x"}


def mount(inner: str = "", kind: str = "volume") -> Shape:
    def body(field: str, value: Any) -> Any:
        about = {**VOLUME, "Type": kind} if kind == "volume" else {"Type": kind, "Target": "/x"}
        about |= {inner: {field: value}} if inner else {field: value}
        return {**IMAGE, "HostConfig": {"Mounts": [about]}}

    return body


CREATE, CONTAINER, NETWORK = "/containers/create", "/containers/params-box", "/networks/params-net"
#: (path, the fields, a body with one of them)
OBJECTS: dict[str, tuple[str, Struct, Shape]] = {
    "create": (CREATE, BODY, under(**IMAGE)),
    "HostConfig": (CREATE, HOST_CONFIG, under("HostConfig", **IMAGE)),
    "NetworkingConfig": (CREATE, NETWORKING, under("NetworkingConfig", **IMAGE)),
    "an endpoint": (CREATE, ENDPOINT, under(*ON, **IMAGE)),
    "IPAMConfig": (CREATE, IPAM, under(*ON, "IPAMConfig", **IMAGE)),
    "a mount": (CREATE, mounts._MOUNT, mount()),
    "VolumeOptions": (CREATE, mounts._VOLUME_OPTIONS, mount("VolumeOptions")),
    "TmpfsOptions": (CREATE, mounts._TMPFS_OPTIONS, mount("TmpfsOptions", "tmpfs")),
    "Healthcheck": (CREATE, process._HEALTH, under("Healthcheck", **IMAGE)),
    "RestartPolicy": (CREATE, security._RESTART, under("HostConfig", "RestartPolicy", **IMAGE)),
    "LogConfig": (CREATE, log_config._LOG_CONFIG, under("HostConfig", "LogConfig", **IMAGE)),
    "a binding": (CREATE, network._BINDING, under("HostConfig", "PortBindings", "80/tcp[]", **IMAGE)),
    "a ulimit": (CREATE, resources._ULIMIT, under("HostConfig", "Ulimits[]", **IMAGE)),
    "update": (f"{CONTAINER}/update", update._UPDATE, under()),
    "commit": ("/commit?container=params-made", BODY, under()),
    "exec": (f"{CONTAINER}/exec", EXEC, under(Cmd=["true"])),
    "exec start": ("/exec/{exec}/start", EXEC_START, under(Detach=True)),
    "network create": ("/networks/create", network_create._CREATE, under(Name="params-other")),
    "IPAM": ("/networks/create", network_create._IPAM, under("IPAM", Name="params-other")),
    "a pool": ("/networks/create", network_create._POOL, under("IPAM", "Config[]", Name="params-other")),
    "connect": (f"{NETWORK}/connect", network_create._CONNECT, under(Container="params-made")),
    "connect's endpoint": (f"{NETWORK}/connect", ENDPOINT, under("EndpointConfig", Container="params-made")),
    "disconnect": (f"{NETWORK}/disconnect", network_create._DISCONNECT, under(Container="params-box")),
    "volume create": ("/volumes/create", volume._BODY, under(Name="params-other")),
    "auth": ("/auth", Struct(params.AUTH_FIELDS), under()),
}

#: Of no type at all: an array with an array of numbers in it.
NONSENSE = [[1]]


@pytest.mark.parametrize("name", OBJECTS)
def test_fields_of_a_wrong_type(here: Here, name: str) -> None:
    path, fields, shape = OBJECTS[name]
    decisions = getattr(fields, "decisions", {})
    told = []
    with Unchanged(here.stack):
        for field in fields.names:
            if decisions.get(field) in (ignore, drop):
                continue  # Not looked at, as the policy says.
            answer = ask(
                here.stack, "alice", "POST", "/v1.44" + path.replace("{exec}", here.exec), shape(field, NONSENSE)
            )
            if answer.status not in (400, 403, 501) or not message(answer):
                told.append((field, answer.status, json.dumps(shape(field, NONSENSE)), answer.body[:200]))
    assert not told, "\n".join(map(str, told))
