"""What a certificate is for, read from its DER.

The certificates that `triton profile docker-setup` makes spell out a default (that they are no CA), which DER forbids:
cryptography's reader refuses all extensions of such a one. What is read here is only narrower than the signature, which
covers every byte of it: nothing is believed because of it alone.
"""

from __future__ import annotations

from collections.abc import Iterator

#: Purposes, as DER has them. Triton's are in an arc of their own: Docker, the monitoring service, and so on.
CLIENT_AUTH = bytes.fromhex("2b06010505070302")
_TRITON = bytes.fromhex("2b0601040182ae160104")
TRITON_DOCKER = _TRITON + b"\x01"

_EXTENDED_KEY_USAGE = bytes.fromhex("551d25")
_SEQUENCE, _OID, _OCTETS, _EXTENSIONS = 0x30, 0x06, 0x04, 0xA3


def is_for_docker(tbs: bytes) -> bool:
    """Whether a certificate, by its "to be signed" part, is for a client, and not for another service than Docker."""
    try:
        purposes = _purposes(tbs)
    except (ValueError, IndexError):
        return False
    triton = {purpose for purpose in purposes if purpose.startswith(_TRITON)}
    return CLIENT_AUTH in purposes and (not triton or TRITON_DOCKER in triton)


def _purposes(tbs: bytes) -> set[bytes]:
    """The extended key usage. Raises ValueError, IndexError for what is no certificate or has it not exactly once."""
    ((tag, fields),) = _items(tbs)
    (extensions,) = (content for tag_, content in _items(fields) if tag_ == _EXTENSIONS)
    ((_, listed),) = _items(extensions)
    found = []
    for _, extension in _items(listed):
        parts = list(_items(extension))
        if parts[0] == (_OID, _EXTENDED_KEY_USAGE) and parts[-1][0] == _OCTETS:
            found.append(parts[-1][1])
    if tag != _SEQUENCE or len(found) != 1:
        raise ValueError("no extended key usage, or several")
    ((_, usages),) = _items(found[0])
    return {content for tag, content in _items(usages) if tag == _OID}


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The (tag, content) pairs that `data` consists of."""
    position = 0
    while position < len(data):
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4:
                raise ValueError("a length that DER does not have")
            length = int.from_bytes(data[position : position + count], "big")
            position += count
        if position + length > len(data):
            raise ValueError("cut off")
        yield tag, data[position : position + length]
        position += length
