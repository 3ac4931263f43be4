"""Port specifications: `80`, `80/udp`, `8000-8010/tcp`. Pure parsing, with the engine's words where one is wrong."""

from __future__ import annotations

import re

from app.errors import InvalidParameter

PROTOCOLS = ("tcp", "udp", "sctp")

_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def parse_range(text: str) -> tuple[int, int]:
    """(first, last) of `n` or `n-m`, both 1 to 65535. Raises InvalidParameter."""
    match = _RANGE.fullmatch(text)
    if match:
        first = int(match[1])
        last = int(match[2] or match[1])
        if 1 <= first <= last <= 65535:
            return first, last
    raise InvalidParameter(f'invalid port specification: "{text[:64]}"')


def split_protocol(text: str) -> tuple[str, str]:
    """(ports, protocol) of `80/tcp`; tcp where none is written. Raises InvalidParameter."""
    ports, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise InvalidParameter(f"invalid proto: {protocol[:64]}")
    return ports, protocol


def expand(text: str) -> tuple[int, int, str]:
    """(first, last, protocol) of a key of `ExposedPorts`."""
    ports, protocol = split_protocol(text)
    return *parse_range(ports), protocol
