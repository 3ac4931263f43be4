from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from app.domain import http_signature, ssh_key
from app.domain.http_signature import BadDigest, InvalidHeader, check_body, check_time, parse, signed_text
from app.errors import InvalidParameter, Unauthorized
from tests import signing

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def verify(headers: dict[str, str], private, method: str = "GET", target: str = "/my/keys") -> bool:
    claim = parse(headers["authorization"])
    text = signed_text(claim, method, target, headers.get)
    return ssh_key.signed_by(signing.public_line(private), claim.signature, text, claim.digest)


ALGORITHMS = [
    ("rsa", "rsa-sha256"),
    ("rsa", "RSA-SHA256"),
    ("rsa", "rsa-sha384"),
    ("rsa", "rsa-sha512"),
    ("ecdsa", "ecdsa-sha256"),
    ("p384", "ecdsa-sha384"),
    ("p521", "ecdsa-sha512"),
    ("ed25519", "ed25519-sha512"),
    ("ed25519", "ed25519"),
]


@pytest.mark.parametrize(("kind", "algorithm"), ALGORITHMS, ids=[f"{k}-{a}" for k, a in ALGORITHMS])
@pytest.mark.parametrize(
    ("headers", "bare"),
    [("date", False), ("(request-target) date", False), ("(request-target) host date", False), ("date", True)],
)
def test_what_the_clients_sign_is_verified(kind: str, algorithm: str, headers: str, bare: bool) -> None:
    private = signing.key(kind)
    sent = signing.signed(
        private, "alice", "GET", "/my/keys", headers=headers, algorithm=algorithm, bare=bare, host="cloud"
    )
    assert verify(sent, private)
    assert not verify(sent | {"date": "Tue, 24 Nov 2026 09:30:01 GMT"}, private)
    assert not verify(sent, signing.key(kind, 1))
    if "(request-target)" in headers:
        assert not verify(sent, private, method="DELETE")
        assert not verify(sent, private, target="/my/keys/other")


def test_a_claim_tells_the_account_and_the_key() -> None:
    claim = parse('Signature keyId="/alice/keys/aa:bb",algorithm="rsa-sha256",headers="Date",signature="AAAA"')
    assert (claim.login, claim.key, claim.kind, claim.digest) == ("alice", "aa:bb", "rsa", "sha256")
    assert (claim.headers, claim.signature, claim.bare) == (("date",), b"\0\0\0", False)


@pytest.mark.parametrize(
    ("key_id", "login", "key"),
    [
        ("/alice/keys/my laptop", "alice", "my laptop"),
        ("/alice/keys/MD5:aa:bb", "alice", "MD5:aa:bb"),
        ("/alice/keys/SHA256:ab/cd+e", "alice", "SHA256:ab/cd+e"),
        ("/a%40b/keys/SHA256%3Aab%2Fcd", "a@b", "SHA256:ab/cd"),
    ],
)
def test_forms_of_key_ids(key_id: str, login: str, key: str) -> None:
    claim = parse(f'Signature keyId="{key_id}",algorithm="ed25519",signature="AAAA"')
    assert (claim.login, claim.key, claim.headers) == (login, key, ("date",))


@pytest.mark.parametrize(
    "authorization",
    [
        "Signature",
        "Signature ",
        'Signature keyId="/a/keys/b"',
        'Signature keyId="/a/keys/b",algorithm="rsa-sha256"',
        'Signature keyId="/a/keys/b",algorithm="rsa-sha256",signature=""',
        'Signature keyId="/a/keys/b",algorithm="rsa-sha256",signature="***"',
        'Signature keyId="/a/keys/b",algorithm="rsa-sha256" ***',
        'Signature keyId="/a/keys/b",algorithm="rsa-sha256",signature="AAAA" AAAA',
        'Signature keyId="/a/keys/b",keyId="/b/keys/b",algorithm="rsa-sha256",signature="AAAA"',
        'Signature keyId="/a/keys/b",algorithm="rsa-sha256",headers="",signature="AAAA"',
        'Signature keyId="/a/keys/b",algorithm="rsa-sha256",headers="date date",signature="AAAA"',
        'Signature keyId="/a/keys/b",algorithm="rsa-sha256",signature="AAAA',
    ],
)
def test_a_malformed_header_is_refused(authorization: str) -> None:
    with pytest.raises(InvalidHeader):
        parse(authorization)


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        ("Basic YTpi", "not supported"),
        ("Bearer x", "not supported"),
        ('Signature keyId="/a/keys/b",algorithm="rsa-sha1",signature="AAAA"', "rsa-sha1 is not a supported"),
        ('Signature keyId="/a/keys/b",algorithm="dsa-sha256",signature="AAAA"', "dsa-sha256"),
        ('Signature keyId="/a/keys/b",algorithm="hmac-sha256",signature="AAAA"', "hmac-sha256"),
        ('Signature keyId="aa:bb",algorithm="rsa-sha256",signature="AAAA"', "Invalid KeyId aa:bb"),
        ('Signature keyId="/a/keys/",algorithm="rsa-sha256",signature="AAAA"', "Invalid KeyId"),
        ('Signature keyId="/a/users/bob/keys/b",algorithm="rsa-sha256",signature="AAAA"', "no users"),
    ],
)
def test_what_is_not_for_us_is_refused_with_a_reason(authorization: str, words: str) -> None:
    with pytest.raises(Unauthorized, match=words):
        parse(authorization)


@pytest.mark.parametrize("headers", ["date x-missing", "date (created)", "date (expires)", "date (keyid)"])
def test_a_signed_header_must_be_there_and_known(headers: str) -> None:
    claim = parse(f'Signature keyId="/a/keys/b",algorithm="rsa-sha256",headers="{headers}",signature="AAAA"')
    with pytest.raises(InvalidHeader):
        signed_text(claim, "GET", "/", {"date": "x"}.get)


def claim(headers: str = "date") -> http_signature.Claim:
    return parse(f'Signature keyId="/a/keys/b",algorithm="rsa-sha256",headers="{headers}",signature="AAAA"')


@pytest.mark.parametrize("seconds", [0, 299, -299])
def test_a_clock_may_differ_by_five_minutes(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    check_time(claim(), {"date": date}.get, NOW)
    check_time(claim("x-date"), {"date": "x", "x-date": date}.get, NOW)


@pytest.mark.parametrize("seconds", [301, -301, 86400 * 365])
def test_and_by_no_more(seconds: int) -> None:
    with pytest.raises(InvalidHeader, match=f"clock skew of {abs(seconds)}s was greater than 300s"):
        check_time(claim(), {"date": format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)}.get, NOW)


@pytest.mark.parametrize(
    ("signed", "headers"),
    [
        ("date", {}),
        ("host", {"date": format_datetime(NOW, usegmt=True), "host": "x"}),
        ("date", {"date": "yesterday"}),
        ("date", {"date": "Tue, 99 Nov 2026 99:30:00 GMT"}),
        ("date", {"date": "x", "x-date": format_datetime(NOW, usegmt=True)}),
    ],
)
def test_the_time_must_be_there_signed_and_a_date(signed: str, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidHeader):
        check_time(claim(signed), headers.get, NOW)


def test_a_body_must_be_the_announced_one() -> None:
    body = b'{"key":"x"}'
    sha256 = base64.b64encode(hashlib.sha256(body).digest()).decode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    check_body(body, {}.get)
    check_body(body, {"digest": f"SHA-256={sha256}", "content-md5": md5}.get)
    for headers in ({"digest": f"SHA-256={sha256}"}, {"content-md5": md5}):
        with pytest.raises(BadDigest):
            check_body(body + b" ", headers.get)
    with pytest.raises(BadDigest, match="not supported"):
        check_body(body, {"digest": "crc32=AAAA"}.get)
    assert issubclass(BadDigest, InvalidParameter)
