"""The registry of version changes, and the walk of a request up to the current version and of an answer down from it.

Resources and services know one shape, the current version's. A request of an older client passes the upgrades of all
changes made since its version, oldest first; the answer passes the downgrades of the same changes, newest first. A
client of the current version pays nothing: its query, body and answer are handed back as they are.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Change, Query

#: The versions 1.N that changed something, each in its module v1_N.
_MINORS = (21, 22, 23, 24, 25, 28, 29, 30, 31, 32, 34, 39, 40, 41, 42, 43, 44)

#: All changes, in ascending order of the version that made them.
CHANGES: tuple[Change, ...] = tuple(
    change() for minor in _MINORS for change in import_module(f"app.api.versions.v1_{minor}").CHANGES
)

#: Answers that carry another operation's whole answer under a key, which is then walked as that operation.
EMBEDDED = {
    "exec.inspect": (("Container", "containers.inspect"),),
    "system.df": (("Images", "images.list"), ("Containers", "containers.list")),
}


@cache
def applicable(version: ApiVersion, operation: str) -> tuple[Change, ...]:
    """The changes between `version` and the current one that touch `operation`, in ascending order."""
    return tuple(change for change in CHANGES if version < change.version and operation in change.operations)


def upgrade_request(version: ApiVersion, operation: str, query: Query, body: Any) -> tuple[Query, Any]:
    """The `query` and `body` of a request written for `version`, as the current version writes them.

    The arguments are never changed. Raises InvalidParameter where an older version's rule refuses the request.
    """
    changes = _upgrades(version, operation)
    if not changes:
        return query, body
    query = dict(query)
    new_body = dict(body) if isinstance(body, dict) else {}
    for change in changes:
        change.upgrade_request(query, new_body)
    return query, (new_body if isinstance(body, dict) else body)


def downgrade_response(version: ApiVersion, operation: str, body: Any) -> Any:
    """The answer `body`, written for the current version, as `version` writes it. `body` itself is never changed.

    A list is walked element by element; of a stream of messages, pass each message.
    """
    changes = _downgrades(version, operation)
    if not changes and not any(_downgrades(version, inner) for _, inner in EMBEDDED.get(operation, ())):
        return body
    if isinstance(body, list):
        return [_downgrade(changes, version, operation, element) for element in body]
    return _downgrade(changes, version, operation, body)


def _downgrade(changes: tuple[Change, ...], version: ApiVersion, operation: str, body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    body = dict(body)
    for key, inner in EMBEDDED.get(operation, ()):
        if key in body:
            body[key] = downgrade_response(version, inner, body[key])
    for change in changes:
        change.downgrade_response(body)
    return body


@cache
def _upgrades(version: ApiVersion, operation: str) -> tuple[Change, ...]:
    return tuple(
        change
        for change in applicable(version, operation)
        if type(change).upgrade_request is not Change.upgrade_request
    )


@cache
def _downgrades(version: ApiVersion, operation: str) -> tuple[Change, ...]:
    return tuple(
        change
        for change in reversed(applicable(version, operation))
        if type(change).downgrade_response is not Change.downgrade_response
    )
