"""The docker SDK for Python, unchanged, at the version that it takes from the service itself."""

from __future__ import annotations

import gc
import io
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.constants import MINIMUM_DOCKER_API_VERSION
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound
from docker.types import Healthcheck, LogConfig, Mount, Ulimit

from tests.e2e.stack import Stack
from tests.machine import wait_until

#: The SDK leaves the sockets of its streams to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def client(stack: Stack, alice: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[docker.DockerClient]:
    yield from sdk(stack, alice, monkeypatch)
    for resource in ("network", "volume"):
        stack.docker(alice, resource, "prune", "-f")


@pytest.fixture
def other(stack: Stack, bob: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[docker.DockerClient]:
    yield from sdk(stack, bob, monkeypatch)


def sdk(
    stack: Stack, account: str, monkeypatch: pytest.MonkeyPatch, version: str | None = None
) -> Iterator[docker.DockerClient]:
    # What a machine trusts for its own sake would count for more than the certificate folder.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    client = docker.from_env(environment=stack.env(account), version=version)
    yield client
    client.close()
    del client
    gc.collect()


def test_the_system(client: docker.DockerClient) -> None:
    assert client.ping()
    assert client.api.api_version == client.version()["ApiVersion"] == "1.44"
    assert client.info()["Driver"] == "sdc"
    assert {"Images", "Containers", "Volumes", "LayersSize"} <= set(client.df())
    with pytest.raises(APIError):
        client.swarm.init()


def test_containers(client: docker.DockerClient, other: docker.DockerClient) -> None:
    assert client.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"
    with pytest.raises(ContainerError) as failed:
        client.containers.run("busybox", "sh -c 'echo wrong >&2; exit 3'", remove=True)
    assert failed.value.exit_status == 3 and failed.value.stderr == b"wrong\n"
    container = client.containers.run(
        "busybox",
        "sh -c 'while sleep 0.1; do echo tick; done'",
        name="sdk",
        detach=True,
        environment={"A": "b"},
        labels={"kind": "sdk"},
        ports={"80/tcp": None, "53/udp": None},
        mem_limit="64m",
        nano_cpus=500_000_000,
        ulimits=[Ulimit(name="nofile", soft=1024, hard=1024)],
        mounts=[Mount("/data", "sdk-data"), Mount("/scratch", None, type="tmpfs")],
        log_config=LogConfig(type="json-file", config={"max-size": "1m"}),
        healthcheck=Healthcheck(test=["CMD", "true"], interval=500_000_000),
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
        extra_hosts={"far": "192.0.2.7"},
        init=True,
    )
    with pytest.raises(NotFound):
        other.containers.get(container.id)
    assert other.containers.list(all=True) == []
    assert [c.name for c in client.containers.list(filters={"label": "kind=sdk"})] == ["sdk"]
    assert next(container.logs(stream=True, follow=True)) == b"tick\n"
    assert b"tick\n" in container.logs(tail=2, stdout=True, stderr=False)
    code, output = container.exec_run("sh -c 'echo out; echo err >&2; exit 4'", demux=True)
    assert (code, output) == (4, (b"out\n", b"err\n"))
    assert container.exec_run("id -un", user="nobody").output == b"nobody\n"
    assert b"".join(container.exec_run("echo piece", stream=True).output) == b"piece\n"
    reads_and_writes(container)
    files(container)
    assert container.stats(stream=False)["memory_stats"]["limit"] == 64 << 20
    assert "tick" not in str(container.top()["Titles"]) and container.top()["Processes"]
    assert {change["Path"] for change in container.diff()} >= {"/tmp"}
    wait_until(lambda: container.reload() or container.attrs["State"]["Health"]["Status"] == "healthy", "health")
    assert set(container.ports) == {"80/tcp", "53/udp"}
    container.pause()
    container.unpause()
    container.rename("renamed")
    container.update(mem_limit="96m", memswap_limit="96m")
    container.restart(timeout=0)
    container.kill("SIGKILL")
    assert container.wait(timeout=60)["StatusCode"] == 137
    with pytest.raises(APIError) as conflict:
        container.kill()
    assert conflict.value.status_code == 409
    container.remove(v=True)
    with pytest.raises(NotFound):
        client.containers.get("renamed")


def reads_and_writes(container: docker.models.containers.Container) -> None:
    api = container.client.api
    made = api.exec_create(container.id, "cat", stdin=True, tty=True)
    sock = api.exec_start(made["Id"], tty=True, socket=True)
    sock._sock.sendall(b"there and back\n") if hasattr(sock, "_sock") else sock.sendall(b"there and back\n")
    found = b""
    until = time.monotonic() + 60
    while b"back" not in found and time.monotonic() < until:
        found += sock.recv(100) if hasattr(sock, "recv") else sock.read(16)
    assert b"there and back" in found
    sock.close()


def files(container: docker.models.containers.Container) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("note")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    assert container.put_archive("/tmp", out.getvalue())
    blocks, told = container.get_archive("/tmp/note")
    with tarfile.open(fileobj=io.BytesIO(b"".join(blocks))) as tar:
        assert told["name"] == "note" and told["size"] == 5
        assert tar.extractfile("note").read() == b"hello"  # type: ignore[union-attr]


def test_attach(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", "cat", stdin_open=True)
    sock = client.api.attach_socket(container.id, {"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    raw = getattr(sock, "_sock", sock)
    raw.sendall(b"through\n")
    # What comes is framed.
    found = b""
    while len(found) < 16:
        found += raw.recv(100)
    assert found == b"\x01\0\0\0\0\0\0\x08through\n"
    sock.close()
    container.remove(force=True)


def test_networks_and_volumes(client: docker.DockerClient, other: docker.DockerClient) -> None:
    network = client.networks.create("sdk-net", driver="bridge", labels={"a": "b"}, check_duplicate=True)
    with pytest.raises(APIError) as twice:
        client.networks.create("sdk-net")
    assert twice.value.status_code == 409
    volume = client.volumes.create("sdk-volume", labels={"a": "b"})
    one = client.containers.run(
        "busybox", "sleep 600", detach=True, network="sdk-net", volumes={"sdk-volume": {"bind": "/v", "mode": "rw"}}
    )
    two = client.containers.run("busybox", "sleep 600", detach=True, volumes_from=[one.id])
    network.connect(two, aliases=["second"])
    assert one.exec_run("ping -c 1 -W 10 second").exit_code == 0
    assert two.exec_run("touch /v/there").exit_code == 0 and one.exec_run("ls /v").output == b"there\n"
    network.reload()
    assert {c.id for c in network.containers} == {one.id, two.id}
    network.disconnect(two)
    assert other.networks.list(names=["sdk-net"]) == [] and other.volumes.list() == []
    with pytest.raises(APIError) as used:
        volume.remove()
    assert used.value.status_code == 409
    for container in (one, two):
        container.remove(force=True)
    network.remove()
    volume.remove()
    with pytest.raises(NotFound):
        client.volumes.get("sdk-volume")


def test_images(client: docker.DockerClient) -> None:
    dockerfile = b"FROM busybox\nLABEL of=sdk\nRUN echo built >/built\n"
    image, lines = client.images.build(fileobj=io.BytesIO(dockerfile), tag="sdk:one", rm=True)
    assert "Successfully built" in "".join(line.get("stream", "") for line in lines)
    assert image.labels == {"of": "sdk"} and "sdk:one" in image.tags
    with pytest.raises(docker.errors.BuildError):
        client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN false\n"))
    assert image.tag("sdk", "two")
    assert client.containers.run("sdk:two", "cat /built", remove=True) == b"built\n"
    saved = b"".join(image.save(named=True))
    container = client.containers.run("sdk:one", "touch /more", detach=True)
    container.wait(timeout=60)
    committed = container.commit("sdk", "three", changes="ENV A=b")
    assert committed.attrs["Config"]["Env"][-1] == "A=b"
    container.remove()
    assert len(client.images.list(name="sdk")) == 2
    for tag in ("sdk:one", "sdk:two", "sdk:three"):
        client.images.remove(tag)
    with pytest.raises(ImageNotFound):
        client.images.get("sdk:one")
    assert client.images.load(saved)[0].id == image.id
    client.images.remove(image.id, force=True)
    with pytest.raises(ImageNotFound):
        client.containers.create("not-there-at-all:1")


def test_a_dockerfile_outside_the_context(client: docker.DockerClient, tmp_path: Path) -> None:
    """Its name and its text are both sent as the parameter, and the name counts."""
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "file").write_text("content")
    (tmp_path / "Elsewhere").write_text("FROM busybox\nCOPY file /copied\n")
    hosts = {"one.example": "10.9.9.1", "two.example": "10.9.9.2"}
    image, _ = client.images.build(path=str(tmp_path / "context"), dockerfile="../Elsewhere", extra_hosts=hosts)
    assert client.containers.run(image.id, "cat /copied", remove=True) == b"content"
    client.images.remove(image.id)


def test_events(client: docker.DockerClient) -> None:
    seen: list[str] = []
    events = client.events(decode=True, filters={"type": "container", "label": "of=events"})

    def read() -> None:
        for event in events:
            seen.append(event["Action"])
            assert event["status"] == event["Action"] and event["id"] == event["Actor"]["ID"]

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    client.containers.run("busybox", "true", remove=True, labels={"of": "events"})
    wait_until(lambda: "destroy" in seen, "the last event")
    events.close()
    assert [action for action in seen if action in ("create", "start", "die", "destroy")] == [
        "create",
        "start",
        "die",
        "destroy",
    ]


def test_the_oldest_version_that_it_speaks(stack: Stack, alice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for client in sdk(stack, alice, monkeypatch, MINIMUM_DOCKER_API_VERSION):
        began = int(time.time())
        assert client.containers.run("busybox", "echo hello", remove=True) == b"hello\n"
        container = client.containers.run("busybox", "sleep 600", name="oldest", detach=True, volumes=["/data"])
        assert container.exec_run("sh -c 'echo out; echo err >&2'", demux=True).output == (b"out\n", b"err\n")
        (mount,) = container.attrs["Mounts"]
        assert mount["Destination"] == "/data" and "Type" not in mount
        assert next(container.stats(decode=True))["memory_stats"]["limit"] == 1 << 30
        network = client.networks.create("sdk-oldest")
        network.connect(container, aliases=["old"])
        network.reload()
        assert [one.name for one in network.containers] == ["oldest"]
        network.disconnect(container)
        network.remove()
        container.kill()
        assert container.wait(timeout=60)["StatusCode"] == 137
        container.remove(v=True)
        told = []
        # What an engine tells is heard a moment later.
        for event in client.events(since=began, until=int(time.time()) + 60, decode=True):
            told += [event["status"]] if event.get("id") == container.id else []
            if told[-1:] == ["destroy"]:
                break
        assert told[0] == "create" and told[-3:] == ["kill", "die", "destroy"]
