"""Every way to be nobody, and what counts as somebody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.x509.oid import NameOID

from app.errors import Unauthorized
from app.services.identity import Identity, Refused, read_certificate
from app.services.operator import Operator
from tests.integration.world import World

KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any = KEY, names: tuple[str, ...] = ("alice",), *, serial: int = 0xABC, old: bool = False) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn) for cn in names])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=-1 if old else 10))
        .sign(KEY, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


def line(key: Any) -> str:
    raw = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return raw.decode() + " someone@somewhere"


@pytest.fixture
def identity(world: World) -> Identity:
    Operator(world.store).add_key("alice", "laptop", line(KEY))
    return Identity(world.store)


def refusal(identity: Identity, text: str, verify: str = "FAILED:self-signed certificate") -> str:
    with pytest.raises(Refused) as refused:
        identity.account(read_certificate(text, verify))
    assert isinstance(refused.value, Unauthorized)
    # The same for all, whatever the reason.
    assert refused.value.message == "Unauthorized"
    return refused.value.reason


def test_a_registered_key(world: World, identity: Identity) -> None:
    credential = read_certificate(pem(), "FAILED:self-signed certificate")
    assert identity.account(credential).id == world.alice.id
    assert credential.fingerprint.startswith("SHA256:") and credential.serial == ""


def test_refusals(world: World, identity: Identity) -> None:
    assert refusal(identity, "", "NONE") == "no client certificate"
    assert "cannot be read" in refusal(identity, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert "cannot be read" in refusal(identity, "nonsense")
    assert "not exactly one CN" in refusal(identity, pem(names=()))
    assert "not exactly one CN" in refusal(identity, pem(names=("alice", "bob")))
    unregistered = ec.generate_private_key(ec.SECP384R1())
    assert refusal(identity, pem(unregistered)).startswith("no account 'alice' with key SHA256:")
    assert refusal(identity, pem(names=("bob",))).startswith("no account 'bob' with key")
    for login in ("nobody", "ALICE", "alice ", "' OR 1=1 --", "é" * 30):
        assert refusal(identity, pem(names=(login,))).startswith(f"no account {login!r}")


def test_weak_keys(identity: Identity) -> None:
    assert refusal(identity, pem(rsa.generate_private_key(65537, 1024))) == "the RSA key is too short or too long"
    assert refusal(identity, pem(ec.generate_private_key(ec.SECP256K1()))) == "the key's curve is not accepted"
    assert refusal(identity, pem(ed448.Ed448PrivateKey.generate())) == "the key's algorithm is not accepted"
    assert refusal(identity, pem(dsa.generate_private_key(2048))) == "the key's algorithm is not accepted"


def test_disabled_and_removed(world: World, identity: Identity) -> None:
    operator = Operator(world.store)
    credential = read_certificate(pem(), "NONE")
    operator.set_disabled("alice", True)
    assert refusal(identity, pem()) == "account 'alice' is disabled"
    operator.set_disabled("alice", False)
    assert identity.still_valid({credential}) == {credential}
    operator.remove_key("alice", credential.fingerprint)
    assert refusal(identity, pem()).startswith("no account 'alice' with key")
    assert identity.still_valid({credential}) == set()


def test_one_key_of_two_accounts(world: World, identity: Identity) -> None:
    Operator(world.store).add_key("bob", "laptop", line(KEY))
    assert identity.account(read_certificate(pem(names=("bob",)), "NONE")).id == world.bob.id
    assert identity.account(read_certificate(pem(), "NONE")).id == world.alice.id


def test_signed_by_the_data_center(world: World, identity: Identity) -> None:
    """nginx verified the chain: the subject counts, and no key need be registered."""
    other = ec.generate_private_key(ec.SECP256R1())
    certificate = pem(other, ("bob",), serial=0xDEADBEEF)
    credential = read_certificate(certificate, "SUCCESS")
    assert credential.serial == "deadbeef"
    assert identity.account(credential).id == world.bob.id
    assert refusal(identity, pem(other, ("nobody",)), "SUCCESS").startswith("no account 'nobody'")
    assert refusal(identity, certificate, "FAILED:unable to verify the first certificate").startswith(
        "no account 'bob'"
    )
    assert refusal(identity, certificate, "success").startswith("no account 'bob'")
    world.sql("INSERT INTO revoked_certificates (serial) VALUES ('deadbeef')")
    assert refusal(identity, certificate, "SUCCESS") == "the certificate is revoked"
    assert identity.still_valid({credential}) == set()
    assert identity.account(read_certificate(pem(other, ("bob",), serial=2), "SUCCESS")).id == world.bob.id
    Operator(world.store).set_disabled("bob", True)
    assert refusal(identity, pem(other, ("bob",), serial=2), "SUCCESS") == "account 'bob' is disabled"


def test_what_is_used_is_as_of_now(world: World, identity: Identity) -> None:
    credential = read_certificate(pem(), "NONE")
    assert identity.account(credential).used_containers == 0
    world.create(world.alice)
    assert identity.account(credential).used_containers == 1
