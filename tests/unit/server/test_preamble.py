"""The preamble: read at any split, and nothing accepted that our nginx would not send."""

from __future__ import annotations

import contextlib
import ipaddress
import random

import pytest

from app.server.preamble import LIMIT, SIGNATURE, Preamble, PreambleError, parse

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def tlv(kind: int, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return bytes([kind]) + len(data).to_bytes(2, "big") + data


def header(
    *tlvs: bytes, source: str = "192.0.2.7", port: int = 4711, command: int = 0x21, family: int | None = None
) -> bytes:
    address = ipaddress.ip_address(source).packed
    body = address + bytes(len(address)) + port.to_bytes(2, "big") + (2376).to_bytes(2, "big") + b"".join(tlvs)
    kind = family if family is not None else (0x11 if len(address) == 4 else 0x21)
    return SIGNATURE + bytes([command, kind]) + len(body).to_bytes(2, "big") + body


ALICE = (tlv(0xE0, "FAILED:self-signed certificate"), tlv(0xE1, "CN=alice"), tlv(0xE2, PEM))


@pytest.mark.parametrize("source", ["192.0.2.7", "2001:db8::7"])
def test_everything_is_read_and_the_rest_is_left(source: str) -> None:
    whole = header(*ALICE, source=source)
    preamble = Preamble(source, 4711, "FAILED:self-signed certificate", "CN=alice", PEM)
    assert parse(whole) == (preamble, len(whole))
    assert parse(bytearray(whole + b"GET / HTTP/1.1\r\n")) == (preamble, len(whole))


def test_an_ipv4_client_of_an_ipv6_listener_has_its_ipv4_address() -> None:
    found = parse(header(tlv(0xE0, "NONE"), source="::ffff:192.0.2.7"))
    assert found is not None
    assert found[0].source_address == "192.0.2.7"


def test_without_a_certificate() -> None:
    found = parse(header(tlv(0xE0, "NONE")))
    assert found is not None
    assert found[0] == Preamble("192.0.2.7", 4711, "NONE", "", "")


def test_split_at_every_byte_it_asks_for_more() -> None:
    whole = header(*ALICE)
    assert [parse(whole[:size]) for size in range(len(whole))] == [None] * len(whole)


def test_a_second_preamble_is_left_as_rest() -> None:
    whole = header(*ALICE)
    found = parse(whole + whole)
    assert found is not None
    assert found[1] == len(whole)


def test_the_first_wrong_byte_of_the_signature_is_enough() -> None:
    for size in range(len(SIGNATURE)):
        with pytest.raises(PreambleError):
            parse(SIGNATURE[:size] + bytes([SIGNATURE[size] ^ 1]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "signature"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n", "signature"),
        (header(*ALICE, command=0x20), "command"),
        (header(*ALICE, command=0x11), "command"),
        (header(*ALICE, command=0x31), "command"),
        (header(*ALICE, family=0x00), "family"),
        (header(*ALICE, family=0x12), "family"),
        (header(*ALICE, family=0x31), "family"),
        (header(), "no verify"),
        (header(tlv(0xE0, "")), "no verify"),
        (header(tlv(0xE1, "CN=alice"), tlv(0xE2, PEM)), "no verify"),
        (header(tlv(0xE0, "SUCCESS")), "contradict"),
        (header(tlv(0xE0, "NONE"), tlv(0xE2, PEM)), "contradict"),
        (header(*ALICE, tlv(0xE0, "SUCCESS")), "twice"),
        (header(*ALICE, tlv(0xE2, PEM)), "twice"),
        (header(*ALICE, tlv(0x04, "")), "unknown"),
        (header(*ALICE, b"\xe3"), "cut off"),
        (header(*ALICE, b"\xe3\x00"), "cut off"),
        (header(tlv(0xE0, "NONE")[:-1]), "cut off"),
        (header(tlv(0xE0, "NONE"), b"\xe1\xff\xffx"), "cut off"),
        (header(tlv(0xE0, b"\xff\xfe")), "not text"),
        (SIGNATURE + b"\x21\x11\x00\x0b", "too short"),
        (SIGNATURE + b"\x21\x21\x00\x0c" + bytes(12), "too short"),
        (SIGNATURE + b"\x21\x11" + (LIMIT + 1).to_bytes(2, "big"), "bytes long"),
    ],
)
def test_anything_else_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(PreambleError, match=reason):
        parse(data)


def test_the_limit_is_exact() -> None:
    verify = tlv(0xE0, "SUCCESS")
    largest = LIMIT - 12 - len(verify) - 3
    assert parse(header(verify, tlv(0xE2, b"x" * largest))) is not None
    with pytest.raises(PreambleError):
        parse(header(verify, tlv(0xE2, b"x" * (largest + 1))))


def test_garbage_never_raises_anything_else() -> None:
    chance = random.Random(7)
    whole = header(*ALICE)
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with contextlib.suppress(PreambleError):
            parse(data[: chance.randint(0, len(data))])
