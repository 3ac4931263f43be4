"""attach, logs and wait: answers that go on after the request's thread has left."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import falcon
import orjson

from app.api import hijack, params, versions
from app.api.body import answer, upgraded
from app.errors import InvalidParameter
from app.services.container_io import ContainerIo, OpenWait

_WEBSOCKET_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
#: How long a wait may be answered after: condition -> whether it is one.
CONDITIONS = frozenset({"not-running", "next-exit", "removed"})


class ContainerAttach:
    """POST /containers/{name}/attach"""

    def __init__(self, io: ContainerIo) -> None:
        self._io = io

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        wanted = {key: "1" for key in ("logs", "stream", "stdin", "stdout", "stderr") if params.boolean(query, key)}
        if keys := params.detach_keys(query):
            wanted["detachKeys"] = keys
        hijack.require_room(req)
        opened = self._io.attach(req.context.account, name, wanted)
        hijack.hand_over_hijack(req, opened.upstream, tty=opened.tty)


class ContainerWebsocket:
    """GET /containers/{name}/attach/ws: an attach in the frames of a websocket, stdout and stderr mixed."""

    def __init__(self, io: ContainerIo) -> None:
        self._io = io

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        key = req.get_header("Sec-WebSocket-Key") or ""
        if (req.get_header("Upgrade") or "").lower() != "websocket" or not _WEBSOCKET_KEY.fullmatch(key):
            raise InvalidParameter("bad handshake: this route is for websockets")
        if (req.get_header("Sec-WebSocket-Version") or "") != "13":
            raise InvalidParameter("bad handshake: the version of a websocket is 13")
        wanted = {key: "1" for key in ("logs", "stream", "stdin", "stdout", "stderr") if params.boolean(query, key)}
        if keys := params.detach_keys(query):
            wanted["detachKeys"] = keys
        hijack.require_room(req)
        text = versions.websocket_frames_are_text(req.context.api_version)
        opened = self._io.attach_websocket(req.context.account, name, wanted, key, text=text)
        hijack.hand_over_websocket(req, opened.upstream, key)


class ContainerLogs:
    """GET /containers/{name}/logs"""

    def __init__(self, io: ContainerIo) -> None:
        self._io = io

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        wanted: dict[str, Any] = {
            key: "1" for key in ("follow", "stdout", "stderr", "timestamps", "details") if params.boolean(query, key)
        }
        if not ({"stdout", "stderr"} & wanted.keys()):
            raise InvalidParameter("Bad parameters: you must choose at least one stream")
        for key in ("since", "until"):
            moment = params.timestamp(query, key)
            if moment is not None:
                wanted[key] = params.timestamp_text(moment)
        lines = params.tail(query)
        wanted["tail"] = "all" if lines is None else str(lines)
        hijack.require_room(req)
        opened = self._io.logs(req.context.account, name, wanted)
        media_type = versions.stream_media_type(req.context.api_version, req.context.operation, opened.tty, False)
        hijack.hand_over_body(req, opened.upstream, media_type)


class ContainerWait:
    """POST /containers/{name}/wait. The head goes out at once: `docker run` starts the container only when it has it.

    `collect` makes the relay's transform of a function from the engine's whole answer to ours.
    """

    def __init__(self, io: ContainerIo, collect: Callable[[Callable[[bytes], bytes]], Any]) -> None:
        self._io = io
        self._collect = collect

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        condition = params.one(query, "condition") or "not-running"
        if condition not in CONDITIONS:
            raise InvalidParameter(f'invalid condition: "{condition[:64]}"')
        version, operation = req.context.api_version, req.context.operation
        hijack.require_room(req)
        opened = self._io.wait(req.context.account, name, condition)
        if not isinstance(opened, OpenWait):
            answer(req, resp, opened)
            return

        def last_bytes(data: bytes) -> bytes:
            told = opened.finish(data)
            failed = told["Error"] is not None
            if failed and versions.wait_failure_is_empty_body(version, condition):
                return b"0\r\n\r\n"
            if not failed:
                del told["Error"]
            body = orjson.dumps(versions.downgrade_response(version, operation, told)) + b"\n"
            return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)

        hijack.hand_over_collected(req, opened.upstream, self._collect(last_bytes))
