"""Who is on the other end: certificates, keys, disabled accounts, and the one answer that all refused ones get."""

from __future__ import annotations

import datetime
import http.client
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.e2e.behind import ask, message
from tests.e2e.stack import Response, Stack
from tests.machine import wait_until

KEYS: dict[str, Callable[[], Any]] = {
    "rsa 2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa 3072": lambda: rsa.generate_private_key(65537, 3072),
    "ecdsa 256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ecdsa 384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ecdsa 521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}

Pair = tuple[Path, Path]


def name(*common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, word) for word in common])


def certify(
    folder: Path, key: Any, subject: x509.Name, *, issuer: x509.Name | None = None, signer: Any = None
) -> tuple[Path, Path]:
    """(certificate, key) files: self-signed, or by `signer` in the name of `issuer`."""
    now = datetime.datetime.now(datetime.UTC)
    signer = signer or key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    hashing = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    folder.mkdir(exist_ok=True)
    cert, pem = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(builder.sign(signer, hashing).public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    pem.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return cert, pem


@pytest.fixture
def register(stack: Stack, tmp_path: Path) -> Iterator[Callable[[str, Any], str]]:
    """Registers a key for an account and gives its fingerprint; all are removed in the end."""
    added: list[tuple[str, str]] = []

    def register(account: str, key: Any) -> str:
        file = tmp_path / "new.pub"
        ssh = serialization.PublicFormat.OpenSSH
        file.write_bytes(key.public_key().public_bytes(serialization.Encoding.OpenSSH, ssh) + b" test\n")
        done = stack.sdc_docker("key", "add", account, str(file))
        assert done.code == 0, done.said
        added.append((account, done.text.strip()))
        return done.text.strip()

    yield register
    for account, fingerprint in added:
        stack.sdc_docker("key", "remove", account, fingerprint)


def with_pair(stack: Stack, pair: Pair, *words: str, **how: Any) -> Any:
    """The docker command with this certificate."""
    options = ("--tlscert", str(pair[0]), "--tlskey", str(pair[1]))
    return stack.docker("alice", *options, *words, **how)


# --- refused ---------------------------------------------------------------------------------------------------------


def essence(response: Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All that a client can tell two answers apart by."""
    headers = [(k, v) for k, v in response.headers.items() if k.lower() not in ("date", "x-request-id")]
    return response.status, response.body, headers


@pytest.fixture(scope="module")
def unauthorized(stack: Stack) -> tuple[int, bytes, list[tuple[str, str]]]:
    answer = essence(ask(stack, None, "GET", "/v1.41/containers/json"))
    assert answer[:2] == (401, b'{"message":"Unauthorized"}\n')
    return answer


def test_nobody_without_a_certificate(stack: Stack, unauthorized: tuple) -> None:
    for method, path in (("GET", "/info"), ("POST", "/containers/create"), ("GET", "/nosuch"), ("DELETE", "/x")):
        assert essence(ask(stack, None, method, path)) == unauthorized
    old = ask(stack, None, "GET", "/v1.20/info")
    assert (old.status, old.body) == (401, b"Unauthorized\n")


def test_an_unknown_key(stack: Stack, tmp_path: Path, unauthorized: tuple) -> None:
    for kind in ("rsa 2048", "ecdsa 256", "ed25519"):
        pair = certify(tmp_path / "pair", KEYS[kind](), name("alice"))
        assert essence(stack.request(None, "GET", "/v1.41/containers/json", certificate=pair)) == unauthorized


def test_wrong_names(stack: Stack, tmp_path: Path, register: Callable, unauthorized: tuple) -> None:
    """A registered key names its own account, whole and alone."""
    key = KEYS["ecdsa 256"]()
    register("alice", key)
    good = certify(tmp_path / "good", key, name("alice"))
    assert stack.request(None, "GET", "/v1.41/containers/json", certificate=good).status == 200
    subjects = [
        name("bob"), name("Alice"), name("alice "), name("alice\x00bob"), name("nobody"), name("alice", "bob"),
        name("bob", "alice"), name("*"), x509.Name([]),
        x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "alice")]),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x/CN=alice")]),
    ]  # fmt: skip
    for number, subject in enumerate(subjects):
        pair = certify(tmp_path / f"pair{number}", key, subject)
        answer = stack.request(None, "GET", "/v1.41/containers/json", certificate=pair)
        assert essence(answer) == unauthorized, subject


def test_who_signs_does_not_matter_unless_it_is_the_data_center(
    stack: Stack, tmp_path: Path, unauthorized: tuple
) -> None:
    """One that another account's key signed is as good as none. nginx itself drops one that only claims to be ours."""
    ca = x509.load_pem_x509_certificate((stack.certificates("alice") / "ca.pem").read_bytes())
    key = KEYS["ecdsa 256"]()
    claimed = certify(tmp_path / "claimed", key, name("alice"), issuer=ca.subject)
    bobs = serialization.load_pem_private_key((stack.certificates("bob") / "key.pem").read_bytes(), None)
    by_bob = certify(tmp_path / "by-bob", key, name("alice"), issuer=name("bob"), signer=bobs)
    assert essence(stack.request(None, "GET", "/v1.41/containers/json", certificate=by_bob)) == unauthorized
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError, ssl.SSLError)):
        stack.request(None, "GET", "/v1.41/containers/json", certificate=claimed)


def test_a_stolen_certificate_is_nothing_without_its_key(stack: Stack, tmp_path: Path) -> None:
    stolen = tmp_path / "cert.pem"
    stolen.write_bytes((stack.certificates("alice") / "cert.pem").read_bytes())
    _, own = certify(tmp_path / "own", KEYS["ecdsa 256"](), name("alice"))
    with pytest.raises(ssl.SSLError):
        stack.request(None, "GET", "/info", certificate=(stolen, own))


def test_headers_are_not_believed(stack: Stack, unauthorized: tuple) -> None:
    pem = (stack.certificates("alice") / "cert.pem").read_text().replace("\n", "\t")
    for header in ("X-SSL-Client-Cert", "SSL-Client-Cert", "X-Forwarded-Client-Cert", "X-Client-CN", "X-Remote-User"):
        answer = stack.request(None, "GET", "/v1.41/containers/json", headers={header: pem, "X-Account": "alice"})
        assert essence(answer) == unauthorized


def test_a_disabled_account(stack: Stack, bob: str, unauthorized: tuple) -> None:
    assert stack.sdc_docker("account", "disable", bob).code == 0
    try:
        assert essence(stack.request(bob, "GET", "/v1.41/containers/json")) == unauthorized
        done = stack.docker(bob, "ps", check=False)
        assert done.code == 1 and "Unauthorized" in done.said
        assert stack.request(bob, "GET", "/_ping").status == 200
    finally:
        assert stack.sdc_docker("account", "enable", bob).code == 0
    stack.docker(bob, "ps")


def test_a_removed_key(stack: Stack, tmp_path: Path, register: Callable, unauthorized: tuple) -> None:
    """At once, on the connection that is open too."""
    key = KEYS["ecdsa 256"]()
    fingerprint = register("alice", key)
    pair = certify(tmp_path / "pair", key, name("alice"))
    connection = http.client.HTTPConnection(stack.address, stack.port, timeout=60)
    connection.sock = stack.connect(None, certificate=pair)
    try:
        statuses = []
        for step in range(2):
            connection.request("GET", "/v1.41/containers/json")
            response = connection.getresponse()
            statuses.append((response.status, response.read()))
            if step == 0:
                assert stack.sdc_docker("key", "remove", "alice", fingerprint).code == 0
    finally:
        connection.close()
    assert [status for status, _ in statuses] == [200, 401]
    assert statuses[1][1] == unauthorized[1]


def test_the_logs_say_why(stack: Stack, tmp_path: Path) -> None:
    log = stack.home / "log" / "gunicorn.log"
    size = log.stat().st_size
    pair = certify(tmp_path / "pair", KEYS["ecdsa 256"](), name("alice"))
    stack.request(None, "GET", "/info", certificate=pair)
    stack.request(None, "GET", "/info")

    def reasons() -> bool:
        told = log.read_text()[size:]
        return "no account 'alice' with key SHA256:" in told and "no client certificate" in told

    wait_until(reasons, "the reasons in the log")


# --- accepted --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KEYS)
def test_kinds_of_keys(stack: Stack, tmp_path: Path, register: Callable, cli: str, kind: str) -> None:
    key = KEYS[kind]()
    register("alice", key)
    pair = certify(tmp_path / "pair", key, name("alice"))
    assert "SDCAccount: alice" in with_pair(stack, pair, "info", cli=cli).text
    ran = with_pair(stack, pair, "run", "-i", "--rm", "busybox", "cat", input=b"hi\n", cli=cli)
    assert ran.text == "hi\n"


def test_a_key_that_a_registered_key_vouches_for(stack: Stack, tmp_path: Path, register: Callable) -> None:
    """As the `triton` command makes them: a fresh key, signed by the account's SSH key. It ends with that key."""
    key, fresh = KEYS["ecdsa 256"](), KEYS["rsa 2048"]()
    fingerprint = register("alice", key)
    pair = certify(tmp_path / "pair", fresh, name("alice"), issuer=name("alice-key"), signer=key)
    assert with_pair(stack, pair, "ps", "-q").text == ""
    other = certify(tmp_path / "other", fresh, name("bob"), issuer=name("alice-key"), signer=key)
    assert stack.request(None, "GET", "/info", certificate=other).status == 401, "alice's key vouches for no bob"
    assert stack.sdc_docker("key", "remove", "alice", fingerprint).code == 0
    assert stack.request(None, "GET", "/info", certificate=pair).status == 401


def test_a_short_rsa_key_is_refused(stack: Stack, tmp_path: Path, register: Callable) -> None:
    key = rsa.generate_private_key(65537, 1024)
    file = tmp_path / "short.pub"
    ssh = serialization.PublicFormat.OpenSSH
    file.write_bytes(key.public_key().public_bytes(serialization.Encoding.OpenSSH, ssh) + b"\n")
    stack.sdc_docker("key", "add", "alice", str(file))
    pair = certify(tmp_path / "pair", key, name("alice"))
    for cli in ("20", "28"):
        done = with_pair(stack, pair, "ps", cli=cli, check=False)
        assert done.code == 1 and done.text == "", done


@pytest.mark.parametrize("revoked", [False, True])
def test_a_certificate_of_the_data_center(stack: Stack, tmp_path: Path, unauthorized: tuple, revoked: bool) -> None:
    """Its key needs not be registered; its serial may be revoked."""
    ca_key = next(path for path in (stack.home / "ca").iterdir() if "PRIVATE KEY" in path.read_text())
    signer = serialization.load_pem_private_key(ca_key.read_bytes(), None)
    ca = x509.load_pem_x509_certificate((stack.certificates("alice") / "ca.pem").read_bytes())
    if signer.public_key() != ca.public_key():  # The server's own key stands there too.
        keys = [path for path in (stack.home / "ca").iterdir() if "PRIVATE KEY" in path.read_text()]
        loaded = [serialization.load_pem_private_key(path.read_bytes(), None) for path in keys]
        signer = next(key for key in loaded if key.public_key() == ca.public_key())
    pair = certify(tmp_path / "pair", KEYS["ecdsa 256"](), name("bob"), issuer=ca.subject, signer=signer)
    serial = f"{x509.load_pem_x509_certificate(pair[0].read_bytes()).serial_number:x}"
    if revoked:
        stack.psql("INSERT INTO revoked_certificates (serial) VALUES (%s)", [serial])
    try:
        answer = stack.request(None, "GET", "/v1.41/containers/json", certificate=pair)
        assert (essence(answer) == unauthorized) if revoked else (answer.status == 200)
    finally:
        stack.psql("DELETE FROM revoked_certificates WHERE serial = %s", [serial])


# --- open streams ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["key removed", "account disabled"])
def test_open_streams_are_cut(stack: Stack, tmp_path: Path, register: Callable, bob: str, how: str) -> None:
    stack.docker(bob, "run", "-d", "--name", "box", "busybox", "sh", "-c", "echo begun; sleep 600")
    key = KEYS["ecdsa 256"]()
    fingerprint = register(bob, key)
    pair = certify(tmp_path / "pair", key, name(bob))
    options = ("--tlscert", str(pair[0]), "--tlskey", str(pair[1]))
    streams = [
        stack.spawn(bob, *options, *words)
        for words in (("logs", "-f", "box"), ("exec", "-i", "box", "sh", "-c", "echo begun; cat"), ("wait", "box"))
    ]
    other = stack.spawn(bob, "logs", "-f", "box")
    try:
        for stream in (streams[0], streams[1], other):
            assert stream.stdout.readline() == b"begun\n"
        if how == "key removed":
            assert stack.sdc_docker("key", "remove", bob, fingerprint).code == 0
        else:
            assert stack.sdc_docker("account", "disable", bob).code == 0
        for stream in streams:
            stream.wait(60)
        if how == "key removed":
            assert other.poll() is None, "the account's other key goes on"
        else:
            other.wait(60)
    finally:
        stack.sdc_docker("account", "enable", bob)
        for stream in (*streams, other):
            stream.kill()
            stream.communicate(timeout=10)
    assert stack.docker(bob, "ps", "--format", "{{.Names}}").text == "box\n", "the containers go on"
    assert message(ask(stack, None, "GET", "/info")) == "Unauthorized"
