"""Two accounts at every route of the API: none leads to what is the other's.

A route that is not in one of the four tables here fails `test_every_route_is_here`.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import secrets
import tarfile
import time
import urllib.parse
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.api.resources.refused import refused
from app.api.routes import Services, table
from tests.e2e.behind import Unchanged, ask
from tests.e2e.stack import Stack
from tests.unit.api.stubs import Stub

Call = tuple[str, Any]


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("planted"))
    return out.getvalue()


WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
}

#: What names an object: kind, and (path, body); "{}" stands for the name, in the body too.
NAMED: dict[tuple[str, str], list[tuple[str, Call]]] = {
    ("GET", "/containers/{name}/json"): [
        ("container", ("/containers/{}/json", None)),
        ("container", ("/containers/{}/json?size=1", None)),
    ],
    ("GET", "/containers/{name}/top"): [("container", ("/containers/{}/top", None))],
    ("GET", "/containers/{name}/logs"): [
        ("container", ("/containers/{}/logs?stdout=1", None)),
        ("container", ("/containers/{}/logs?stdout=1&follow=1", None)),
    ],
    ("POST", "/containers/{name}/attach"): [("container", ("/containers/{}/attach?stdout=1&stream=1&logs=1", None))],
    ("GET", "/containers/{name}/attach/ws"): [("container", ("/containers/{}/attach/ws?stdout=1&logs=1", None))],
    ("POST", "/containers/{name}/wait"): [
        ("container", ("/containers/{}/wait", None)),
        ("container", ("/containers/{}/wait?condition=removed", None)),
    ],
    ("POST", "/containers/{name}/start"): [("container", ("/containers/{}/start", None))],
    ("POST", "/containers/{name}/stop"): [("container", ("/containers/{}/stop?t=0", None))],
    ("POST", "/containers/{name}/restart"): [("container", ("/containers/{}/restart?t=0", None))],
    ("POST", "/containers/{name}/kill"): [("container", ("/containers/{}/kill", None))],
    ("POST", "/containers/{name}/pause"): [("container", ("/containers/{}/pause", None))],
    ("POST", "/containers/{name}/unpause"): [("container", ("/containers/{}/unpause", None))],
    ("POST", "/containers/{name}/update"): [("container", ("/containers/{}/update", {"CpuShares": 512}))],
    ("HEAD", "/containers/{name}/archive"): [("container", ("/containers/{}/archive?path=/data/f", None))],
    ("GET", "/containers/{name}/archive"): [("container", ("/containers/{}/archive?path=/data/f", None))],
    ("PUT", "/containers/{name}/archive"): [("container", ("/containers/{}/archive?path=/tmp", _tar()))],
    ("POST", "/containers/{name}/copy"): [("container", ("/v1.23/containers/{}/copy", {"Resource": "/data/f"}))],
    ("GET", "/containers/{name}/changes"): [("container", ("/containers/{}/changes", None))],
    ("GET", "/containers/{name}/export"): [("container", ("/containers/{}/export", None))],
    ("GET", "/containers/{name}/stats"): [
        ("container", ("/containers/{}/stats?stream=0", None)),
        ("container", ("/containers/{}/stats", None)),
    ],
    ("POST", "/commit"): [("container", ("/commit?container={}&repo=stolen", None))],
    ("POST", "/containers/{name}/rename"): [("container", ("/containers/{}/rename?name=stolen", None))],
    ("POST", "/containers/{name}/resize"): [("container", ("/containers/{}/resize?h=10&w=10", None))],
    ("POST", "/containers/{name}/exec"): [("container", ("/containers/{}/exec", {"Cmd": ["cat", "/data/f"]}))],
    ("DELETE", "/containers/{name}"): [
        ("container", ("/containers/{}?force=1&v=1", None)),
        ("container", ("/containers/{}?link=1", None)),
    ],
    ("POST", "/exec/{id}/start"): [("exec", ("/exec/{}/start", {"Detach": True}))],
    ("POST", "/exec/{id}/resize"): [("exec", ("/exec/{}/resize?h=1&w=1", None))],
    ("GET", "/exec/{id}/json"): [("exec", ("/exec/{}/json", None))],
    ("GET", "/networks/{name}"): [("network", ("/networks/{}", None))],
    ("DELETE", "/networks/{name}"): [("network", ("/networks/{}", None))],
    ("POST", "/networks/{name}/connect"): [
        ("network", ("/networks/{}/connect", {"Container": "own"})),
        ("container", ("/networks/bridge/connect", {"Container": "{}"})),
    ],
    ("POST", "/networks/{name}/disconnect"): [
        ("network", ("/networks/{}/disconnect", {"Container": "own"})),
        ("container", ("/networks/bridge/disconnect", {"Container": "{}", "Force": True})),
    ],
    ("GET", "/images/get"): [("image", ("/images/get?names={}", None))],
    ("GET", "/images/{name}/get"): [("image", ("/images/{}/get", None))],
    ("GET", "/images/{name}/json"): [("image", ("/images/{}/json", None))],
    ("GET", "/images/{name}/history"): [("image", ("/images/{}/history", None))],
    ("POST", "/images/{name}/push"): [("image name", ("/images/{}/push", None))],
    ("POST", "/images/{name}/tag"): [("image", ("/images/{}/tag?repo=stolen", None))],
    ("DELETE", "/images/{name}"): [("image", ("/images/{}?force=1", None))],
    ("GET", "/volumes/{name}"): [("volume", ("/volumes/{}", None))],
    ("DELETE", "/volumes/{name}"): [("volume", ("/volumes/{}", None))],
    ("POST", "/containers/create"): [
        ("image", ("/containers/create", {"Image": "{}"})),
        ("network", ("/containers/create", {"Image": "busybox", "HostConfig": {"NetworkMode": "{}"}})),
        (
            "network",
            (
                "/containers/create",
                {"Image": "busybox", "NetworkingConfig": {"EndpointsConfig": {"{}": None}}},
            ),
        ),
        ("container", ("/containers/create", {"Image": "busybox", "HostConfig": {"Links": ["{}:x"]}})),
        ("container", ("/containers/create", {"Image": "busybox", "HostConfig": {"VolumesFrom": ["{}"]}})),
        *(
            ("container", ("/containers/create", {"Image": "busybox", "HostConfig": {mode: "container:{}"}}))
            for mode in ("NetworkMode", "IpcMode", "PidMode")
        ),
    ],
}

#: What shows several objects: nothing of hers is there.
SHOWN: dict[tuple[str, str], str] = {
    ("GET", "/containers/json"): "/containers/json?all=1&size=1",
    ("GET", "/networks"): "/networks",
    ("GET", "/networks/"): "/networks/",
    ("GET", "/images/json"): "/images/json?all=1&digests=1",
    ("GET", "/volumes"): "/volumes",
    ("GET", "/system/df"): "/system/df",
    ("GET", "/info"): "/info",
    ("GET", "/version"): "/version",
    ("GET", "/events"): "/events?since=SINCE&until=UNTIL",
}

#: What removes all that is of no use: nothing of hers goes.
PRUNED: dict[tuple[str, str], str] = {
    ("POST", "/containers/prune"): "/containers/prune",
    ("POST", "/networks/prune"): "/networks/prune",
    ("POST", "/volumes/prune"): '/volumes/prune?filters={"all":["true"]}',
    ("POST", "/images/prune"): '/images/prune?filters={"dangling":["false"]}',
    ("POST", "/build/prune"): "/build/prune?all=1",
}

#: What names nothing that another account could have, or where that is looked at.
ELSEWHERE: dict[tuple[str, str], str] = {
    ("GET", "/_ping"): "tells the same to everybody",
    ("HEAD", "/_ping"): "tells the same to everybody",
    ("GET", "/ca.pem"): "tells the same to everybody",
    ("GET", "/volumes/"): "an inspect without a name",
    ("POST", "/networks/create"): "test_her_names_are_free_for_him",
    ("POST", "/volumes/create"): "test_her_names_are_free_for_him",
    ("POST", "/build"): "test_a_build_reaches_nothing_of_hers",
    ("POST", "/build/cancel"): "answers 501",
    ("GET", "/images/search"): "asks a registry",
    ("GET", "/distribution/{name}/json"): "asks a registry: test_private_repository.py",
    ("POST", "/auth"): "asks a registry",
    ("POST", "/images/create"): "test_possession.py",
    ("POST", "/images/load"): "test_load.py",
}


def test_every_route_is_here() -> None:
    stubs = {field.name: Stub() for field in dataclasses.fields(Services)} | {"threads": 16, "ca_file": ""}
    routes = {(route.method, route.path) for route in table(cast(Services, SimpleNamespace(**stubs)))}
    routes -= {(route.method, route.path) for route in refused()}
    known = [*NAMED, *SHOWN, *PRUNED, *ELSEWHERE]
    assert routes == set(known)
    assert len(known) == len(set(known))


@dataclasses.dataclass(frozen=True)
class Hers:
    """The words by which alice and the engine know what is alice's, by kind."""

    words: dict[str, list[str]]
    began: str

    def engine_words(self, kind: str) -> list[str]:
        """Those that are the engine's alone."""
        count = {"container": 2, "exec": 1, "network": 2, "volume": 1, "image": 1}
        return self.words[kind][-count[kind] :] if kind in count else []

    def __iter__(self) -> Iterator[str]:
        return (word for words in self.words.values() for word in words)


@pytest.fixture(scope="module")
def hers(stack: Stack) -> Iterator[Hers]:
    for account in ("alice", "bob"):
        stack.remove_all(account)
    token, began = secrets.token_hex(4), f"{time.time():.6f}"
    name, volume, network, image = (f"{noun}-{token}" for noun in ("box", "data", "net", "picture"))
    stack.docker("alice", "network", "create", network)
    stack.docker("alice", "network", "create", f"idle-{network}")
    stack.docker("alice", "volume", "create", f"idle-{volume}")
    command = ("busybox", "sh", "-c", "echo secret > /data/f; echo secret; sleep 600")
    words = ("run", "-d", "--name", name, "--network", network, "-v", f"{volume}:/data", *command)
    container_id = stack.docker("alice", *words).text.strip()
    image_id = stack.docker("alice", "commit", "-m", token, name, image).text.strip()
    stack.docker("alice", "create", "--name", f"idle-{name}", "busybox", "true")
    exec_id = ask(stack, "alice", "POST", f"/containers/{container_id}/exec", {"Cmd": ["true"]}).json()["Id"]
    stack.docker("bob", "run", "-d", "--name", "own", "busybox", "sleep", "600")
    engine = stack.engine_container(container_id)
    assert engine is not None
    network_id = ask(stack, "alice", "GET", f"/networks/{network}").json()["Id"]
    mine = "account_id = (SELECT id FROM accounts WHERE login = 'alice')"
    network_name = stack.psql(f"SELECT 'n-' || uuid FROM networks WHERE name = %s AND {mine}", [network])[0][0]
    volume_name = stack.psql(f"SELECT engine_name FROM volumes WHERE name = %s AND {mine}", [volume])[0][0]
    engine_network = next(n["Id"] for n in stack.engine.call("GET", "/networks")[1] if n["Name"] == network_name)
    kept = next(
        tag for i in stack.engine.call("GET", "/images/json")[1] if i["Id"] == image_id for tag in i["RepoTags"] or []
    )
    digits = image_id.removeprefix("sha256:")
    yield Hers(
        {
            "container": [container_id, container_id[:12], name, engine["Id"], engine["Name"][1:]],
            "exec": [exec_id, stack.psql("SELECT engine_exec_id FROM execs WHERE id = %s", [exec_id])[0][0]],
            "network": [network_id, network_id[:12], network, engine_network, network_name],
            "volume": [volume, volume_name],
            "image": [image_id, digits, digits[:12], image, kept],
            "image name": [image],
        },
        began,
    )
    for account in ("alice", "bob"):
        stack.remove_all(account)
    stack.docker("alice", "network", "rm", network, f"idle-{network}")
    stack.docker("alice", "volume", "rm", volume, f"idle-{volume}")
    stack.docker("alice", "rmi", image)
    for made in (volume, f"idle-{volume}"):
        stack.docker("bob", "volume", "rm", "-f", made)


def answer(stack: Stack, method: str, call: Call, name: str, account: str = "bob") -> tuple[int, str]:
    """Status and body of a request, with what it called the object taken away."""
    path, body = call
    if isinstance(body, bytes):
        how: dict[str, Any] = {"headers": {"Content-Type": "application/x-tar"}}
    else:
        body = json.loads(json.dumps(body).replace("{}", name))
        how = {"headers": WEBSOCKET} if path.endswith("ws?stdout=1&logs=1") else {}
    response = ask(stack, account, method, path.format(urllib.parse.quote(name, safe="/:")), body, typed=name, **how)
    text = response.body.decode().replace(name, "NAME")
    # A name without a tag is shown with one.
    return response.status, re.sub(r"NAME:latest|docker.io/library/NAME", "NAME", text)


@pytest.mark.parametrize(("method", "route"), NAMED, ids=[" ".join(route) for route in NAMED])
def test_what_she_has_is_not_there(stack: Stack, hers: Hers, method: str, route: str) -> None:
    """By whatever word: the same answer as for what was never there, and nothing changes."""
    with Unchanged(stack):
        for kind, call in NAMED[method, route]:
            expected = answer(stack, method, call, "nosuch")
            assert expected[0] >= 400 or kind == "image name", expected
            for word in hers.words[kind]:
                assert answer(stack, method, call, word) == expected, (word, call)
            for word in hers.engine_words(kind):
                # Not even for her.
                assert answer(stack, method, call, word, "alice") == answer(stack, method, call, "nosuch", "alice")


@pytest.mark.parametrize(("method", "route"), SHOWN, ids=[" ".join(route) for route in SHOWN])
def test_nothing_of_hers_is_shown(stack: Stack, hers: Hers, method: str, route: str) -> None:
    path = SHOWN[method, route].replace("SINCE", hers.began).replace("UNTIL", str(int(time.time()) + 1))
    response = ask(stack, "bob", method, path)
    assert response.status == 200
    for word in hers:
        assert word not in response.body.decode(), word


def everything(stack: Stack) -> set[str]:
    """The ids of all that alice has."""
    found = {c["Id"] for c in ask(stack, "alice", "GET", "/containers/json?all=1").json()}
    found |= {n["Id"] for n in ask(stack, "alice", "GET", "/networks").json()}
    found |= {i["Id"] for i in ask(stack, "alice", "GET", "/images/json?all=1").json()}
    return found | {v["Name"] for v in ask(stack, "alice", "GET", "/volumes").json()["Volumes"]}


@pytest.mark.parametrize(("method", "route"), PRUNED, ids=[" ".join(route) for route in PRUNED])
def test_nothing_of_hers_is_pruned(stack: Stack, hers: Hers, method: str, route: str) -> None:
    before = everything(stack)
    path, _, filters = PRUNED[method, route].partition("?filters=")
    response = ask(stack, "bob", method, path + (f"?filters={urllib.parse.quote(filters)}" if filters else ""))
    assert response.status == 200
    assert everything(stack) == before
    for word in hers:
        assert word not in response.body.decode(), word


def test_her_names_are_free_for_him(stack: Stack, hers: Hers) -> None:
    network, volume = hers.words["network"][2], hers.words["volume"][0]
    for name in (network, f"idle-{network}"):
        made = ask(stack, "bob", "POST", "/networks/create", {"Name": name}).json()["Id"]
        assert made not in hers.words["network"]
        assert stack.docker("bob", "network", "rm", name).code == 0
    assert stack.docker("bob", "run", "--rm", "-v", f"{volume}:/v", "busybox", "ls", "/v").text == ""
    ask(stack, "bob", "POST", "/volumes/create", {"Name": f"idle-{volume}", "Labels": {"whose": "bob"}})
    assert ask(stack, "alice", "GET", f"/volumes/idle-{volume}").json()["Labels"] in (None, {})


def test_a_build_reaches_nothing_of_hers(stack: Stack, hers: Hers) -> None:
    """By whatever word, in whatever way of saying it."""
    assert "Successfully built" in build(stack, "FROM busybox")
    for word in hers.words["image"]:
        for line in (
            f"FROM {word}",
            f"FROM busybox\nCOPY --from={word} / /x",
            f"FROM busybox\nONBUILD COPY --from={word} / /",
        ):
            said = build(stack, line)
            assert "Successfully built" not in said, (line, said)
    digits = hers.words["image"][1]
    stage = f"a{digits[:11]}"
    for text in (
        f"FROM busybox\nCOPY \udca0--from={digits} /data /x\n",
        f"FROM busybox\nCOPY \udc85--from={digits[:16]} /data /x\n",
        f"FROM busybox\nCOPY --from {digits} /data /x\n",
        f"FROM busybox\nRUN true \\\u00a0\nFROM busybox AS {stage}\nFROM busybox\nCOPY --from={stage} / /x\n",
    ):
        assert "Successfully built" not in build(stack, text), text


def build(stack: Stack, dockerfile: str) -> str:
    content = dockerfile.encode("utf-8", "surrogateescape")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    headers = {"Content-Type": "application/x-tar"}
    response = ask(stack, "bob", "POST", "/build", out.getvalue(), headers=headers, typed="unused", timeout=60)
    return response.body.decode()
