"""The key sequence that leaves an attached terminal (`--detach-keys ctrl-p,ctrl-q`)."""

from __future__ import annotations

from app.errors import InvalidParameter

#: What a client means that names none.
DEFAULT = "ctrl-p,ctrl-q"

_CODES = {f"ctrl-{character}": code for code, character in enumerate("@abcdefghijklmnopqrstuvwxyz[\\]^_")} | {
    "DEL": 127
}
_MOST = 32


def parse(text: str) -> bytes:
    """The bytes of a sequence; b"" for "". Raises InvalidParameter with the daemon's words."""
    if not text:
        return b""
    keys = text.split(",")
    codes = [ord(key) if len(key) == 1 and key.isascii() else _CODES.get(key, -1) for key in keys]
    if -1 in codes or len(codes) > _MOST:
        raise InvalidParameter(f"Invalid detach keys ({text[:64]}) provided")
    return bytes(codes)
