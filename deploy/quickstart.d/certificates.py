"""The data center's CA and server certificate, and each account's SSH key with the client certificate made from it.

All of them are valid for 10 years: nginx's stream module drops a handshake with an expired certificate without a word.
Removing an account's key is what revokes.

Keys are ECDSA P-256. RSA is signed some hundred times slower, and the docker CLI signs at every connection that it
opens; ed25519 is unknown to TLS in clients built before 2019. P-256 is understood by every client from CLI 1.8 on.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import shlex
import socket
from pathlib import Path

from console import Stop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from stack import LOGIN, Stack

LIFETIME = datetime.timedelta(days=3652)
#: Clocks differ.
BACKDATED = datetime.timedelta(days=1)


def make_ca_and_server(stack: Stack) -> None:
    """Write ca/ca.pem, ca/ca.key, ca/server.pem and ca/server.key where they are missing."""
    ca_pem, ca_key_path = stack.ca / "ca.pem", stack.ca / "ca.key"
    if not ca_pem.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"{stack.chosen.datacenter} {stack.chosen.id} CA")
        builder = _builder(name, name, key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
        _write_key(ca_key_path, key)
        _write(ca_pem, _pem(builder.sign(key, hashes.SHA256())), 0o644)
    server_pem = stack.ca / "server.pem"
    if server_pem.exists():
        return
    ca = x509.load_pem_x509_certificate(ca_pem.read_bytes())
    ca_key = serialization.load_pem_private_key(ca_key_path.read_bytes(), password=None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise Stop(f"{ca_key_path} is not an elliptic curve key.")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name("my.triton"), ca.subject, key)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(_server_names(stack.chosen.address)), critical=False)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = builder.add_extension(authority, critical=False)
    _write_key(stack.ca / "server.key", key)
    _write(server_pem, _pem(builder.sign(ca_key, hashes.SHA256())), 0o644)


def make_account(stack: Stack, login: str) -> bool:
    """Make the account's folder with key, certificate and CA; False where it is there already.

    id and id.pub are the SSH key in OpenSSH's form, key.pem is the same key for TLS clients.
    """
    if not LOGIN.fullmatch(login):
        raise Stop(f"'{login}' cannot be an account's login: letters, digits and _ . @ - only, 64 at the most.")
    folder = stack.account_folder(login)
    if (folder / "cert.pem").exists():
        return False
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    # What the seed's helper makes: signed by the key itself, no subject but the account's login.
    builder = _builder(_name(login), _name(login), key)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    _write(folder / "id", private, 0o600)
    _write(folder / "id.pub", public + f" {login}@{stack.chosen.datacenter}\n".encode(), 0o644)
    _write_key(folder / "key.pem", key)
    _write(folder / "ca.pem", (stack.ca / "ca.pem").read_bytes(), 0o644)
    _write(folder / "env.sh", ("\n".join(export_lines(stack, login)) + "\n").encode(), 0o644)
    # Last: its presence says that the folder is whole.
    _write(folder / "cert.pem", _pem(builder.sign(key, hashes.SHA256())), 0o644)
    _give_to_caller(folder)
    return True


def export_lines(stack: Stack, login: str) -> list[str]:
    """What a shell needs to use the account."""
    values = environment(stack, login)
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]


def environment(stack: Stack, login: str) -> dict[str, str]:
    address = stack.chosen.address
    host = f"[{address}]" if ":" in address else address
    return {
        "DOCKER_HOST": f"tcp://{host}:{stack.chosen.port}",
        "DOCKER_CERT_PATH": str(stack.account_folder(login)),
        "DOCKER_TLS_VERIFY": "1",
        "COMPOSE_HTTP_TIMEOUT": "300",
        # There is no BuildKit per account; the classic builder works.
        "DOCKER_BUILDKIT": "0",
    }


def _give_to_caller(folder: Path) -> None:
    """Under sudo, the person who typed it uses the certificate, not root."""
    uid, gid = os.environ.get("SUDO_UID", "0"), os.environ.get("SUDO_GID", "0")
    if uid.isdigit() and gid.isdigit() and uid != "0":
        for path in [folder, *folder.iterdir()]:
            os.chown(path, int(uid), int(gid))


def _server_names(address: str) -> list[x509.GeneralName]:
    addresses = dict.fromkeys([ipaddress.ip_address(address), ipaddress.ip_address("127.0.0.1")])
    names = dict.fromkeys(["localhost", "my.triton", socket.gethostname()])
    return [*map(x509.IPAddress, addresses), *map(x509.DNSName, names)]


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    # "EC PRIVATE KEY", which the oldest clients read too.
    form = serialization.PrivateFormat.TraditionalOpenSSL
    _write(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()), 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    """A whole file with the right mode from its first moment, or none."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    new.chmod(mode)
    new.replace(path)
