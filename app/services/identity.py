"""Who a connection is: the account whose registered key its certificate holds.

nginx has proved that the client has the private key; nothing else in a certificate is evidence. So the public key is
looked up among the account's keys, and the CN must name the account. A certificate that the data center's CA signed
needs no registered key: nginx verified the chain, and its subject names the account.

A certificate with a key of its own is accepted where a registered key of the account has signed it, and is nothing
without that signature. `triton profile docker-setup` makes such, so that the SSH key need not leave its agent.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from app.domain import ssh_key
from app.domain.account import Account
from app.domain.certificate import is_for_docker
from app.errors import Unauthorized
from app.store import accounts
from app.store.session import Store, Transaction


@dataclass(frozen=True)
class Signature:
    """A certificate's signature, and what it is a signature of."""

    data: bytes
    signed: bytes
    #: "sha256" and so on; "" for ed25519, which has its own.
    algorithm: str

    def is_by(self, public_key: str) -> bool:
        """Whether the key of an authorized_keys line made it."""
        return ssh_key.signed_by(public_key, self.data, self.signed, self.algorithm)


@dataclass(frozen=True)
class Credential:
    """What a certificate says: the login in its CN, and the fingerprint of its key in OpenSSH's form.

    `serial` is set where the data center's CA signed it, `signature` where another key may have.
    """

    login: str
    fingerprint: str
    serial: str = ""
    signature: Signature | None = None


class Refused(Unauthorized):
    """A connection without an account. The client sees one and the same answer; `reason` is for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__("Unauthorized")
        self.reason = reason


def read_certificate(pem: str, verify: str) -> Credential:
    """The credential of a client certificate; `verify` is nginx's result. Raises Refused with the reason."""
    if not pem:
        raise Refused("no client certificate")
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refused(f"the certificate cannot be read: {error}") from None
    if len(common_names) != 1:
        raise Refused("the certificate's subject has not exactly one CN")
    login = str(common_names[0].value)
    if "\0" in login:
        raise Refused("the certificate's CN has a NUL character")
    weakness = ssh_key.weakness_of(key)
    if weakness:
        raise Refused(weakness)
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    serial = f"{certificate.serial_number:x}" if verify == "SUCCESS" else ""
    return Credential(login, fingerprint(line.decode()), serial, _signature(certificate))


def _signature(certificate: x509.Certificate) -> Signature | None:
    """The signature, where it may be another key's: not self-signed, made for clients, with a digest that holds."""
    if certificate.issuer == certificate.subject:
        return None
    try:
        algorithm = certificate.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        return None
    digest = algorithm.name if algorithm else ""
    signed = certificate.tbs_certificate_bytes
    if not is_for_docker(signed) or (digest and digest not in ssh_key.DIGESTS):
        return None
    return Signature(certificate.signature, signed, digest)


def fingerprint(public_key: str) -> str:
    """SHA256:... of an authorized_keys line. Raises ValueError where it is none."""
    words = public_key.split()
    if len(words) < 2:
        raise ValueError("not an OpenSSH public key")
    wire = base64.b64decode(words[1], validate=True)
    serialization.load_ssh_public_key(" ".join(words[:2]).encode())
    return ssh_key.sha256_of(wire)


class Identity:
    def __init__(self, store: Store) -> None:
        self._store = store

    def account(self, credential: Credential) -> Account:
        """The account, asked of the database for every request, so that a removed key is refused at once.

        Raises Refused: unknown login, unregistered key, revoked certificate, disabled account.
        """
        with self._store.autocommit() as tx:
            if credential.serial:
                account = accounts.find_by_login(tx, credential.login)
                if accounts.is_revoked(tx, credential.serial):
                    raise Refused("the certificate is revoked")
            else:
                account = accounts.find_by_key(tx, credential.login, credential.fingerprint)
                if account is None and credential.signature:
                    account = self._by_signature(tx, credential.login, credential.signature)
        if account is None:
            raise Refused(f"no account {credential.login!r} with key {credential.fingerprint}")
        if account.disabled:
            raise Refused(f"account {credential.login!r} is disabled")
        return account

    @staticmethod
    def _by_signature(tx: Transaction, login: str, signature: Signature) -> Account | None:
        account = accounts.find_by_login(tx, login)
        keys = accounts.list_keys(tx, account.id) if account else []
        return account if any(signature.is_by(key.public_key) for key in keys) else None

    def still_valid(self, credentials: set[Credential]) -> set[Credential]:
        """Those that may go on: for cutting the open streams of removed keys and disabled accounts."""
        valid = set()
        for credential in credentials:
            try:
                self.account(credential)
            except Refused:
                continue
            valid.add(credential)
        return valid
