"""Who a connection is: the account whose registered key its certificate holds.

nginx has proved that the client has the private key; nothing else in a certificate is evidence. So the public key is
looked up among the account's keys, and the CN must name the account. A certificate that the data center's CA signed
needs no registered key: nginx verified the chain, and its subject names the account.

A certificate with a key of its own is accepted where a registered key of the account has signed it, and is nothing
without that signature. `triton profile docker-setup` makes such, so that the SSH key need not leave its agent.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.domain.account import Account
from app.errors import Unauthorized
from app.store import accounts
from app.store.session import Store, Transaction

_DIGESTS = {digest.name: digest for digest in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())}
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


@dataclass(frozen=True)
class Signature:
    """A certificate's signature, and what it is a signature of."""

    data: bytes
    signed: bytes
    #: "sha256" and so on; "" for ed25519, which has its own.
    algorithm: str

    def is_by(self, public_key: str) -> bool:
        """Whether the key of an authorized_keys line made it."""
        key = serialization.load_ssh_public_key(public_key.encode())
        try:
            if isinstance(key, rsa.RSAPublicKey) and self.algorithm:
                key.verify(self.data, self.signed, padding.PKCS1v15(), _DIGESTS[self.algorithm])
            elif isinstance(key, ec.EllipticCurvePublicKey) and self.algorithm:
                key.verify(self.data, self.signed, ec.ECDSA(_DIGESTS[self.algorithm]))
            elif isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(self.data, self.signed)
            else:
                return False
        except InvalidSignature:
            return False
        return True


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
    _check_strength(key)
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    serial = f"{certificate.serial_number:x}" if verify == "SUCCESS" else ""
    return Credential(login, fingerprint(line.decode()), serial, _signature(certificate))


def _signature(certificate: x509.Certificate) -> Signature | None:
    """The signature, where it may be another key's: not self-signed, made for clients, with a digest that holds."""
    if certificate.issuer == certificate.subject:
        return None
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        algorithm = certificate.signature_hash_algorithm
    except (x509.ExtensionNotFound, UnsupportedAlgorithm, ValueError):
        return None
    digest = algorithm.name if algorithm else ""
    if ExtendedKeyUsageOID.CLIENT_AUTH not in purposes or (digest and digest not in _DIGESTS):
        return None
    return Signature(certificate.signature, certificate.tbs_certificate_bytes, digest)


def _check_strength(key: object) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        if not 2048 <= key.key_size <= 8192 or key.public_numbers().e < 3:
            raise Refused("the RSA key is too short or too long")
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, _CURVES):
            raise Refused("the key's curve is not accepted")
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        raise Refused("the key's algorithm is not accepted")


def fingerprint(public_key: str) -> str:
    """SHA256:... of an authorized_keys line. Raises ValueError where it is none."""
    words = public_key.split()
    if len(words) < 2:
        raise ValueError("not an OpenSSH public key")
    wire = base64.b64decode(words[1], validate=True)
    serialization.load_ssh_public_key(" ".join(words[:2]).encode())
    return "SHA256:" + base64.b64encode(hashlib.sha256(wire).digest()).decode().rstrip("=")


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
