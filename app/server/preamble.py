"""The preamble of a connection: what nginx proved about the client, as a PROXY protocol v2 header with TLVs.

Bytes in, a `Preamble` out; no sockets here. The format is section 2.2 of the HAProxy "PROXY protocol" specification:
a 12-byte signature, version and command, family and protocol, a 16-bit length, then addresses and TLVs. The TLV types
0xE0 to 0xE2 are from the range that the specification leaves to private use; `deploy/nginx/preamble.js` writes them.

Everything that our nginx does not write is refused: this header is the only evidence of who the client is, so there is
nothing to be tolerant about.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
#: The most that may follow the first 16 bytes. nginx refuses larger certificates itself.
LIMIT = 32 * 1024

_FIXED = 16
_PROXY_COMMAND = 0x21  # version 2, command PROXY
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}  # TCP over IPv4, TCP over IPv6
_VERIFY, _SUBJECT, _CERTIFICATE = 0xE0, 0xE1, 0xE2


class PreambleError(ValueError):
    """The bytes are not a preamble that our nginx would send; the connection gets no service."""


@dataclass(frozen=True)
class Preamble:
    """What is known of a connection's client; holds for every request on the connection."""

    source_address: str
    source_port: int
    #: nginx's `$ssl_client_verify`: "NONE", "SUCCESS" or "FAILED:reason".
    verify: str
    #: nginx's `$ssl_client_s_dn` (RFC 2253, escaped); empty without a certificate.
    subject: str
    #: The client's certificate as PEM; empty without one. TLS has proved that the client has its key, nothing else.
    certificate: str


def parse(buffer: bytes | bytearray) -> tuple[Preamble, int] | None:
    """Read the preamble at the start of `buffer`.

    Returns the preamble and the number of bytes that it took, or None while more bytes are needed.
    Raises `PreambleError` as soon as the bytes cannot become a valid preamble.
    """
    if buffer[: len(SIGNATURE)] != SIGNATURE[: len(buffer)]:
        raise PreambleError("no PROXY protocol v2 signature")
    if len(buffer) < _FIXED:
        return None
    command, family = buffer[12], buffer[13]
    length = int.from_bytes(buffer[14:16], "big")
    if command != _PROXY_COMMAND:
        raise PreambleError(f"version and command 0x{command:02x}")
    address_bytes = _ADDRESS_BYTES.get(family)
    if address_bytes is None:
        raise PreambleError(f"family and protocol 0x{family:02x}")
    if length > LIMIT:
        raise PreambleError(f"{length} bytes long")
    if length < 2 * address_bytes + 4:
        raise PreambleError("too short for its addresses")
    end = _FIXED + length
    if len(buffer) < end:
        return None

    addresses_end = _FIXED + 2 * address_bytes + 4
    ports = buffer[addresses_end - 4 : addresses_end]
    texts = _texts(bytes(buffer[addresses_end:end]))
    preamble = Preamble(
        source_address=_address(bytes(buffer[_FIXED : _FIXED + address_bytes])),
        source_port=int.from_bytes(ports[:2], "big"),
        verify=texts.get(_VERIFY, ""),
        subject=texts.get(_SUBJECT, ""),
        certificate=texts.get(_CERTIFICATE, ""),
    )
    if not preamble.verify:
        raise PreambleError("no verify result")
    if (preamble.verify == "NONE") != (not preamble.certificate):
        raise PreambleError("verify result and certificate contradict each other")
    return preamble, end


def _address(packed: bytes) -> str:
    """The address as text; an IPv4 client of an IPv6 listener in its IPv4 form."""
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _texts(data: bytes) -> dict[int, str]:
    """The TLVs in `data`, each known and at most once."""
    texts: dict[int, str] = {}
    position = 0
    while position < len(data):
        value_start = position + 3
        kind, length = data[position], int.from_bytes(data[position + 1 : value_start], "big")
        value = data[value_start : value_start + length]
        if value_start > len(data) or len(value) != length:
            raise PreambleError("a TLV is cut off")
        if kind not in (_VERIFY, _SUBJECT, _CERTIFICATE):
            raise PreambleError(f"unknown TLV 0x{kind:02x}")
        if kind in texts:
            raise PreambleError(f"TLV 0x{kind:02x} twice")
        try:
            texts[kind] = value.decode("utf-8")
        except UnicodeDecodeError:
            raise PreambleError(f"TLV 0x{kind:02x} is not text") from None
        position = value_start + length
    return texts
