"""The public triton CLI, unmodified: profiles, account, keys, packages, and Docker with the certificate it makes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests import signing
from tests.e2e.cloudapi import Cloud
from tests.e2e.stack import Result, Stack
from tests.e2e.terminal import Terminal
from tests.machine import ROOT

CLI = ROOT / ".venv" / "triton" / "node_modules" / ".bin" / "triton"


@pytest.fixture(scope="session")
def program() -> Path:
    done = subprocess.run([ROOT / "tests" / "install-triton"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"the triton CLI could not be installed:\n{done.stdout}{done.stderr}"
    return CLI


class Triton:
    """The CLI of a person whose SSH keys of all kinds are registered for alice."""

    def __init__(self, program: Path, home: Path, stack: Stack) -> None:
        self.program, self.home, self._stack = program, home, stack
        self.url = f"https://{stack.cloudapi}"

    @property
    def env(self) -> dict[str, str]:
        # No SSH agent, and no TRITON_ or SDC_ variable of whoever runs the tests.
        trusted = {"NODE_EXTRA_CA_CERTS": str(self._stack.about["ca_file"])}
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **trusted}

    def __call__(
        self, *words: str, input: str = "", check: bool = True, env: Mapping[str, str] | None = None
    ) -> Result:
        done = subprocess.run(
            [self.program, *words],
            env=self.env | dict(env or {}),
            input=input.encode(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        assert not check or result.code == 0, f"triton {' '.join(words)}: {result.code}\n{result.said}\n{result.text}"
        return result

    def profile(self, name: str, kind: str, **values: Any) -> str:
        """Makes a profile with one of the keys."""
        about = {"name": name, "url": self.url, "account": "alice", "keyId": signing.md5(signing.key(kind)), **values}
        self("profile", "create", "--no-docker", "-f", "-", input=json.dumps(about))
        return name

    def docker(self, profile: str, *words: str) -> Result:
        """`docker words...` with the environment that triton prints."""
        script = 'eval "$("$PROGRAM" env --docker "$PROFILE")" && exec "$@"'
        done = subprocess.run(
            ["sh", "-c", script, "sh", *self._stack.command(*words)],
            env=self.env
            | {"PROGRAM": str(self.program), "PROFILE": profile, "DOCKER_CONFIG": str(self.home / "config")},
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def keys(stack: Stack) -> Iterator[None]:
    cloud = Cloud(stack, "alice")
    with (
        cloud.registered(signing.key("rsa"), "an-rsa-key"),
        cloud.registered(signing.key("ecdsa"), "an-ecdsa-key"),
        cloud.registered(signing.key("ed25519"), "an-ed25519-key"),
    ):
        yield


@pytest.fixture
def triton(program: Path, tmp_path: Path, stack: Stack, keys: None) -> Triton:
    ssh = tmp_path / ".ssh"
    ssh.mkdir(mode=0o700)
    for kind in signing.KINDS:
        form, plain = serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        file = ssh / f"id_{kind}"
        file.write_bytes(signing.key(kind).private_bytes(serialization.Encoding.PEM, form, plain))
        file.chmod(0o600)
        file.with_suffix(".pub").write_text(signing.public_line(signing.key(kind)) + f" {kind}@laptop\n")
    return Triton(program, tmp_path, stack)


@pytest.mark.parametrize("kind", signing.KINDS)
def test_account_keys_and_what_there_is(stack: Stack, triton: Triton, kind: str) -> None:
    triton.profile("p", kind)
    assert "login: alice" in triton("account", "get").text
    fingerprints = {line.split()[0] for line in triton("keys").text.splitlines()[1:]}
    assert {signing.md5(signing.key(k)) for k in signing.KINDS} <= fingerprints
    if kind != "ecdsa":
        return
    assert "t4-standard-1G" in triton("packages").text
    small = json.loads(triton("package", "get", "t4-standard-128M").text)
    assert json.loads(triton("packages", "-j", "memory=128").text) == small
    assert triton.url in triton("datacenters").text
    assert f"tcp://{stack.address}:{stack.port}" in triton("services").text
    assert triton("networks").code == 0
    assert signing.public_line(signing.key("rsa")) in triton("key", "get", "an-rsa-key").text


def test_a_key_is_added_and_deleted(triton: Triton, tmp_path: Path) -> None:
    triton.profile("p", "ed25519")
    file = tmp_path / "new.pub"
    file.write_text(signing.public_line(signing.key("ecdsa", 3)) + " new@laptop\n")
    md5 = signing.md5(signing.key("ecdsa", 3))
    assert f'Added key "new" ({md5})' in triton("key", "add", "-n", "new", str(file)).text
    again = triton("key", "add", "-n", "new", str(file), check=False)
    assert again.code == 1 and "InvalidArgument" in again.said and "already" in again.said
    assert md5 in triton("key", "list").text
    triton("key", "delete", "-y", md5)
    gone = triton("key", "get", "new", check=False)
    assert gone.code == 1 and "ResourceNotFound" in gone.said


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_docker_with_the_certificate_that_it_makes(stack: Stack, triton: Triton, tmp_path: Path, kind: str) -> None:
    """A fresh key, signed by the account's; triton itself refuses to sign it with an ed25519 key."""
    triton.profile("p", kind)
    said = triton("profile", "docker-setup", "-y", "p").text
    assert "Successfully setup profile" in said
    shown = triton.docker("p", "info")
    assert shown.code == 0, shown.said
    assert "SDCAccount: alice" in shown.text

    folder = next((tmp_path / ".triton" / "docker").iterdir())
    certificate = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
    assert certificate.issuer != certificate.subject
    assert stack.request(None, "GET", "/info", certificate=(folder / "cert.pem", folder / "key.pem")).status == 200

    # The same certificate, but for who signed it.
    leaf = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
    for signer, status in ((signing.key(kind), 200), (signing.key("ecdsa", 8), 401), (leaf, 401)):
        copy = signed_anew(certificate, leaf.public_key(), signer)
        (folder / "copy.pem").write_bytes(copy.public_bytes(serialization.Encoding.PEM))
        answer = stack.request(None, "GET", "/info", certificate=(folder / "copy.pem", folder / "key.pem"))
        assert answer.status == status, (signer, answer)


def signed_anew(like: x509.Certificate, public: Any, signer: Any) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        like.issuer, like.subject, public, like.serial_number, like.not_valid_before_utc, like.not_valid_after_utc
    )
    purposes = x509.ExtendedKeyUsage(
        [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH, x509.ObjectIdentifier("1.3.6.1.4.1.38678.1.4.1")]
    )
    return builder.add_extension(purposes, critical=True).sign(signer, hashes.SHA256())


def test_the_accounts_key_ends_what_it_signed(stack: Stack, triton: Triton, tmp_path: Path) -> None:
    private = signing.key("ecdsa", 4)
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = tmp_path / ".ssh" / "id_short"
    file.write_bytes(private.private_bytes(serialization.Encoding.PEM, form, plain))
    file.chmod(0o600)
    file.with_suffix(".pub").write_text(signing.public_line(private) + " short\n")
    cloud = Cloud(stack, "alice")
    with cloud.registered(private, "short"):
        triton.profile("short", "ecdsa", keyId=signing.md5(private))
        triton("profile", "docker-setup", "-y", "short")
        assert triton.docker("short", "info").code == 0
    refused = triton.docker("short", "info")
    assert "Unauthorized" in refused.said + refused.text
    assert "InvalidCredentials" in triton("-p", "short", "account", "get", check=False).said


def test_a_profile_is_created_interactively_with_docker(triton: Triton) -> None:
    terminal = Terminal([str(triton.program), "profile", "create", "-y"], triton.env, rows=60, columns=120)
    try:
        for asked, typed in (
            (b"name: ", b"home"),
            # The line is filled in with a URL that is taken away first.
            (b"url: https://", b"\x15" + triton.url.encode()),
            (b"account: ", b"alice"),
            (b"keyId: ", signing.md5(signing.key("rsa")).encode()),
        ):
            terminal.expect(asked)
            terminal.type(typed + b"\r")
        assert terminal.wait(60) == 0, terminal.screen
    finally:
        terminal.close()
    assert b"Successfully setup profile" in terminal.screen
    assert "SDCAccount: alice" in triton.docker("home", "info").text


def test_without_the_ca_only_an_insecure_profile_gets_through(triton: Triton) -> None:
    no_ca = {"NODE_EXTRA_CA_CERTS": ""}
    triton.profile("careful", "ecdsa")
    refused = triton("-p", "careful", "account", "get", check=False, env=no_ca)
    assert refused.code == 1 and "certificate" in refused.said.lower()
    triton.profile("insecure", "ecdsa", insecure=True)
    assert "login: alice" in triton("-p", "insecure", "account", "get", env=no_ca).text
    triton("profile", "docker-setup", "-y", "insecure", env=no_ca)
    assert "unset DOCKER_TLS_VERIFY" in triton("env", "--docker", "insecure").text
    assert "SDCAccount: alice" in triton.docker("insecure", "--tls", "info").text


def test_who_is_not_let_in(triton: Triton) -> None:
    triton.profile("other", "ecdsa", account="bob")
    triton.profile("nobody", "ecdsa", account="nobody")
    for profile in ("other", "nobody"):
        refused = triton("-p", profile, "account", "get", check=False)
        assert refused.code == 1 and "InvalidCredentials" in refused.said
    triton.profile("mine", "ecdsa")
    refused = triton("-p", "mine", "cloudapi", "/bob/keys", check=False)
    assert "NotAuthorized" in refused.text + refused.said
