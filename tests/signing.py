"""Keys of all kinds, and requests to CloudAPI signed with them the way its public clients sign."""

from __future__ import annotations

import base64
import hashlib
from email.utils import formatdate
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

KINDS = ("rsa", "ecdsa", "ed25519")

_DIGESTS = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}


@cache
def key(kind: str, which: int = 0) -> Any:
    """A key of this kind; the same one for the same `which`."""
    match kind:
        case "rsa":
            return rsa.generate_private_key(65537, 2048)
        case "ecdsa":
            return ec.generate_private_key(ec.SECP256R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "p384":
            return ec.generate_private_key(ec.SECP384R1())
        case "p521":
            return ec.generate_private_key(ec.SECP521R1())
    raise ValueError(kind)


def public_line(private: Any) -> str:
    form = serialization.PublicFormat.OpenSSH
    return private.public_key().public_bytes(serialization.Encoding.OpenSSH, form).decode()


def md5(private: Any) -> str:
    return hashlib.md5(_wire(private)).digest().hex(":")


def sha256(private: Any) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(_wire(private)).digest()).decode().rstrip("=")


def _wire(private: Any) -> bytes:
    return base64.b64decode(public_line(private).split()[1])


def default_algorithm(private: Any) -> str:
    if isinstance(private, rsa.RSAPrivateKey):
        return "rsa-sha256"
    return "ecdsa-sha256" if isinstance(private, ec.EllipticCurvePrivateKey) else "ed25519-sha512"


def sign(private: Any, text: bytes, algorithm: str) -> bytes:
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(text)
    digest = _DIGESTS[algorithm.lower().partition("-")[2]]()
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(text, padding.PKCS1v15(), digest)
    return private.sign(text, ec.ECDSA(digest))


def signed(
    private: Any,
    login: str,
    method: str,
    target: str,
    *,
    headers: str = "(request-target) date",
    key_id: str = "",
    algorithm: str = "",
    bare: bool = False,
    **values: str,
) -> dict[str, str]:
    """The headers of a signed request. `values` are further ones, with _ for -; those that `headers` names are signed.

    `bare` is the older form: the values alone are signed, and the signature stands behind the parameters.
    """
    sent = {name.replace("_", "-"): value for name, value in values.items()}
    sent.setdefault("date", formatdate(usegmt=True))
    algorithm = algorithm or default_algorithm(private)
    key_id = key_id or f"/{login}/keys/{md5(private)}"
    lines = []
    for name in headers.split():
        value = f"{method.lower()} {target}" if name == "(request-target)" else sent[name]
        lines.append(value if bare else f"{name}: {value}")
    signature = base64.b64encode(sign(private, "\n".join(lines).encode(), algorithm)).decode()
    named = f'keyId="{key_id}",algorithm="{algorithm}"'
    if bare:
        authorization = f"Signature {named} {signature}"
    else:
        authorization = f'Signature {named},headers="{headers}",signature="{signature}"'
    return {**sent, "authorization": authorization}
