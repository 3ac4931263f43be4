"""What an engine says of a build, in the tenant's words, framed for the client as it comes.

The engine's ids of the containers that it builds in are shown as other ids of the same form. An image that a step made
is told in the text of the steps, where the output of a `RUN` stands too: nothing that is read from there may be
believed without being looked up.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.stream import json_stream

Json = dict[str, Any]

_STEP = re.compile(r"(Step \d+/\d+ : )(.*)", re.DOTALL)
_REMOVING = "Removing intermediate container "
_CONTAINER = re.compile(rf"( ---> Running in |{_REMOVING})([0-9a-f]{{12}})")
_IMAGE = re.compile(r" ---> ([0-9a-f]{12})\n?")
_PROGRESS = ("status", "id", "progress", "progressDetail")
#: Of images that one build may leave as sources of cached steps.
MOST_LEAVES = 32
#: Messages of a quiet build that are kept for the case that it fails.
MOST_KEPT = 2000


@dataclass
class Told:
    """What has been learned of a build from what its engine told."""

    #: Short ids of the last image of each stage, by the text of the steps.
    leaves: list[str] = field(default_factory=list)
    failed: bool = False


class BuildOutput:
    """The relay's transform. `walk` brings a message down to the client's version, None or {} where such a client is
    told nothing of it; `end` is called once, at the engine's end, with what was told: it records, and gives the last
    messages. `removal` and `removal_after_failure` say whether the removal of a step's container is told. `quiet`: what
    the steps say is told only if one fails. An engine that is itself asked to be quiet does not even send a head.
    """

    def __init__(
        self,
        scrub: Callable[[str], str],
        walk: Callable[[Json], Json | None],
        end: Callable[[Told], Iterable[Json]],
        *,
        quiet: bool = False,
        removal: bool = True,
        removal_after_failure: bool = True,
    ) -> None:
        self.ended = False
        self.told = Told()
        #: Steps as the engine writes them -> as the tenant did. To be set before the engine says anything.
        self.shown: Mapping[str, str] = {}
        #: A line that is left out.
        self.unsaid = ""
        self._scrub = scrub
        self._walk = walk
        self._end = end
        self._kept: deque[bytes] | None = deque(maxlen=MOST_KEPT) if quiet else None
        self._removal = removal
        self._removal_after_failure = removal_after_failure
        #: That a step's container was removed, until it is known whether the step has failed.
        self._held: Json | None = None
        #: What is told from the failure on, until the end has been recorded.
        self._late = b""
        self._rest = b""
        self._leaf = ""
        self._salt = secrets.token_bytes(16)

    def feed(self, data: bytes) -> bytes:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > json_stream.MAX_LINE:
            raise ValueError("a message is too long")
        return b"".join(map(self._pass, json_stream.split(line + b"\n" for line in lines)))

    def finish(self) -> bytes:
        last = b"".join(map(self._pass, json_stream.split([self._rest])))
        late = self._late + (self._encode(self._held) if self._held else b"")
        self._keep_leaf()
        recorded = b"".join(map(self._encode, self._end(self.told)))
        return last + late + recorded + b"0\r\n\r\n"

    def _pass(self, message: Json) -> bytes:
        """The message framed, or nothing where it has to wait for the end: who hears of a failure may build again at
        once, and then finds what was recorded of this one."""
        framed = self._frame(message)
        if not self.told.failed:
            return framed
        self._late += framed
        return b""

    def _frame(self, message: Json) -> bytes:
        made = self._message(message)
        held, self._held = self._held, None
        framed = b""
        if held and (self._removal_after_failure if self.told.failed else self._removal):
            framed = self._encode(held)
        if str(made.get("stream", "")).startswith(_REMOVING):
            self._held = made
        else:
            framed += self._encode(made)
        if self._kept is None:
            return framed
        self._kept.append(framed)
        if not self.told.failed:
            return b""
        framed, self._kept = b"".join(self._kept), None
        return framed

    def _encode(self, message: Json) -> bytes:
        walked = self._walk(message)
        if not walked:
            return b""
        body = json_stream.encode(walked)
        return b"%x\r\n%s\r\n" % (len(body), body)

    def _message(self, message: Json) -> Json:
        """The message made anew: nothing passes because an engine happened to send it."""
        if isinstance(text := message.get("stream"), str):
            return {"stream": self._text(text)} if text.rstrip("\n") != self.unsaid or not self.unsaid else {}
        if isinstance(aux := message.get("aux"), dict) and isinstance(aux.get("ID"), str):
            return {"aux": {"ID": aux["ID"]}}
        if "error" in message or "errorDetail" in message:
            self.told.failed = True
            detail = message.get("errorDetail")
            detail = detail if isinstance(detail, dict) else {}
            words = self._scrub(str(message.get("error") or detail.get("message") or "the build failed"))
            code = {"code": detail["code"]} if isinstance(detail.get("code"), int) else {}
            return {"errorDetail": {**code, "message": words}, "error": words}
        return {key: message[key] for key in _PROGRESS if key in message}

    def _text(self, text: str) -> str:
        if step := _STEP.fullmatch(text):
            self._keep_leaf(step[2])
            return step[1] + self.shown.get(step[2], step[2])
        if image := _IMAGE.fullmatch(text):
            self._leaf = image[1]
        return _CONTAINER.sub(lambda match: match[1] + self._alias(match[2]), text)

    def _keep_leaf(self, step: str = "FROM") -> None:
        if step.startswith("FROM") and self._leaf:
            self.told.leaves = [*self.told.leaves, self._leaf][-MOST_LEAVES:]
            self._leaf = ""

    def _alias(self, container: str) -> str:
        return hashlib.sha256(self._salt + container.encode()).hexdigest()[:12]
