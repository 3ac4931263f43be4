"""What the fake engine can do with a container beside its life: files, limits, samples, images of it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.engine.client import RawStream
from app.errors import Conflict, InvalidParameter, NotFound
from tests import busybox
from tests.fakes import shapes
from tests.fakes.process import STDOUT, Wire, raw
from tests.fakes.traps import Traps, recorded

Json = dict[str, Any]

#: What every image of the fake has in it.
FILES = {"/etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n", "/bin/sh": b"#!"}


class FakeContainerCalls(Traps):
    """The mixin's user has `containers`, `images` and `names`."""

    images: dict[str, Json]
    names: dict[str, str]
    _changed: threading.Condition
    _find: Callable[[str], Any]
    _must_run: Callable[[Any], None]
    _emit: Callable[..., None]

    def __init__(self) -> None:
        super().__init__()
        #: Container id -> path -> content, of what was copied there.
        self.copied: dict[str, dict[str, bytes]] = {}

    # -- state ---------------------------------------------------------------------------------------------------

    @recorded
    def pause_container(self, name: str) -> None:
        container = self._find(name)
        self._must_run(container)
        if container.state["Paused"]:
            raise Conflict(f"Container {container.id} is already paused")
        container.state |= {"Status": "paused", "Paused": True}
        self._emit(container, "pause")

    @recorded
    def unpause_container(self, name: str) -> None:
        container = self._find(name)
        if not container.state["Paused"]:
            raise Conflict(f"Container {container.id} is not paused")
        container.state |= {"Status": "running", "Paused": False}
        self._emit(container, "unpause")

    @recorded
    def update_container(self, name: str, body: Json) -> list[str]:
        container = self._find(name)
        swap = body.get("MemorySwap") or container.host.get("MemorySwap") or 0
        if 0 < swap < (body.get("Memory") or 0):
            raise Conflict(
                f"Cannot update container {container.id}: Memory limit should be smaller than already set memoryswap "
                "limit, update the memoryswap at the same time"
            )
        if body.get("NanoCpus") and container.host.get("CpuQuota"):
            raise Conflict("Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set")
        if body.get("CpuQuota") and container.host.get("NanoCpus"):
            raise Conflict("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")
        if body.get("RestartPolicy") and container.host["AutoRemove"]:
            raise Conflict("Restart policy cannot be updated because AutoRemove is enabled for the container")
        container.host |= body
        self._emit(container, "update")
        return []

    @recorded
    def stats(self, name: str, query: Mapping[str, Any]) -> RawStream:
        container = self._find(name)
        wire = Wire()
        sample = {
            "read": "2026-01-01T00:00:01Z",
            "preread": "2026-01-01T00:00:00Z",
            "pids_stats": {"current": 1} if container.running else {},
            "blkio_stats": dict.fromkeys(("io_service_bytes_recursive", "sectors_recursive")),
            "num_procs": 0,
            "storage_stats": {},
            "cpu_stats": {"cpu_usage": {"total_usage": 5}, "throttling_data": {}, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 4}, "throttling_data": {}},
            "memory_stats": {"usage": 7, "limit": container.host["Memory"], "stats": {"cache": 1}},
            "name": f"/{container.name}",
            "id": container.id,
            "secret": "x",
        }
        if container.running:
            sample["networks"] = {"eth0": {"rx_bytes": 1, "tx_bytes": 2, "secret": "x"}}
        wire.write(STDOUT, json.dumps(sample).encode() + b"\n")
        if query.get("stream") != "1":
            wire.end()
        return raw(wire, {"Content-Type": "application/json"})

    @recorded
    def commit_container(self, name: str, query: Mapping[str, Any], config: Json) -> str:
        container = self._find(name)
        base = self.images[container.image_id]
        labels = {**(container.config["Labels"] or {}), **(config.get("Labels") or {})}
        merged = {**container.config, **config, "Labels": labels}
        for change in query.get("changes") or []:
            verb, _, rest = change.partition(" ")
            if verb.upper() == "ENV" and "=" not in rest:
                raise InvalidParameter("ENV must have two arguments")
            if verb.upper() == "ENV":
                merged["Env"] = [*(merged["Env"] or []), rest]
        told = json.dumps([container.id, merged, sorted(self.copied.get(container.id, {}))], sort_keys=True).encode()
        image_id = f"sha256:{hashlib.sha256(told).hexdigest()}"
        layers = [*base["RootFS"].get("Layers", []), image_id]
        made = shapes.image(image_id, {"os": "linux", "config": merged, "rootfs": {"diff_ids": layers}}, base["Size"])
        about = {"Comment": query.get("comment", ""), "Author": query.get("author", ""), "Container": container.id}
        self.images[image_id] = made | about | {"ContainerConfig": container.config, "RootFS": {"Layers": layers}}
        if query.get("repo"):
            self.names[f"{query['repo']}:{query['tag']}"] = image_id
        self._emit(container, "commit", comment=query.get("comment", ""), imageID=image_id)
        return image_id

    @recorded
    def attach_websocket(self, name: str, query: Mapping[str, Any], key: str, *, text: bool) -> RawStream:
        container = self._find(name)
        wire = Wire()
        wire.write(STDOUT, b"\x81\x02hi" if text else b"\x82\x02hi")
        wire.end()
        self._emit(container, "attach")
        return raw(wire, {"Upgrade": "websocket"})

    # -- files ---------------------------------------------------------------------------------------------------

    @recorded
    def changes(self, name: str) -> RawStream:
        container = self._find(name)
        wire = Wire(chunks=True)
        found = [{"Path": path, "Kind": 1} for path in sorted(self.copied.get(container.id, {}))] or None
        wire.write(STDOUT, json.dumps(found).encode() + b"\n")
        wire.end()
        return raw(wire, {"Transfer-Encoding": "chunked"})

    @recorded
    def export_container(self, name: str) -> RawStream:
        container = self._find(name)
        wire = Wire(chunks=True)
        wire.write(STDOUT, _tar(self._all(container)))
        wire.end()
        self._emit(container, "export")
        return raw(wire, {"Transfer-Encoding": "chunked"})

    @recorded
    def stat_path(self, name: str, path: str) -> str | None:
        container = self._find(name)
        return self._stat(container, path)

    @recorded
    def read_archive(self, name: str, path: str) -> RawStream:
        container = self._find(name)
        stat = self._stat(container, path)
        data = _tar({path.rpartition("/")[2]: self._all(container)[path]})
        wire = Wire()
        wire.write(STDOUT, data)
        wire.end()
        self._emit(container, "archive-path")
        return raw(wire, {"X-Docker-Container-Path-Stat": stat, "Content-Length": str(len(data))})

    @recorded
    def write_archive(
        self, name: str, path: str, chunks: Iterable[bytes], *, keep_kinds: bool, copy_owner: bool
    ) -> None:
        container = self._find(name)
        if container.host["ReadonlyRootfs"]:
            raise InvalidParameter("container rootfs is marked read-only")
        if not path.startswith(("/tmp", "/data", "/etc")):
            raise NotFound(f"Could not find the file {path} in container {name}")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None:
                    self.copied.setdefault(container.id, {})[f"{path}/{member.name}"] = content.read()
        self._emit(container, "extract-to-dir")

    def _all(self, container: Any) -> dict[str, bytes]:
        return FILES | self.copied.get(container.id, {})

    def _stat(self, container: Any, path: str) -> str:
        found = self._all(container).get(path)
        if found is None:
            raise NotFound(f"Could not find the file {path} in container {container.name}")
        told = {"name": path.rpartition("/")[2], "size": len(found), "mode": 0o644, "mtime": "2026-01-01T00:00:00Z"}
        return base64.b64encode(json.dumps({**told, "linkTarget": "", "secret": "x"}).encode()).decode()


def _tar(files: Mapping[str, bytes]) -> bytes:
    return busybox.files({name.lstrip("/"): content for name, content in files.items()})
