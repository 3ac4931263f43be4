"""Files, limits, samples and images of containers: what an engine answers, and in which words it refuses."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from typing import Any

import pytest

from app.domain import image_config
from app.engine.client import RawStream
from app.errors import Conflict, Error, Internal, InvalidParameter, NotFound
from tests import busybox
from tests.contract.conftest import LABEL, Subject, dechunk, read_all

MIB = 1 << 20


def tar(name: str, content: bytes) -> bytes:
    return busybox.files({name: content})


def names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getnames()


def test_pause(subject: Subject) -> None:
    engine, new = subject.engine, subject.create("sleep", "1000")
    with pytest.raises(Conflict, match="is not running"):
        engine.pause_container(new)
    engine.start_container(new)
    engine.pause_container(subject.name())
    assert engine.inspect_container(new)["State"]["Status"] == "paused"
    with pytest.raises(Conflict, match="is already paused"):
        engine.pause_container(new)
    engine.unpause_container(new)
    assert engine.inspect_container(new)["State"]["Status"] == "running"
    with pytest.raises((Conflict, Internal), match="is not paused"):
        engine.unpause_container(new)


def test_update(subject: Subject) -> None:
    engine = subject.engine
    new = subject.create("true", host={"Memory": 64 * MIB, "MemorySwap": 64 * MIB, "NanoCpus": 10**9})
    assert engine.update_container(new, {"Memory": 128 * MIB, "MemorySwap": 128 * MIB}) == []
    assert engine.inspect_container(new)["HostConfig"]["Memory"] == 128 * MIB
    with pytest.raises(Error, match="smaller than already set memoryswap"):
        engine.update_container(new, {"Memory": 256 * MIB})
    with pytest.raises(Error, match="CPU Quota cannot be updated as NanoCPUs has already been set"):
        engine.update_container(new, {"CpuQuota": 50_000})
    engine.update_container(new, {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}})
    assert engine.inspect_container(new)["HostConfig"]["RestartPolicy"]["Name"] == "always"


def changes(stream: RawStream) -> Any:
    """All that is told of them, with the names of its fields."""
    data = read_all(stream)
    found = json.loads(dechunk(data) if stream.headers.get("Transfer-Encoding") else data)
    assert found is None or all(set(change) == {"Path", "Kind"} for change in found)
    return found


def test_files(subject: Subject) -> None:
    engine, new = subject.engine, subject.create("true")
    assert changes(engine.changes(new)) is None
    engine.write_archive(new, "/tmp", [tar("a", b"hello")], keep_kinds=True, copy_owner=False)
    stat = json.loads(base64.b64decode(engine.stat_path(new, "/tmp/a") or ""))
    assert (stat["name"], stat["size"], stat["linkTarget"]) == ("a", 5, "")
    stream = engine.read_archive(new, "/tmp/a")
    assert stream.headers["X-Docker-Container-Path-Stat"]
    data = read_all(stream)
    assert names(dechunk(data) if stream.headers.get("Transfer-Encoding") else data) == ["a"]
    assert {"Path": "/tmp/a", "Kind": 1} in changes(engine.changes(new))
    with pytest.raises(NotFound):
        engine.changes("nosuch")
    assert "tmp/a" in names(dechunk(read_all(engine.export_container(new))))
    with pytest.raises(NotFound, match=f"Could not find the file /nope in container {subject.name()}"):
        engine.read_archive(subject.name(), "/nope")
    with pytest.raises(NotFound):
        engine.stat_path(new, "/nope")
    with pytest.raises(NotFound):
        engine.write_archive(new, "/nope", [tar("a", b"x")], keep_kinds=False, copy_owner=False)


def test_samples(subject: Subject) -> None:
    engine, new = subject.engine, subject.create("sleep", "1000")
    asleep = json.loads(read_all(engine.stats(new, {"stream": "0"})))
    assert "networks" not in asleep
    engine.start_container(new)
    sample = json.loads(read_all(engine.stats(new, {"stream": "0", "one-shot": "1"})))
    assert sample["memory_stats"]["usage"] and sample["networks"]["eth0"]
    stream = engine.stats(new, {"stream": "1"})
    stream.sock.settimeout(60)
    data = stream.leftover
    while b"\n" not in data and (block := stream.sock.recv(65536)):
        data += block
    assert json.loads(data.partition(b"\n")[0])["id"] == new
    stream.close()


def test_commit_and_an_image_without_its_layers(subject: Subject) -> None:
    """An engine does not look for the file of a layer that it has, so that a configuration alone makes an image."""
    engine = subject.engine
    new = subject.create("true", Labels={LABEL: subject.run, "a": "b", "sdc.account": "x"})
    engine.write_archive(new, "/tmp", [tar("a", b"hello")], keep_kinds=False, copy_owner=False)
    query = {"repo": "sdc.invalid/contract", "tag": subject.run, "comment": "hi", "changes": ["ENV A=1"], "pause": "1"}
    step = f"sdc.invalid/contract:{subject.run}"
    made = engine.commit_container(new, query, {"User": "nobody"})
    seen = engine.inspect_image(step)
    assert seen["Id"] == made and seen["Config"]["User"] == "nobody" and "A=1" in seen["Config"]["Env"]
    assert seen["Config"]["Labels"]["sdc.account"] == "x"
    config = image_config.rewritten(seen, engine.image_history(step), image="busybox")
    with engine.load_images([image_config.archive(config)]) as body:
        assert not [message for message in body.messages() if "error" in message]
    mine = engine.inspect_image(image_config.image_id(config))
    assert mine["Config"]["Labels"] == {"a": "b"}
    engine.remove_image(step)
    assert engine.inspect_image(mine["Id"])["RootFS"] == mine["RootFS"]
    with pytest.raises(InvalidParameter, match="ENV must have two arguments"):
        engine.commit_container(new, {**query, "changes": ["ENV a"]}, {})
    engine.remove_container(new)
    engine.remove_image(mine["Id"])
