"""SSH public keys: which are accepted, their fingerprints, and whether one of them made a signature."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

#: SHA-1 is not among them: two texts with the same SHA-1 can be made.
DIGESTS: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
#: Words that begin an authorized_keys line. Keys in hardware (sk-...) sign a text of their own, not the one given.
_TYPES = ("ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")


@dataclass(frozen=True)
class SshKey:
    """A public key: one authorized_keys line without its comment, and its fingerprints."""

    line: str
    comment: str
    #: OpenSSH's form: "SHA256:" and unpadded base64.
    fingerprint: str
    #: The form of the public CloudAPI clients: hex with colons.
    md5: str


def read(text: str) -> SshKey:
    """One authorized_keys line. Raises ValueError that says what is wrong with it."""
    lines = [line for line in text.splitlines() if line.strip()]
    words = lines[0].split(maxsplit=2) if len(lines) == 1 else []
    if len(words) < 2 or words[0] not in _TYPES:
        raise ValueError("not one OpenSSH public key of type RSA, ECDSA or ed25519")
    line = " ".join(words[:2])
    try:
        wire = base64.b64decode(words[1], validate=True)
        key = serialization.load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm, binascii.Error):
        raise ValueError("the OpenSSH public key cannot be read") from None
    weakness = weakness_of(key)
    if weakness:
        raise ValueError(weakness)
    return SshKey(line, words[2].strip() if len(words) > 2 else "", sha256_of(wire), md5_of(wire))


def sha256_of(wire: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(wire).digest()).decode().rstrip("=")


def md5_of(wire: bytes) -> str:
    """For display and for finding a key by it; what a key may do is never decided by it."""
    return hashlib.md5(wire, usedforsecurity=False).digest().hex(":")


def md5_of_line(line: str) -> str:
    """The MD5 fingerprint of a registered authorized_keys line."""
    return md5_of(base64.b64decode(line.split()[1]))


def weakness_of(key: object) -> str:
    """Why a public key is not accepted; "" where it is."""
    if isinstance(key, rsa.RSAPublicKey):
        if not 2048 <= key.key_size <= 8192 or key.public_numbers().e < 3:
            return "the RSA key is too short or too long"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, _CURVES):
            return "the key's curve is not accepted"
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        return "the key's algorithm is not accepted"
    return ""


def signed_by(line: str, signature: bytes, text: bytes, digest: str) -> bool:
    """Whether the key of an authorized_keys line made the signature.

    `digest` is one of DIGESTS, "" for ed25519, which has its own. ECDSA signatures are in ASN.1, as X.509 has them.
    """
    key = serialization.load_ssh_public_key(line.encode())
    try:
        if isinstance(key, rsa.RSAPublicKey) and digest:
            key.verify(signature, text, padding.PKCS1v15(), DIGESTS[digest]())
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest:
            key.verify(signature, text, ec.ECDSA(DIGESTS[digest]()))
        elif isinstance(key, ed25519.Ed25519PublicKey) and not digest:
            key.verify(signature, text)
        else:
            return False
    except InvalidSignature:
        return False
    return True
