"""An engine's refusal -> our kind of error.

Engine messages are Docker's own words and mostly fit the tenant as they are, but they name the engine's objects: ids,
`c-<uuid>` names, host paths. `scrub` replaces what the caller knows and blanks the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from app import errors

_KINDS: dict[int, type[errors.Error]] = {
    304: errors.NotModified,
    400: errors.InvalidParameter,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    501: errors.NotImplemented,
    503: errors.Unavailable,
}

_OUR_NAMES = re.compile(r"\b[cnv]-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
#: Ids that nobody has translated; digests of images are no secret.
_IDS = re.compile(r"(?<!sha256:)\b[0-9a-f]{64}\b")
_BRIDGES = re.compile(r"\bbr-[0-9a-f]{12}\b")
#: Each character is looked at once, whatever a tenant has written there.
_PATHS = re.compile(r"/[^\s:\"']*")
_HOST_FOLDERS = re.compile(r"/(?:var/lib|run|var/run|tmp|etc)/")
_ENGINES = re.compile(r"docker|containerd|overlay2")
#: Wherever an engine's data is.
_DATA = re.compile(r"/(?:volumes/[^/]+/_data|overlay2/|containers/(?:\(object\)|[0-9a-f]{64}))")


def from_status(status: int, message: str) -> errors.Error:
    """The kind for an engine's status (moby `daemon/server/httpstatus`); unknown ones are Internal."""
    return _KINDS.get(status, errors.Internal)(message)


def reworded(error: errors.Error, names: Mapping[str, str]) -> errors.Error:
    """The same kind of error in the tenant's words (see `scrub`)."""
    return type(error)(scrub(error.message, names), retry_after=error.retry_after)


def scrub(message: str, names: Mapping[str, str]) -> str:
    """`message` with each key of `names` (engine ids and names, longest first) replaced by the tenant's word for it."""
    for engine_word in sorted(names, key=len, reverse=True):
        if engine_word:
            message = message.replace(engine_word, names[engine_word])
    known = set(names.values())
    message = _IDS.sub(lambda found: found[0] if found[0] in known else "(object)", message)
    message = _OUR_NAMES.sub("(object)", message)
    message = _BRIDGES.sub("(bridge)", message)
    return _PATHS.sub(_path, message)


def _path(found: re.Match[str]) -> str:
    """What stands for a path of the node; other paths as they are."""
    path, before = found[0], found.string[max(found.start() - 1, 0) : found.start()]
    begins = not before or before.isspace() or before in ":\"'("
    if begins and _DATA.search(path, 1):
        return "(path)"
    folder = _HOST_FOLDERS.search(path)
    return f"{path[: folder.start()]}(path)" if folder and _ENGINES.search(path, folder.end()) else path
