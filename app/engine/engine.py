"""The calls that we make to a Docker Engine, one method each.

Objects are named by engine ids or by our own engine names (`c-<uuid>` and so on), never by a tenant's words. Errors
come as kinds with the engine's message; the caller scrubs it (`errors.scrub`) before a tenant sees it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from app.engine import lift
from app.engine.client import Body, EngineClient, RawStream

Json = dict[str, Any]

#: A create or start may pull plugins apart or wait for a busy disk; a person gives up later than this.
SLOW = 300.0
#: A container may have asked for this many seconds itself (StopTimeout), where a stop names none.
LONGEST_STOP = 600


def _patience(seconds: int | None) -> float:
    return SLOW + (LONGEST_STOP if seconds is None else max(seconds, 0))


class Engine:
    def __init__(self, client: EngineClient) -> None:
        self._client = client

    # -- system --------------------------------------------------------------------------------------------------

    def version(self) -> Json:
        return self._client.json("GET", "/version", timeout=10)

    def info(self) -> Json:
        return self._client.json("GET", "/info", timeout=20)

    def events(self, *, since: float | None = None, labels: Iterable[str] = (), timeout: float | None = None) -> Body:
        """An endless `Body` of event messages of containers that carry all `labels`."""
        filters = {"type": ["container"], "label": list(labels)}
        query = {"filters": json.dumps(filters), "since": f"{since:.9f}" if since else None}
        return self._client.open("GET", "/events", query=query, timeout=timeout)

    # -- containers ----------------------------------------------------------------------------------------------

    def create_container(self, name: str, body: Json, *, platform: str = "") -> str:
        """The engine id of the new container."""
        query = {"name": name, "platform": platform or None}
        return self._client.json("POST", "/containers/create", query=query, body=body, timeout=SLOW)["Id"]

    def inspect_container(self, name: str, *, size: bool = False, timeout: float = 20.0) -> Json:
        query = {"size": "1"} if size else None
        return lift.container(self._client.json("GET", f"/containers/{name}/json", query=query, timeout=timeout))

    def list_containers(self, labels: Iterable[str], *, size: bool = False) -> list[Json]:
        """All containers, running or not, that carry all `labels` ("key=value")."""
        query = {"all": "1", "size": "1" if size else None, "filters": json.dumps({"label": list(labels)})}
        return self._client.json("GET", "/containers/json", query=query, timeout=60)

    def start_container(self, name: str) -> None:
        self._client.json("POST", f"/containers/{name}/start", timeout=SLOW)

    def stop_container(self, name: str, *, seconds: int | None, signal: str | None = None) -> None:
        query = {"t": seconds, "signal": signal}
        self._client.json("POST", f"/containers/{name}/stop", query=query, timeout=_patience(seconds))

    def restart_container(self, name: str, *, seconds: int | None, signal: str | None = None) -> None:
        query = {"t": seconds, "signal": signal}
        self._client.json("POST", f"/containers/{name}/restart", query=query, timeout=_patience(seconds))

    def kill_container(self, name: str, signal: str) -> None:
        self._client.json("POST", f"/containers/{name}/kill", query={"signal": signal}, timeout=60)

    def remove_container(self, name: str, *, force: bool = False, volumes: bool = False) -> None:
        query = {"force": "1" if force else None, "v": "1" if volumes else None}
        self._client.json("DELETE", f"/containers/{name}", query=query, timeout=SLOW)

    def resize_container(self, name: str, *, height: int, width: int) -> None:
        self._client.json("POST", f"/containers/{name}/resize", query={"h": height, "w": width}, timeout=20)

    def top(self, name: str, ps_args: str | None) -> Json:
        return self._client.json("GET", f"/containers/{name}/top", query={"ps_args": ps_args}, timeout=30)

    def attach(self, name: str, query: Mapping[str, Any]) -> RawStream:
        """A hijacked connection; `query` has logs, stream, stdin, stdout, stderr, detachKeys."""
        return self._client.raw("POST", f"/containers/{name}/attach", query=query, upgrade=True)

    def logs(self, name: str, query: Mapping[str, Any]) -> RawStream:
        """The log as a chunked HTTP/1.1 body."""
        return self._client.raw("GET", f"/containers/{name}/logs", query=query)

    def wait(self, name: str, condition: str) -> RawStream:
        """The answer of a wait as an unframed body that ends with the connection: {"StatusCode": n, "Error": ...}."""
        return self._client.raw("POST", f"/containers/{name}/wait", query={"condition": condition}, unframed=True)

    # -- exec ----------------------------------------------------------------------------------------------------

    def create_exec(self, name: str, body: Json) -> str:
        return self._client.json("POST", f"/containers/{name}/exec", body=body, timeout=30)["Id"]

    def start_exec(self, exec_id: str, body: Json) -> RawStream:
        return self._client.raw("POST", f"/exec/{exec_id}/start", body=body, upgrade=True, timeout=SLOW)

    def start_exec_detached(self, exec_id: str, body: Json) -> None:
        self._client.json("POST", f"/exec/{exec_id}/start", body=body, timeout=SLOW)

    def resize_exec(self, exec_id: str, *, height: int, width: int) -> None:
        self._client.json("POST", f"/exec/{exec_id}/resize", query={"h": height, "w": width}, timeout=20)

    def inspect_exec(self, exec_id: str) -> Json:
        return self._client.json("GET", f"/exec/{exec_id}/json", timeout=20)

    # -- images --------------------------------------------------------------------------------------------------

    def pull_image(self, image: str, tag: str, *, platform: str = "", auth: str = "") -> Body:
        """Progress messages of a pull. `tag` may be a digest; `auth` is an X-Registry-Auth value."""
        query = {"fromImage": image, "tag": tag, "platform": platform or None}
        headers = {"X-Registry-Auth": auth} if auth else {}
        return self._client.open("POST", "/images/create", query=query, headers=headers, timeout=900)

    def inspect_image(self, name: str) -> Json:
        return lift.image(self._client.json("GET", f"/images/{name}/json", timeout=30))

    def load_images(self, chunks: Iterable[bytes]) -> Body:
        """Progress messages of a load of an archive that names its images by id only."""
        return self._client.open("POST", "/images/load", query={"quiet": "1"}, chunks=chunks, timeout=900)

    # -- networks and volumes ------------------------------------------------------------------------------------

    def create_network(self, body: Json) -> str:
        return self._client.json("POST", "/networks/create", body=body, timeout=60)["Id"]

    def find_network(self, name: str) -> Json | None:
        """The network of exactly this name. The engine's filter matches parts of names."""
        query = {"filters": json.dumps({"name": [name]})}
        found = [n for n in self._client.json("GET", "/networks", query=query, timeout=20) if n["Name"] == name]
        return min(found, key=lambda n: n["Created"]) if found else None

    def remove_network(self, name: str) -> None:
        self._client.json("DELETE", f"/networks/{name}", timeout=60)

    def connect_network(self, network: str, container: str, endpoint: Json) -> None:
        body = {"Container": container, "EndpointConfig": endpoint}
        self._client.json("POST", f"/networks/{network}/connect", body=body, timeout=60)

    def disconnect_network(self, network: str, container: str) -> None:
        self._client.json("POST", f"/networks/{network}/disconnect", body={"Container": container}, timeout=60)

    def remove_volume(self, name: str) -> None:
        self._client.json("DELETE", f"/volumes/{name}", query={"force": "1"}, timeout=60)
