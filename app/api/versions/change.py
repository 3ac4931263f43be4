"""What a version change is: one break of Docker's API, told once and walked both ways.

A change belongs to the version that made it and concerns clients older than that version. Its docstring is the
sentence that the list of changes shows. `upgrade_request` turns a request as clients wrote it before the change into
one as they write it since; `downgrade_response` turns an answer back. A changed *default* is a change too: the
upgrade writes the old default into the request, so that nothing further in asks about versions.

The one rule: the body that a change is given is already a copy at its top level, and everything deeper still belongs
to the caller. So a change sets and deletes keys of `body` freely, and takes deeper objects with `own` or `each`, which
replace them by copies. Request bodies come from clients: a value of an unexpected type is left alone, for the policy
to refuse in its own words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from app.api.versions.api_version import ApiVersion

#: A query as parsed from the URL: each key with all its values.
Query = dict[str, list[str]]
Body = dict[str, Any]


class Change:
    """The base of all changes. Subclasses set `version` and `operations` and override one or both walks."""

    #: The version in which Docker made the change; applies to clients below it.
    version: ClassVar[ApiVersion]
    #: The operations that it touches, as "<resource>.<verb>".
    operations: ClassVar[frozenset[str]]

    def upgrade_request(self, query: Query, body: Body) -> None:
        """Change `query` and `body` in place to how they are written since `version`. May raise InvalidParameter."""

    def downgrade_response(self, body: Body) -> None:
        """Change `body` in place to how it was before `version`. Called for each element of a list answer."""

    @classmethod
    def sentence(cls) -> str:
        """What the change does, in one sentence."""
        return " ".join((cls.__doc__ or "").split())


def own(body: Body, key: str) -> Body | None:
    """The object at `body[key]`, replaced there by a copy that may be changed; None where there is no object."""
    value = body.get(key)
    if not isinstance(value, dict):
        return None
    body[key] = copied = dict(value)
    return copied


def each(body: Body, key: str) -> Iterator[Body]:
    """The objects in the list at `body[key]`, each replaced there by a copy that may be changed."""
    value = body.get(key)
    if not isinstance(value, list):
        return
    body[key] = copied = [dict(item) if isinstance(item, dict) else item for item in value]
    for item in copied:
        if isinstance(item, dict):
            yield item


def drop(body: Body, *keys: str) -> None:
    """Delete `keys` from `body` where they are."""
    for key in keys:
        body.pop(key, None)


#: Operations whose answers have volumes in them.
VOLUMES = frozenset({"volumes.list", "volumes.create", "volumes.inspect", "system.df"})


def volumes_of(body: Body) -> Iterator[Body]:
    """The volumes of such an answer, each of which may be changed; the answer itself may be one."""
    if "Volumes" in body:
        yield from each(body, "Volumes")
    else:
        yield body
