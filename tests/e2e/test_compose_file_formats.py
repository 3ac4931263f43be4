"""Compose file formats from version 1 on, with the API versions that belong to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.compose import V2, Compose, Generation, containers, left
from tests.e2e.stack import Stack
from tests.machine import wait_until

ACCOUNT = "alice"

#: Without a version, and before networks: what is named is at the top, and services find each other by links.
FORMAT_1 = """
    data:
      image: busybox
      command: "true"
      volumes: [/shared]
    db:
      image: busybox
      command: sh -c 'echo kept >/shared/page; exec httpd -f -h /shared'
      volumes_from: [data]
      expose: ["80"]
      stop_signal: SIGKILL
      environment:
        PASSWORD: secret
    web:
      image: busybox
      command: sleep 600
      stop_signal: SIGKILL
      links: ["db:database"]
      volumes_from: ["db:ro"]
      mem_limit: 64m
      ports: ["80"]
    """
FORMAT_2 = """
    version: "2"
    services:
      db:
        image: busybox
        command: sh -c 'echo kept >/shared/page; exec httpd -f -h /shared'
        volumes: ["data:/shared"]
        stop_signal: SIGKILL
        networks:
          inner: {aliases: [database]}
        logging: {driver: json-file, options: {max-size: 1m}}
      web:
        image: busybox
        command: sleep 600
        stop_signal: SIGKILL
        volumes_from: ["db:ro"]
        networks: [inner, default]
        links: ["db:linked"]
        depends_on: [db]
        tmpfs: /scratch
        mem_limit: 64m
        extra_hosts: ["far:192.0.2.7"]
        ulimits: {nofile: 1234}
      beside:
        image: busybox
        command: sleep 600
        stop_signal: SIGKILL
        network_mode: "service:web"
    volumes: {data: {}}
    networks:
      inner:
        driver: bridge
        internal: true
    """
FORMAT_3 = """
    version: "3.8"
    x-common: &common
      image: busybox
      stop_signal: SIGKILL
      init: true
    services:
      db:
        <<: *common
        command: sh -c 'echo kept >/shared/page; exec httpd -f -h /shared'
        volumes:
          - {type: volume, source: data, target: /shared, volume: {nocopy: true}}
        networks: {default: {aliases: [database]}}
        healthcheck: {test: "wget -qO- http://127.0.0.1/page", interval: 1s, start_period: 5s}
        labels: {kind: store}
      web:
        <<: *common
        command: sleep 600
        user: nobody
        read_only: true
        tmpfs: [/scratch]
        sysctls: {net.core.somaxconn: "1024"}
        cap_drop: [ALL]
        depends_on: [db]
        deploy: {resources: {limits: {memory: 64M}}}
        dns_search: [example.org]
        ports:
          - {target: 80, protocol: tcp, mode: host}
    volumes:
      data: {name: "shop-data-of-its-own", labels: {kept: "no"}}
    networks:
      default: {driver: bridge, labels: {a: b}, ipam: {driver: default}}
    """


@pytest.fixture
def compose(stack: Stack, alice: str, generation: Generation, tmp_path: Path) -> Iterator[Compose]:
    running = Compose(generation, stack.env(alice), tmp_path)
    yield running
    running("down", "-v", "-t", "0", check=False)


def inspected(stack: Stack, generation: Generation, service: str) -> dict[str, Any]:
    name = generation.name("shop", service)
    return json.loads(stack.request(ACCOUNT, "GET", f"/v1.44/containers/{name}/json").body)


def asks(compose: Compose, host: str) -> str:
    """What `web` gets from the database under a name."""
    wait_until(lambda: compose("exec", "-T", "web", "wget", "-qO-", f"http://{host}/page", check=False).code == 0, host)
    return compose("exec", "-T", "web", "wget", "-qO-", f"http://{host}/page").text


@pytest.mark.parametrize("generation", [Generation(1, "1.21"), Generation(1)], ids=str)
def test_format_1(stack: Stack, generation: Generation, compose: Compose) -> None:
    compose.write({"docker-compose.yml": FORMAT_1})
    compose("up", "-d")
    # Its server comes after the page.
    assert asks(compose, "database") == "kept\n"
    assert compose("exec", "-T", "web", "cat", "/shared/page").text == "kept\n"
    env = compose("exec", "-T", "web", "env").text
    assert "DATABASE_ENV_PASSWORD=secret" in env and "DATABASE_PORT_80_TCP_PORT=80" in env
    assert compose("exec", "-T", "web", "touch", "/shared/page", check=False).code != 0
    assert compose("port", "web", "80").text.startswith(stack.node_address)
    # Again, and nothing is made anew; made anew by force, the volume stays.
    old = {name: c["Id"] for name, c in containers(stack, ACCOUNT, "shop").items()}
    compose("up", "-d")
    assert old == {name: c["Id"] for name, c in containers(stack, ACCOUNT, "shop").items()}
    compose("up", "-d", "--force-recreate", "-t", "0")
    assert not set(old.values()) & {c["Id"] for c in containers(stack, ACCOUNT, "shop").values()}
    assert asks(compose, "database") == "kept\n"
    assert compose("exec", "-T", "web", "cat", "/shared/page").text == "kept\n"
    compose("down", "-v", "-t", "0")
    assert left(stack, ACCOUNT, "shop") == []


@pytest.mark.parametrize("generation", [Generation(1, "1.22"), V2], ids=str)
def test_format_2(stack: Stack, generation: Generation, compose: Compose) -> None:
    compose.write({"docker-compose.yml": FORMAT_2})
    compose("up", "-d")
    for name in ("database", "db", "linked"):
        assert asks(compose, name) == "kept\n"
    assert compose("exec", "-T", "web", "cat", "/shared/page").text == "kept\n"
    assert "192.0.2.7" in compose("exec", "-T", "web", "cat", "/etc/hosts").text
    assert compose("exec", "-T", "web", "sh", "-c", "ulimit -n").text == "1234\n"
    assert " /scratch tmpfs" in compose("exec", "-T", "web", "cat", "/proc/mounts").text
    web, beside = (inspected(stack, generation, service) for service in ("web", "beside"))
    assert sorted(web["NetworkSettings"]["Networks"]) == ["shop_default", "shop_inner"]
    assert beside["HostConfig"]["NetworkMode"] == f"container:{web['Id']}"
    assert inspected(stack, generation, "db")["HostConfig"]["LogConfig"]["Config"]["max-size"] == "1m"
    shared = compose("exec", "-T", "beside", "ip", "-o", "addr").text
    assert web["NetworkSettings"]["Networks"]["shop_inner"]["IPAddress"] in shared
    compose("down", "-v", "-t", "0")
    assert left(stack, ACCOUNT, "shop") == []


@pytest.mark.parametrize("generation", [Generation(1, "1.38"), V2, Generation(2, "1.41")], ids=str)
def test_format_3(stack: Stack, generation: Generation, compose: Compose) -> None:
    compose.write({"docker-compose.yml": FORMAT_3})
    compose("--compatibility", "up", "-d") if generation.major == 1 else compose("up", "-d", "--wait")
    assert asks(compose, "database") == "kept\n"
    assert compose("exec", "-T", "web", "id", "-un").text == "nobody\n"
    assert compose("exec", "-T", "web", "cat", "/proc/sys/net/core/somaxconn").text == "1024\n"
    assert "search example.org" in compose("exec", "-T", "web", "cat", "/etc/resolv.conf").text
    web = inspected(stack, generation, "web")
    assert web["HostConfig"]["ReadonlyRootfs"] and web["HostConfig"]["CapDrop"] == ["ALL"]
    assert web["HostConfig"]["Memory"] == 64 << 20
    assert inspected(stack, generation, "db")["Mounts"][0]["Name"] == "shop-data-of-its-own"
    compose("down", "-v", "-t", "0")
    assert left(stack, ACCOUNT, "shop") == []
