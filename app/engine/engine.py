"""The calls that we make to a Docker Engine, one method each.

Objects are named by engine ids or by our own engine names (`c-<uuid>` and so on), never by a tenant's words. Errors
come as kinds with the engine's message; the caller scrubs it (`errors.scrub`) before a tenant sees it.
"""

from __future__ import annotations

import json
import select
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from app.engine import lift
from app.engine.client import Body, EngineClient, RawStream
from app.errors import Conflict, NotModified

Json = dict[str, Any]

#: A create or start may pull plugins apart or wait for a busy disk; a person gives up later than this.
SLOW = 300.0
#: A container may have asked for this many seconds itself (StopTimeout), where a stop names none.
LONGEST_STOP = 600
#: What engines wait where neither the stop nor the container says how long.
_STOP_SECONDS = 10
#: The API version from which a stop may name a signal.
_STOPS_BY_SIGNAL = (1, 42)


def _patience(seconds: int | None) -> float:
    return SLOW + (LONGEST_STOP if seconds is None else max(seconds, 0))


def _moment(nanoseconds: int | None) -> str | None:
    """The form in which an engine reads a time to the nanosecond."""
    return None if nanoseconds is None else f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"


class Engine:
    def __init__(self, client: EngineClient) -> None:
        self._client = client

    # -- system --------------------------------------------------------------------------------------------------

    def version(self) -> Json:
        return self._client.json("GET", "/version", timeout=10)

    def info(self) -> Json:
        return self._client.json("GET", "/info", timeout=20)

    def events(
        self,
        *,
        since: int | None = None,
        until: int | None = None,
        types: Iterable[str] = ("container",),
        labels: Iterable[str] = (),
        timeout: float | None = None,
    ) -> Body:
        """Event messages of `types` that carry all `labels`, endless without `until`. Times are in nanoseconds since
        1970, by the engine's clock."""
        filters = {"type": list(types), "label": list(labels)}
        query = {"filters": json.dumps(filters), "since": _moment(since), "until": _moment(until)}
        return self._client.open("GET", "/events", query=query, timeout=timeout)

    # -- containers ----------------------------------------------------------------------------------------------

    def create_container(
        self, name: str, body: Json, *, platform: str = "", meanwhile: Callable[[], object] | None = None
    ) -> Json | None:
        """The inspect of the new container; None where somebody else has just removed it.

        `meanwhile` is done while the engine works, and before it looks at the container.
        """
        query = {"name": name, "platform": platform or None}
        _, seen = self._client.json_then(
            "POST",
            "/containers/create",
            f"/containers/{name}/json",
            query=query,
            body=body,
            timeout=SLOW,
            meanwhile=meanwhile,
        )
        return lift.container(seen) if seen else None

    def inspect_container(self, name: str, *, size: bool = False, timeout: float = 20.0) -> Json:
        query = {"size": "1"} if size else None
        return lift.container(self._client.json("GET", f"/containers/{name}/json", query=query, timeout=timeout))

    def list_containers(self, labels: Iterable[str], *, size: bool = False) -> list[Json]:
        """All containers, running or not, that carry all `labels` ("key=value")."""
        query = {"all": "1", "size": "1" if size else None, "filters": json.dumps({"label": list(labels)})}
        return self._client.json("GET", "/containers/json", query=query, timeout=SLOW if size else 60)

    def start_container(self, name: str) -> None:
        self._client.json("POST", f"/containers/{name}/start", timeout=SLOW)

    def stop_container(self, name: str, *, seconds: int | None, signal: str | None = None) -> None:
        query, sent = self._stopping(name, seconds, signal)
        try:
            self._client.json("POST", f"/containers/{name}/stop", query=query, timeout=_patience(seconds))
        except NotModified:
            if not sent:
                raise

    def restart_container(self, name: str, *, seconds: int | None, signal: str | None = None) -> None:
        query, _ = self._stopping(name, seconds, signal)
        self._client.json("POST", f"/containers/{name}/restart", query=query, timeout=_patience(seconds))

    def _stopping(self, name: str, seconds: int | None, signal: str | None) -> tuple[Json, bool]:
        """The query of a stop, and whether its signal is sent already: engines below API 1.42 know none there, so that
        it is sent, and its time runs, before they are asked to stop what is left."""
        version = self._client.version
        if signal is None or not version or tuple(map(int, version.split("."))) >= _STOPS_BY_SIGNAL:
            return {"t": seconds, "signal": signal}, False
        if seconds is None:
            chosen = self.inspect_container(name)["Config"].get("StopTimeout")
            seconds = _STOP_SECONDS if chosen is None else chosen
        ended = self.wait(name, "not-running")
        try:
            self.kill_container(name, signal)
            poll = select.poll()
            poll.register(ended.sock, select.POLLIN)
            poll.poll((seconds if seconds >= 0 else LONGEST_STOP) * 1000)
        except Conflict:
            return {"t": seconds}, False  # It does not run.
        finally:
            ended.close()
        return {"t": 0}, True

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

    def attach_websocket(self, name: str, query: Mapping[str, Any], key: str, *, text: bool) -> RawStream:
        """A websocket in answer to the key of a client's; engines send text frames only below API 1.28."""
        version = "1.27" if text else ""
        path = f"/containers/{name}/attach/ws"
        return self._client.raw("GET", path, query=query, websocket=key, version=version)

    def logs(self, name: str, query: Mapping[str, Any]) -> RawStream:
        """The log as a chunked HTTP/1.1 body."""
        return self._client.raw("GET", f"/containers/{name}/logs", query=query)

    def wait(self, name: str, condition: str) -> RawStream:
        """The answer of a wait as an unframed body that ends with the connection: {"StatusCode": n, "Error": ...}."""
        return self._client.raw("POST", f"/containers/{name}/wait", query={"condition": condition}, unframed=True)

    def pause_container(self, name: str) -> None:
        self._client.json("POST", f"/containers/{name}/pause", timeout=60)

    def unpause_container(self, name: str) -> None:
        self._client.json("POST", f"/containers/{name}/unpause", timeout=60)

    def update_container(self, name: str, body: Json) -> list[str]:
        """Change limits and restart policy; the engine's warnings."""
        return self._client.json("POST", f"/containers/{name}/update", body=body, timeout=60)["Warnings"] or []

    def stats(self, name: str, query: Mapping[str, Any]) -> RawStream:
        """Lines of JSON as an unframed body that ends with the connection; `query` has stream and one-shot."""
        return self._client.raw("GET", f"/containers/{name}/stats", query=query, unframed=True)

    def commit_container(self, name: str, query: Mapping[str, Any], config: Json) -> str:
        """The id of the new image; `query` has repo, tag, comment, author, changes and pause."""
        query = {**query, "container": name}
        return self._client.json("POST", "/commit", query=query, body=config, timeout=900)["Id"]

    # -- files ---------------------------------------------------------------------------------------------------

    def changes(self, name: str) -> RawStream:
        """JSON as a body with a length or in chunks: an array of Path and Kind, or null."""
        return self._client.raw("GET", f"/containers/{name}/changes", timeout=SLOW)

    def export_container(self, name: str) -> RawStream:
        """A tar as a chunked body."""
        return self._client.raw("GET", f"/containers/{name}/export", timeout=SLOW)

    def stat_path(self, name: str, path: str) -> str | None:
        """The header X-Docker-Container-Path-Stat."""
        with self._client.open("HEAD", f"/containers/{name}/archive", query={"path": path}) as body:
            return body.response.headers.get("X-Docker-Container-Path-Stat")

    def read_archive(self, name: str, path: str) -> RawStream:
        """A tar as a body with a length or in chunks."""
        return self._client.raw("GET", f"/containers/{name}/archive", query={"path": path}, timeout=SLOW)

    def write_archive(
        self, name: str, path: str, chunks: Iterable[bytes], *, keep_kinds: bool, copy_owner: bool
    ) -> None:
        """Unpack the tar that `chunks` make into the folder `path`. Raises NotFound where that is not there.

        `keep_kinds`: a folder does not replace what is none, nor the other way round. `copy_owner`: the files get the
        owner of the container's user.
        """
        query: dict[str, Any] = {"path": path}
        query["noOverwriteDirNonDir"] = "1" if keep_kinds else None
        query["copyUIDGID"] = "1" if copy_owner else None
        with self._client.open(
            "PUT", f"/containers/{name}/archive", query=query, chunks=chunks, timeout=SLOW
        ) as answer:
            answer.response.read()

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

    def load_images(self, chunks: Iterable[bytes], *, quiet: bool = True) -> Body:
        """Progress messages of a load of an archive that names its images by id only."""
        query = {"quiet": "1" if quiet else "0"}
        return self._client.open("POST", "/images/load", query=query, chunks=chunks, timeout=900)

    def build_image(self, query: Mapping[str, Any], context: tuple[IO[bytes], int]) -> RawStream:
        """Messages of a classic build as an unframed body that ends with the connection."""
        return self._client.raw("POST", "/build", query=query, content=context, unframed=True, timeout=SLOW)

    def import_image(
        self, repository: str, tag: str, chunks: Iterable[bytes], *, message: str, changes: Iterable[str], platform: str
    ) -> Body:
        """Messages of an import of a root file system; the last one's status is the new image's id."""
        query: Json = {"fromSrc": "-", "repo": repository, "tag": tag, "message": message, "changes": list(changes)}
        query["platform"] = platform or None
        return self._client.open("POST", "/images/create", query=query, chunks=chunks, timeout=900)

    def save_images(self, ids: Iterable[str]) -> Body:
        """The images as a tar, without names."""
        return self._client.open("GET", "/images/get", query={"names": list(ids)}, timeout=900)

    def push_image(self, repository: str, tag: str, *, auth: str) -> Body:
        """Progress messages of a push of the image that the engine itself knows by this name."""
        headers = {"X-Registry-Auth": auth}
        return self._client.open("POST", f"/images/{repository}/push", query={"tag": tag}, headers=headers, timeout=900)

    def tag_image(self, image_id: str, repository: str, tag: str) -> None:
        """Give an image a name that the engine itself knows it by."""
        self._client.json("POST", f"/images/{image_id}/tag", query={"repo": repository, "tag": tag}, timeout=30)

    def remove_image(self, name: str) -> None:
        """Take a name from an image, and the image itself if it was the last one. Raises Conflict, NotFound."""
        self._client.json("DELETE", f"/images/{name}", timeout=SLOW)

    def image_history(self, image_id: str) -> list[Json]:
        return self._client.json("GET", f"/images/{image_id}/history", timeout=30)

    def search_images(self, term: str, *, limit: int | None, filters: Mapping[str, Any], auth: str) -> list[Json]:
        """What Docker Hub, or the registry that `term` begins with, finds; `auth` is an X-Registry-Auth value or ""."""
        query = {"term": term, "limit": limit, "filters": json.dumps(filters) if filters else None}
        headers = {"X-Registry-Auth": auth} if auth else {}
        return self._client.json("GET", "/images/search", query=query, headers=headers, timeout=60)

    # -- networks and volumes ------------------------------------------------------------------------------------

    def create_network(self, body: Json) -> str:
        return self._client.json("POST", "/networks/create", body=body, timeout=60)["Id"]

    def find_network(self, name: str) -> Json | None:
        """The network of exactly this name. The engine's filter matches parts of names."""
        query = {"filters": json.dumps({"name": [name]})}
        found = [n for n in self._client.json("GET", "/networks", query=query, timeout=20) if n["Name"] == name]
        return min(found, key=lambda n: n["Created"]) if found else None

    def list_networks(self, labels: Iterable[str]) -> list[Json]:
        """Networks that carry all `labels` ("key=value"), without their containers."""
        query = {"filters": json.dumps({"label": list(labels)})}
        return list(self._client.json("GET", "/networks", query=query, timeout=20))

    def network_endpoints(self, name: str) -> dict[str, str]:
        """Who is on the network now: the engine's id of the container -> the endpoint's name. Raises NotFound."""
        found = self._client.json("GET", f"/networks/{name}", timeout=20)["Containers"] or {}
        return {container: endpoint["Name"] for container, endpoint in found.items()}

    def remove_network(self, name: str) -> None:
        self._client.json("DELETE", f"/networks/{name}", timeout=60)

    def connect_network(self, network: str, container: str, endpoint: Json) -> None:
        body = {"Container": container, "EndpointConfig": endpoint}
        self._client.json("POST", f"/networks/{network}/connect", body=body, timeout=60)

    def disconnect_network(self, network: str, container: str, *, force: bool = False) -> None:
        body = {"Container": container, "Force": force}
        self._client.json("POST", f"/networks/{network}/disconnect", body=body, timeout=60)

    def create_volume(self, name: str, *, labels: Mapping[str, str], options: Mapping[str, str]) -> None:
        """A volume of the local driver; one of this name that is there already is left as it is."""
        body = {"Name": name, "Driver": "local", "DriverOpts": dict(options), "Labels": dict(labels)}
        self._client.json("POST", "/volumes/create", body=body, timeout=60)

    def list_volumes(self, labels: Iterable[str]) -> list[Json]:
        """Volumes that carry all `labels` ("key=value"): Name, Labels, CreatedAt and so on."""
        query = {"filters": json.dumps({"label": list(labels)})}
        return self._client.json("GET", "/volumes", query=query, timeout=60)["Volumes"] or []

    def volume_sizes(self) -> dict[str, int]:
        """Name -> bytes of every volume of the engine. It counts them anew, which takes long where files are many."""
        found = self._client.json("GET", "/system/df", query={"type": "volume"}, timeout=SLOW)["Volumes"] or []
        return {volume["Name"]: int((volume.get("UsageData") or {}).get("Size", -1)) for volume in found}

    def remove_volume(self, name: str) -> None:
        """One that is not there is fine. Raises Conflict where a container has it."""
        self._client.json("DELETE", f"/volumes/{name}", query={"force": "1"}, timeout=60)
