"""Which requests hold a thread for long, told from their first line, before any of it is parsed.

It decides nothing but the order in which a client's requests get a thread (`server/turns.py`).
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

#: More of a first line is not looked at: only a long call's path may be so long.
_MOST = 8192
_ABSOLUTE = re.compile(rb"^[A-Za-z]+://[^/?]*")
_VERSION = re.compile(rb"^/v[0-9.]+(?=/)")
#: They wait for a registry, for content, for a container's end, or for an engine's look at every file.
_LONG = {
    b"POST": re.compile(
        rb"""/containers/.+/(?:stop|restart) | /(?:containers|images|networks|volumes|build)/prune
           | /images/(?:create|load) | /images/.+/push | /commit | /build | /auth""",
        re.VERBOSE,
    ),
    b"PUT": re.compile(rb"/containers/.+/archive"),
    b"GET": re.compile(
        rb"""/images/(?:get|search) | /images/.+/get | /distribution/.+/json
           | /system/df | /containers/.+/changes""",
        re.VERBOSE,
    ),
}
#: With sizes they are.
_SIZED = re.compile(rb"/containers/(?:.+/)?json")


def takes_long(head: bytes | bytearray) -> bool:
    """Whether the request that begins with these bytes is one of the long ones, however it is spelled."""
    line = bytes(head[:_MOST]).lstrip(b"\r\n").partition(b"\r\n")[0]
    method, _, rest = line.partition(b" ")
    target, _, query = _ABSOLUTE.sub(b"", rest.partition(b" ")[0]).partition(b"?")
    path = _VERSION.sub(b"", unquote_to_bytes(target))
    if method == b"GET" and b"size" in unquote_to_bytes(query) and _SIZED.fullmatch(path):
        return True
    pattern = _LONG.get(method)
    return pattern is not None and pattern.fullmatch(path) is not None
