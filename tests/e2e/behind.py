"""What an answer must never tell, and what must not have changed behind the service after a refusal.

ask(...)      one request, of whose answer is asserted that it tells nothing of what is behind
Unchanged     a context in which neither the database nor the engine may change
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.e2e.stack import Response, Stack

_OUR_NAMES = re.compile(r"\b[cnv]-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_SQL = re.compile(r"\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM) |psycopg|sqlalchemy|(?-i:\bLINE \d+:)", re.IGNORECASE)
_TRACE = re.compile(r"Traceback|File \"|\.py\b|Exception\b|0x[0-9a-f]{9,}")
_ENGINE_PATHS = re.compile(r"docker\.sock|/overlay2|/containerd|/containers/[0-9a-f]{64}")

ACCOUNTS = ("alice", "bob")


def assert_tells_nothing(stack: Stack, account: str | None, body: bytes) -> None:
    """No stack trace, SQL, engine id or name, node name, path of the host, or other account's name."""
    text = body.decode(errors="replace")
    for pattern in (_OUR_NAMES, _SQL, _TRACE, _ENGINE_PATHS):
        found = pattern.search(text)
        assert not found, f"{found} in {text[:2000]}"
    words = [str(stack.home), stack.fleet, "sdc.account", "sdc.op", "sdc.fleet", *_nodes(stack)]
    words += [container["Id"][:12] for container in stack.engine.containers()]
    words += [str(row[0]) for row in stack.psql("SELECT id FROM accounts")]
    for word in words:
        assert word not in text, f"{word} in {text[:2000]}"
    for other in ACCOUNTS:
        assert other == account or not re.search(rf"\b{other}\b", text), f"{other} in {text[:2000]}"


def _nodes(stack: Stack) -> list[str]:
    # The quickstart's own name for its node is a word that Docker's messages have too.
    return [row[0] for row in stack.psql("SELECT name FROM nodes WHERE name <> 'local'")]


def ask(
    stack: Stack, account: str | None, method: str, path: str, body: Any = None, *, typed: str = "", **how: Any
) -> Response:
    """`Stack.request`, and the answer's body and headers tell nothing but the word that the client has `typed`."""
    response = stack.request(account, method, path, body, **how)
    told = "".join(f"{name}: {value}\n" for name, value in response.headers.items()).encode() + response.body
    assert_tells_nothing(stack, account, told.replace(typed.encode(), b"") if typed else told)
    return response


def message(response: Response) -> str:
    """The message of an error in either form."""
    if response.headers.get_content_type() == "application/json":
        return str(json.loads(response.body)["message"])
    return response.body.decode().removesuffix("\n")


class Unchanged:
    """Neither the database's rows nor the engine's objects change while this is open."""

    _ROWS = (
        "SELECT 'container', id::text, name FROM containers",
        "SELECT 'volume', id::text, name FROM volumes",
        "SELECT 'network', uuid::text, subnet::text FROM networks",
        "SELECT 'port', container_id::text, host_port::text FROM container_ports",
        "SELECT 'image', account_id::text, repository || reference FROM image_names",
        "SELECT 'used', login, used_containers || ' ' || used_memory || ' ' || used_nano_cpus FROM accounts",
        "SELECT 'operation', id::text, state::text FROM operations WHERE state = 'pending'",
    )

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def _seen(self) -> set[tuple[str, ...]]:
        rows = set(self._stack.psql(" UNION ALL ".join(self._ROWS)))
        engine = self._stack.engine
        rows |= {("engine container", c["Id"], c["State"]) for c in engine.containers()}
        rows |= {("engine volume", v["Name"], "") for v in engine.call("GET", "/volumes")[1]["Volumes"] or []}
        rows |= {("engine network", n["Name"], "") for n in engine.call("GET", "/networks")[1]}
        rows |= {("engine image", i["Id"], "") for i in engine.call("GET", "/images/json?all=1")[1]}
        return rows

    def __enter__(self) -> None:
        self._before = self._seen()

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: object) -> None:
        if kind is None:
            after = self._seen()
            # Content that no account has any more leaves a node when it likes.
            gone = {row for row in self._before - after if row[0] != "engine image"}
            assert not after - self._before and not gone, f"new: {after - self._before}, gone: {gone}"
