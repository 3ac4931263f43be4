"""Certificates with a key of their own, signed by a registered account key: what the `triton` CLI makes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.services.identity import Identity, Refused, read_certificate
from app.services.operator import Operator
from app.store.session import Store


def key(kind: str):
    match kind:
        case "rsa":
            return rsa.generate_private_key(65537, 2048)
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    subject: str, issuer: str, leaf, signer, *, purpose=ExtendedKeyUsageOID.CLIENT_AUTH, digest=None
) -> str:
    name = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])  # noqa: E731
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(leaf.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else digest or hashes.SHA256()
    return built.sign(signer, algorithm).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    made = Store(database_url, pool=2)
    yield made
    made.close()


@pytest.fixture(params=["ecdsa", "rsa", "ed25519"])
def account_key(request: pytest.FixtureRequest, store: Store):
    private = key(request.param)
    line = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    operator = Operator(store)
    operator.add_account("alice")
    operator.add_account("bob")
    operator.add_key("alice", "main", line.decode())
    return private


def test_a_certificate_that_an_account_key_signed_is_accepted(store: Store, account_key) -> None:
    pem = certificate("alice", "fingerprint", key("ecdsa"), account_key)
    assert Identity(store).account(read_certificate(pem, "FAILED:unable to verify")).login == "alice"


def test_one_that_another_key_signed_is_refused(store: Store, account_key) -> None:
    pem = certificate("alice", "fingerprint", key("ecdsa"), key("ecdsa"))
    with pytest.raises(Refused):
        Identity(store).account(read_certificate(pem, "FAILED:unable to verify"))


def test_a_signature_is_good_for_its_own_account_only(store: Store, account_key) -> None:
    pem = certificate("bob", "fingerprint", key("ecdsa"), account_key)
    with pytest.raises(Refused):
        Identity(store).account(read_certificate(pem, "FAILED:unable to verify"))


def test_a_certificate_for_another_purpose_is_refused(store: Store, account_key) -> None:
    pem = certificate("alice", "fingerprint", key("ecdsa"), account_key, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
    with pytest.raises(Refused):
        Identity(store).account(read_certificate(pem, "FAILED:unable to verify"))


def test_removing_the_account_key_ends_what_it_signed(store: Store, account_key) -> None:
    identity, operator = Identity(store), Operator(store)
    credential = read_certificate(certificate("alice", "fingerprint", key("ecdsa"), account_key), "FAILED")
    assert identity.still_valid({credential}) == {credential}
    _, keys = operator.account("alice")
    operator.remove_key("alice", keys[0].fingerprint)
    assert identity.still_valid({credential}) == set()
