"""A stock engine or the service, and the answers that it gives to a sequence of requests."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import time
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.divergence.pairs import Ask, ask

_UNTIL_SECONDS = 60
_PATIENCE = 60


@dataclass(frozen=True)
class Answer:
    status: int
    media_type: str
    body: bytes
    #: What this side calls the things of the sequence: its id -> the word under which it is kept.
    words: dict[str, str] = field(default_factory=dict)


class Side:
    """One connection that is kept alive, as a client's is."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._sock: socket.socket | None = None
        self._kept: dict[str, str] = {}

    def play(self, sequence: Iterable[Ask]) -> list[Answer]:
        self._kept = {"began": f"{time.time():.9f}"}
        try:
            return [self._answer(sent) for sent in sequence]
        finally:
            self.close()

    def clean(self) -> None:
        """Leave nothing but busybox:latest and busybox:1.35."""

        def listed(line: str) -> Any:
            return json.loads(self._send(ask(line))[2])

        for container in listed("GET /containers/json?all=1"):
            self._send(ask(f"DELETE /containers/{container['Id']}?force=1&v=1"))
        for line in ("POST /networks/prune", "POST /volumes/prune", "POST /images/busybox:1.35/tag?repo=busybox"):
            self._send(ask(line))
        for image in listed("GET /images/json"):
            for name in image["RepoTags"]:
                if name == "<none>:<none>":
                    self._send(ask(f"DELETE /images/{image['Id']}?force=1"))
                elif not name.startswith("busybox:"):
                    self._send(ask(f"DELETE /images/{name}"))
        self.close()

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock = None

    def _answer(self, sent: Ask) -> Answer:
        deadline = time.monotonic() + _UNTIL_SECONDS
        while True:
            status, media_type, body = self._send(sent)
            reached = status == sent.until if isinstance(sent.until, int) else sent.until.encode() in body
            if not sent.until or reached:
                break
            assert time.monotonic() < deadline, f"{sent}: not in {_UNTIL_SECONDS} s: {sent.until}; {body[:500]!r}"
            time.sleep(0.05)
        if sent.keep:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                kept = self._kept[sent.keep] = json.loads(body)["Id"]
                self._kept[f"{sent.keep}_short"] = kept[:12]
        words = {value: word for word, value in self._kept.items() if word != "began"}
        return Answer(status, media_type, body, words)

    def _send(self, sent: Ask) -> tuple[int, str, bytes]:
        version = f"/v{sent.version}" if sent.version else ""
        target = urllib.parse.quote(self._fill(version + sent.path), safe="/?&=%:@+,!*'()[]~;$#")
        body = sent.body
        if body is not None and b"{" in body:
            with contextlib.suppress(UnicodeDecodeError):
                body = self._fill(body.decode()).encode()
        headers = {"Host": "docker", "User-Agent": "Docker-Client/20.10.24 (linux)"} | dict(sent.headers)
        if body is not None or sent.method in ("POST", "PUT"):
            headers["Content-Length"] = str(len(body or b""))
        lines = [f"{sent.method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items() if v)]
        data = "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")
        for attempt in (1, 2):
            fresh = self._sock is None
            if self._sock is None:
                self._sock = self._connect()
                self._sock.settimeout(_PATIENCE)
            response = http.client.HTTPResponse(self._sock, method=sent.method)
            try:
                self._sock.sendall(data)
                response.begin()
                read = response.read()
            except (ConnectionError, http.client.RemoteDisconnected):
                self.close()
                # A connection that was kept may have been ended before this request was there.
                if fresh or attempt == 2:
                    raise
                continue
            except TimeoutError:
                raise AssertionError(f"{sent}: no answer in {_PATIENCE} s") from None
            if response.will_close or response.status == 101:
                self.close()
            return response.status, response.headers.get("Content-Type") or "", read
        raise AssertionError("not reached")

    def _fill(self, text: str) -> str:
        known = self._kept | {"now": f"{time.time():.9f}"}
        return re.sub(r"(?:\{|%7B)(\w+)(?:\}|%7D)", lambda found: known.get(found[1], found[0]), text)
