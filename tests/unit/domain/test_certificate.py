"""The purposes of certificates, as cryptography writes them and as the triton CLI does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.domain.certificate import is_for_docker
from tests import signing

TRITON_DOCKER = x509.ObjectIdentifier("1.3.6.1.4.1.38678.1.4.1")
TRITON_CMON = x509.ObjectIdentifier("1.3.6.1.4.1.38678.1.4.2")
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def certificate(*purposes: x509.ObjectIdentifier) -> x509.Certificate:
    key = signing.key("ecdsa")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alice")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=True)
    return builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize(
    ("purposes", "is_for"),
    [
        ([CLIENT], True),
        ([SERVER, CLIENT], True),
        ([CLIENT, TRITON_DOCKER], True),
        ([CLIENT, TRITON_DOCKER, TRITON_CMON], True),
        ([CLIENT, TRITON_CMON], False),
        ([TRITON_DOCKER], False),
        ([SERVER], False),
        ([], False),
    ],
)
def test_a_certificate_is_for_docker_by_its_purposes(purposes: list[x509.ObjectIdentifier], is_for: bool) -> None:
    assert is_for_docker(certificate(*purposes).tbs_certificate_bytes) is is_for


def test_a_default_that_is_spelled_out_is_no_hindrance() -> None:
    """As the triton CLI writes "no CA": cryptography reads no extension of such a certificate."""
    tbs = certificate(CLIENT, TRITON_DOCKER).tbs_certificate_bytes
    no_ca, spelled_out = bytes.fromhex("0603551d130101ff04023000"), bytes.fromhex("0603551d130101ff04053003010100")
    assert tbs.count(no_ca) == 1
    # The sequences around it have one-byte and two-byte lengths that this makes no longer true; so it is rebuilt.
    assert is_for_docker(rebuilt(tbs, no_ca, spelled_out))


def rebuilt(tbs: bytes, old: bytes, new: bytes) -> bytes:
    """`tbs` with one extension's content replaced and the lengths around it put right."""

    def wrap(tag: int, content: bytes) -> bytes:
        size = len(content)
        length = bytes([size]) if size < 128 else bytes([0x82, size >> 8, size & 0xFF])
        return bytes([tag]) + length + content

    def read(data: bytes) -> list[tuple[int, bytes]]:
        found, position = [], 0
        while position < len(data):
            tag, length = data[position], data[position + 1]
            position += 2
            if length & 0x80:
                count = length & 0x7F
                length = int.from_bytes(data[position : position + count], "big")
                position += count
            found.append((tag, data[position : position + length]))
            position += length
        return found

    ((_, fields),) = read(tbs)
    parts = read(fields)
    tag, extensions = parts[-1]
    ((_, listed),) = read(extensions)
    changed = b"".join(wrap(t, new if content == old else content) for t, content in read(listed))
    parts[-1] = (tag, wrap(0x30, changed))
    return wrap(0x30, b"".join(wrap(t, content) for t, content in parts))


def test_what_is_cut_off_or_nonsense_is_for_nothing() -> None:
    tbs = certificate(CLIENT).tbs_certificate_bytes
    for end in range(len(tbs)):
        assert not is_for_docker(tbs[:end])
    for data in (b"", b"\x30", b"\x30\x80", b"\x30\x85\0\0\0\0\1", b"\x30\x84\xff\xff\xff\xff", b"\x05\0", tbs + tbs):
        assert not is_for_docker(data)
