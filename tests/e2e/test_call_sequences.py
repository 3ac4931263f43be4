"""What Traefik, Portainer and watchtower ask for, with the versions that are fixed in them.

The programs themselves come as images; their calls are made here one after the other, as they make them.
"""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.behind import ask
from tests.e2e.stack import Registry, Response, Stack
from tests.e2e.wire import UPGRADE, Wire
from tests.machine import wait_until

SLEEP = {"Image": "busybox", "Cmd": ["sleep", "600"], "StopSignal": "SIGKILL"}


def filters(**wanted: list[str]) -> str:
    return urllib.parse.quote(json.dumps(wanted))


def go_filters(**wanted: list[str]) -> str:
    """As Go's client sends them."""
    return urllib.parse.quote(json.dumps({key: dict.fromkeys(values, True) for key, values in wanted.items()}))


def calls(stack: Stack, account: str, version: str) -> Callable[..., Response]:
    def call(method: str, path: str, body: Any = None, *, status: int = 200, **how: Any) -> Response:
        # Go's clients send this with every POST, body or not.
        headers = {"User-Agent": "Go-http-client/1.1", **how.pop("headers", {})}
        answer = ask(stack, account, method, f"/v{version}{path}", body, headers=headers, **how)
        assert answer.status == status, (method, path, answer)
        return answer

    return call


def running(call: Callable[..., Response], name: str, **body: Any) -> str:
    made = call("POST", f"/containers/create?name={name}", SLEEP | body, status=201).json()
    call("POST", f"/containers/{made['Id']}/start", status=204)
    return str(made["Id"])


@pytest.mark.parametrize("version", ["1.24", "1.44"])
def test_traefik(stack: Stack, alice: str, bob: str, version: str) -> None:
    call = calls(stack, alice, version)
    body = {
        "Labels": {"traefik.enable": "true", "traefik.http.routers.web.rule": "Host(`web.example.org`)"},
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": ""}]}},
    }
    web = running(call, "web", **body)
    running(calls(stack, bob, version), "web", **body)
    assert call("GET", "/version").json()["ApiVersion"] == "1.44"
    # To the nanosecond: within a second another test's containers may have gone.
    since = f"{time.time_ns() / 1e9:.9f}"
    listed = call("GET", "/containers/json").json()
    assert [one["Id"] for one in listed] == [web]
    for one in listed:
        seen = call("GET", f"/containers/{one['Id']}/json").json()
        # What its provider reads.
        assert seen["State"]["Running"] and seen["Name"] == "/web" and seen["State"].get("Health") is None
        assert seen["Config"]["Labels"]["traefik.enable"] == "true"
        network = seen["NetworkSettings"]["Networks"]["bridge"]
        assert network["IPAddress"] and network["NetworkID"]
        port = seen["NetworkSettings"]["Ports"]["80/tcp"][0]
        assert port["HostIp"] == stack.node_address and port["HostPort"].isdigit()
        assert seen["HostConfig"]["NetworkMode"] in ("default", "bridge")
    # Then it follows what starts, ends and changes its health.
    call("POST", f"/containers/{web}/restart?t=0", status=204)

    def heard() -> list[dict[str, Any]]:
        path = f"/events?since={since}&until={int(time.time()) + 1}&filters={go_filters(type=['container'])}"
        return [json.loads(line) for line in call("GET", path).body.splitlines()]

    wait_until(lambda: {line["Action"] for line in heard()} >= {"start", "die"}, "the restart in its events")
    assert {line["Actor"]["ID"] for line in heard()} == {web}


@pytest.mark.parametrize("version", ["1.24", "1.41"])
def test_portainer(stack: Stack, alice: str, version: str) -> None:
    call = calls(stack, alice, version)
    stack.docker(alice, "network", "create", "portainer-net")
    stack.docker(alice, "volume", "create", "portainer-data")
    try:
        web = running(call, "web", HostConfig={"Binds": ["portainer-data:/data"], "NetworkMode": "portainer-net"})
        # Its snapshot of an environment.
        assert ask(stack, alice, "GET", "/_ping").body == b"OK"
        info = call("GET", "/info").json()
        assert info["Containers"] == info["ContainersRunning"] == 1 and info["NCPU"] > 0 and info["MemTotal"] > 0
        assert not info["Swarm"].get("ControlAvailable", False)
        assert call("GET", "/version").json()["Version"] == info["ServerVersion"]
        assert [c["Names"] for c in call("GET", "/containers/json?all=1&size=1").json()] == [["/web"]]
        assert any(i["RepoTags"] for i in call("GET", "/images/json?all=0").json())
        volumes = call("GET", "/volumes").json()["Volumes"]
        assert "portainer-data" in [v["Name"] for v in volumes]
        dangling = call("GET", f"/volumes?filters={filters(dangling=['true'])}").json()["Volumes"] or []
        assert "portainer-data" not in [v["Name"] for v in dangling]
        assert "portainer-net" in [n["Name"] for n in call("GET", "/networks").json()]
        if version != "1.24":
            assert len(call("GET", "/system/df").json()["Containers"]) == 1
        # A container's page.
        seen = call("GET", f"/containers/{web}/json").json()
        assert seen["Mounts"][0]["Name"] == "portainer-data"
        call("GET", f"/images/{seen['Image']}/json")
        call("GET", f"/images/{seen['Image']}/history")
        assert call("GET", f"/containers/{web}/top").json()["Processes"]
        assert call("GET", f"/containers/{web}/stats?stream=false").json()["memory_stats"]["limit"]
        call("GET", f"/containers/{web}/logs?stderr=1&stdout=1&tail=100&timestamps=0&since=0")
        # Its console.
        terminal = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Tty": True, "Cmd": ["sh"]}
        made = call("POST", f"/containers/{web}/exec", terminal, status=201).json()["Id"]
        with Wire(stack, alice) as shell:
            start = {"Detach": False, "Tty": True}
            shell.send("POST", f"/v{version}/exec/{made}/start", start, headers=UPGRADE)
            assert shell.head()[0].startswith("101")
            call("POST", f"/exec/{made}/resize?h=30&w=100")
            shell.write(b"stty size; exit\n")
            assert b"30 100" in shell.rest()
        assert call("GET", f"/exec/{made}/json").json()["ExitCode"] == 0
        # Its buttons.
        call("POST", f"/containers/{web}/restart", status=204)
        call("POST", f"/containers/{web}/kill", status=204)
        call("POST", f"/containers/{web}/rename?name=site", status=204)
        call("DELETE", f"/containers/{web}?v=0&force=true", status=204)
        call("DELETE", "/networks/portainer-net", status=204)
        call("DELETE", "/volumes/portainer-data", status=204)
    finally:
        stack.remove_all(alice)
        stack.docker(alice, "network", "rm", "portainer-net", check=False)
        stack.docker(alice, "volume", "rm", "portainer-data", check=False)


@pytest.mark.parametrize("version", ["1.25", "1.44"])
def test_watchtower(stack: Stack, alice: str, registry: Registry, version: str) -> None:
    call = calls(stack, alice, version)
    name = f"{registry.host}/watched"
    _, old = registry.push("watched", marker=f"old {version}")
    pull = f"/images/create?fromImage={urllib.parse.quote(name, safe='')}&tag=latest"
    call("POST", pull)
    stack.docker(alice, "network", "create", "watched-net")
    try:
        body = {
            "Image": f"{name}:latest",
            "HostConfig": {"NetworkMode": "watched-net", "RestartPolicy": {"Name": "no"}},
            "NetworkingConfig": {"EndpointsConfig": {"watched-net": {"Aliases": ["site"]}}},
            "Labels": {"com.centurylinklabs.watchtower.enable": "true"},
        }
        first = running(call, "watched", **body)
        _, new = registry.push("watched", marker=f"new {version}")
        # One turn of its: everything that runs, its image, is there a newer one?
        listed = call("GET", f"/containers/json?filters={go_filters(status=['running'])}&limit=0").json()
        assert [one["Id"] for one in listed] == [first]
        seen = call("GET", f"/containers/{first}/json").json()
        assert seen["Image"] == old and call("GET", f"/images/{old}/json").json()["Id"] == old
        lines = call("POST", pull, headers={"X-Registry-Auth": "e30="}).body
        assert b"Downloaded newer image" in lines
        assert call("GET", f"/images/{urllib.parse.quote(name)}:latest/json").json()["Id"] == new
        # Stop, remove, and the same again of the new image: what inspect said goes back into create.
        call("POST", f"/containers/{first}/kill?signal=SIGKILL", status=204)
        call("DELETE", f"/containers/{first}?force=1&v=1", status=204)
        call("GET", f"/containers/{first}/json", status=404)
        endpoints = seen["NetworkSettings"]["Networks"]
        for endpoint in endpoints.values():
            endpoint["Aliases"] = [alias for alias in endpoint["Aliases"] or [] if alias != first[:12]]
        config = seen["Config"] | {"Image": f"{name}:latest"}
        again = config | {
            "HostConfig": seen["HostConfig"],
            "NetworkingConfig": {"EndpointsConfig": endpoints},
        }
        second = call("POST", "/containers/create?name=watched", again, status=201).json()["Id"]
        for network, endpoint in endpoints.items():
            call("POST", f"/networks/{endpoint['NetworkID']}/disconnect", {"Container": second, "Force": True})
            call("POST", f"/networks/{network}/connect", {"Container": second, "EndpointConfig": endpoint})
        call("POST", f"/containers/{second}/start", status=204)
        seen = call("GET", f"/containers/{second}/json").json()
        assert seen["Image"] == new and seen["State"]["Running"]
        assert seen["Config"]["Labels"] == body["Labels"]
        assert "site" in seen["NetworkSettings"]["Networks"]["watched-net"]["Aliases"]
        call("DELETE", f"/images/{old}?force=1")
    finally:
        stack.remove_all(alice)
        stack.docker(alice, "network", "rm", "watched-net", check=False)
        stack.docker(alice, "rmi", "-f", f"{name}:latest", check=False)
