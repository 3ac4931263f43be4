from __future__ import annotations

import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from app.domain import ssh_key
from tests import signing


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "p384", "p521", "ed25519"])
def test_a_key_is_read_with_its_comment_and_both_fingerprints(kind: str) -> None:
    private = signing.key(kind)
    line = signing.public_line(private)
    key = ssh_key.read(f"  {line} me@my laptop\n")
    assert (key.line, key.comment) == (line, "me@my laptop")
    assert (key.fingerprint, key.md5) == (signing.sha256(private), signing.md5(private))
    assert ssh_key.md5_of_line(line) == key.md5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-rsa",
        "ssh-rsa AAAA",
        "ssh-rsa !!!!",
        "ssh-ed25519 " + signing.public_line(signing.key("rsa")).split()[1],
        'command="rm" ' + signing.public_line(signing.key("ed25519")),
        signing.public_line(signing.key("ed25519")) + "\n" + signing.public_line(signing.key("rsa")),
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        signing.public_line(rsa.generate_private_key(65537, 1024)),
        "ssh-dss " + "AAAA",
        "sk-ssh-ed25519@openssh.com AAAA",
        "\0",
    ],
    # Keys are made anew in each process of a run, which must agree on the names of tests.
    ids=range(12),
)
def test_what_is_no_acceptable_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"key|RSA"):
        ssh_key.read(text)


def test_weak_keys_have_a_reason() -> None:
    assert "too short" in ssh_key.weakness_of(rsa.generate_private_key(65537, 1024).public_key())
    assert "curve" in ssh_key.weakness_of(ec.generate_private_key(ec.SECP256K1()).public_key())
    assert "algorithm" in ssh_key.weakness_of(dsa.generate_private_key(2048).public_key())
    assert ssh_key.weakness_of(signing.key("ed25519").public_key()) == ""


@pytest.mark.parametrize("kind", signing.KINDS)
def test_a_signature_is_by_its_key_of_its_text_and_no_other(kind: str) -> None:
    private, other = signing.key(kind), signing.key(kind, 1)
    algorithm = signing.default_algorithm(private)
    digest = "" if kind == "ed25519" else "sha256"
    signature = signing.sign(private, b"text", algorithm)
    line = signing.public_line(private)
    assert ssh_key.signed_by(line, signature, b"text", digest)
    assert not ssh_key.signed_by(line, signature, b"texT", digest)
    assert not ssh_key.signed_by(line, b"", b"text", digest)
    assert not ssh_key.signed_by(signing.public_line(other), signature, b"text", digest)
    assert not ssh_key.signed_by(line, signature, b"text", "sha256" if kind == "ed25519" else "")


def test_fingerprints_are_those_of_ssh_keygen(tmp_path) -> None:
    file = tmp_path / "id.pub"
    private = signing.key("ecdsa")
    file.write_text(signing.public_line(private) + "\n")
    for digest, ours in (("md5", f"MD5:{signing.md5(private)}"), ("sha256", signing.sha256(private))):
        command = ["ssh-keygen", "-l", "-E", digest, "-f", file]
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        assert said.stdout.split()[1] == ours
