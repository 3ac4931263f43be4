"""Which requests hold a thread for long, told from their first line, before any of it is parsed.

It decides nothing but the order in which a client's requests get a thread (`server/turns.py`).
"""

from __future__ import annotations

import re

_LONG = re.compile(
    rb"""(?:
      POST\ /(?:v[0-9.]+/)?(?:
          containers/[^/ ?]+/(?:stop|restart) | (?:containers|images|networks|volumes|build)/prune
        | images/create | images/load | images/[^ ?]+/push | commit | build | auth )
    | PUT\ /(?:v[0-9.]+/)?containers/[^/ ?]+/archive
    | GET\ /(?:v[0-9.]+/)?(?: images/get | images/search | images/[^ ?]+/get | distribution/[^ ?]+/json )
    )[? ]""",
    re.VERBOSE,
)


def takes_long(head: bytes | bytearray) -> bool:
    """Whether a request that begins with these bytes waits for a registry, for content or for a container's end."""
    return _LONG.match(head) is not None
