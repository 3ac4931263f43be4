"""deploy/sdc-docker-setup as a person runs it: every kind of key file, and every way in which it can fail."""

from __future__ import annotations

import datetime
import http.server
import json
import os
import shutil
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests import signing
from tests.e2e.cloudapi import Cloud
from tests.e2e.stack import Result, Stack
from tests.e2e.terminal import Terminal
from tests.machine import ROOT

HELPER = ROOT / "deploy" / "sdc-docker-setup"
PEM, OPENSSH = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH
PKCS1, PKCS8 = serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8


@cache
def pythons() -> list[str]:
    """That of the tests, and the machine's own with the distribution's older libraries where it has them."""
    tried = subprocess.run(["/usr/bin/python3", "-c", "import cryptography, bcrypt"], capture_output=True, check=False)
    return [sys.executable, *(["/usr/bin/python3"] if tried.returncode == 0 else [])]


every_python = pytest.mark.parametrize(
    "python", pythons(), ids=lambda path: "distribution" if path.startswith("/usr/bin") else "pinned"
)


def key_file(path: Path, private: Any, form: Any = OPENSSH, passphrase: str = "") -> Path:
    """A private key in a file, as ssh-keygen and openssl write it."""
    how = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    path.write_bytes(private.private_bytes(PEM, form, how))
    path.chmod(0o600)
    return path


class Person:
    """Somebody with a home directory who runs the helper."""

    def __init__(self, home: Path, stack: Stack, python: str = sys.executable) -> None:
        self.home, self._stack, self._python = home, stack, python
        self.url = f"https://{stack.cloudapi}"

    def env(self, **more: str) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **more}

    def command(self, *words: str | Path) -> list[str]:
        return [self._python, str(HELPER), *map(str, words)]

    def __call__(self, *words: str | Path, **env: str) -> Result:
        done = subprocess.run(
            self.command(*words),
            env=self.env(**env),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
            # Without a terminal, whatever the tests were started in.
            start_new_session=True,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def folder(self, profile: str) -> Path:
        return self.home / ".sdc" / "docker" / profile

    def docker(self, profile: str, *words: str, cli: str | None = None) -> Result:
        """`docker words...` in a shell that has sourced env.sh."""
        script = f'. {self.folder(profile)}/env.sh && exec "$@"'
        done = subprocess.run(
            ["sh", "-c", script, "sh", *self._stack.command(*words, cli=cli)],
            env=self.env(DOCKER_CONFIG=str(self.home / "config")),
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def person(tmp_path: Path, stack: Stack) -> Person:
    home = tmp_path / "home"
    home.mkdir()
    return Person(home, stack)


def works(person: Person, profile: str, cli: str | None = None) -> None:
    shown = person.docker(profile, "info", cli=cli)
    assert shown.code == 0, shown.said
    assert "SDCAccount: alice" in shown.text


# --- it works --------------------------------------------------------------------------------------------------------


FORMS = {"rsa": [PKCS1, PKCS8, OPENSSH], "ecdsa": [PKCS1, PKCS8, OPENSSH], "ed25519": [PKCS8, OPENSSH]}


@every_python
@pytest.mark.parametrize("kind", FORMS)
def test_every_kind_of_key_in_every_format(
    stack: Stack, person: Person, tmp_path: Path, python: str, kind: str
) -> None:
    person = Person(person.home, stack, python)
    private = signing.key(kind)
    with Cloud(stack, "alice").registered(private):
        for number, form in enumerate(FORMS[kind]):
            file = key_file(tmp_path / "id", private, form)
            done = person("-k", "-p", f"p{number}", person.url, "alice", file)
            assert done.code == 0, done.said
            key = serialization.load_pem_private_key((person.folder(f"p{number}") / "key.pem").read_bytes(), None)
            assert signing.public_line(key) == signing.public_line(private)
        works(person, "p0")
        # Debian's own CLI.
        works(person, "p0", cli="20")
        works(person, "p1")


def test_what_is_written_and_printed(stack: Stack, person: Person) -> None:
    id_file = stack.certificates("alice") / "id"
    # With the CA that one trusts, nothing has to be left unverified; and without https:// it is that all the same.
    done = person(stack.cloudapi, "alice", id_file, SSL_CERT_FILE=stack.about["ca_file"])
    assert done.code == 0, done.said
    folder = person.folder("alice")
    for part in (folder, folder.parent, folder.parent.parent):
        assert stat.S_IMODE(part.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"key.pem": 0o600, "cert.pem": 0o644, "ca.pem": 0o644, "env.sh": 0o644}
    assert (folder / "ca.pem").read_bytes() == Path(stack.about["ca_file"]).read_bytes()
    certificate = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
    assert [name.value for name in certificate.subject] == ["alice"]
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    lifetime = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert lifetime > datetime.timedelta(days=3650)
    lines = (folder / "env.sh").read_text().splitlines()
    assert f"export DOCKER_HOST=tcp://{stack.address}:{stack.port}" in lines
    assert f"export DOCKER_CERT_PATH={folder}" in lines
    assert "export DOCKER_TLS_VERIFY=1" in lines
    for line in lines:
        assert line in done.text
    for words in ("CloudAPI access verified.", "Success.", "SDCAccount: alice", "docker info"):
        assert words in done.text
    assert "not verified" not in done.text
    works(person, "alice")
    # Again, over what is there.
    assert person("-k", person.url, "alice", id_file).code == 0
    works(person, "alice")


def test_coal_is_the_data_center_of_this_machine(stack: Stack, person: Person) -> None:
    done = person("coal", "alice", stack.certificates("alice") / "id", SDC_QUICKSTART_HOME=str(stack.home))
    assert done.code == 0, done.said
    works(person, "alice")
    nothing = person("coal", "alice", stack.certificates("alice") / "id", SDC_QUICKSTART_HOME=str(person.home))
    assert nothing.code == 1 and "no data center is set up" in nothing.said


@pytest.mark.parametrize(
    ("kind", "form", "which"), [("ecdsa", OPENSSH, 0), ("rsa", PKCS8, 0), ("ed25519", OPENSSH, -1), ("rsa", PKCS1, -1)]
)
def test_a_passphrase_is_asked_for_once(
    stack: Stack, person: Person, tmp_path: Path, kind: str, form: Any, which: int
) -> None:
    person = Person(person.home, stack, pythons()[which])
    private = signing.key(kind)
    file = key_file(tmp_path / "id", private, form, "open sesame")
    command = person.command("-k", person.url, "alice", file)
    with Cloud(stack, "alice").registered(private):
        terminal = Terminal(command, person.env())
        try:
            terminal.expect(b"Passphrase of [^:]*id: ")
            terminal.type(b"open sesame\r")
            assert terminal.wait() == 0, terminal.screen
        finally:
            terminal.close()
        assert terminal.screen.count(b"Passphrase") == 1
        assert b"open sesame" not in terminal.screen
        assert b"without its passphrase" in terminal.screen
        works(person, "alice")


# --- it does not, and says why ---------------------------------------------------------------------------------------


def refused(done: Result, *words: str) -> None:
    assert done.code == 1, done.text
    assert done.said.startswith("sdc-docker-setup: "), done.said
    assert "Traceback" not in done.said
    for word in words:
        assert word in done.said, done.said


def test_a_wrong_passphrase_or_no_terminal(stack: Stack, person: Person, tmp_path: Path) -> None:
    file = key_file(tmp_path / "id", signing.key("ecdsa"), OPENSSH, "open sesame")
    refused(person("-k", person.url, "alice", file), "has a passphrase, and there is no terminal")
    terminal = Terminal(person.command("-k", person.url, "alice", file), person.env())
    try:
        terminal.expect(b"Passphrase")
        terminal.type(b"open barley\r")
        assert terminal.wait() == 1
    finally:
        terminal.close()
    assert b"not the passphrase of" in terminal.screen
    assert not person.folder("alice").exists()


def test_a_key_file_that_will_not_do(stack: Stack, person: Person, tmp_path: Path) -> None:
    def tried(file: Path) -> Result:
        return person("-k", person.url, "alice", file)

    refused(tried(tmp_path / "nothing"), "there is no file")
    refused(tried(tmp_path), "cannot read")
    open_to_all = key_file(tmp_path / "open", signing.key("ecdsa"))
    for mode in (0o644, 0o640, 0o604, 0o620):
        open_to_all.chmod(mode)
        refused(tried(open_to_all), "others can read or change", f"{mode:04o}", "chmod 600")
    public = tmp_path / "id.pub"
    public.write_text(signing.public_line(signing.key("ecdsa")))
    public.chmod(0o600)
    refused(tried(public), "is a public key")
    public.write_text("hello")
    refused(tried(public), "not a private key")
    public.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    refused(tried(public), "cannot be read")
    refused(tried(key_file(tmp_path / "short", rsa.generate_private_key(65537, 1024))), "1024 bits")
    assert not person.folder("alice").exists()


def test_an_account_or_a_key_that_is_not_known(stack: Stack, person: Person, tmp_path: Path) -> None:
    strange = key_file(tmp_path / "id", signing.key("ed25519", 9))
    fingerprint = signing.md5(signing.key("ed25519", 9))
    refused(
        person("-k", person.url, "alice", strange),
        "does not know the account 'alice' with this key",
        fingerprint,
        "sdc-docker key add alice",
    )
    refused(
        person("-k", person.url, "nobody", stack.certificates("alice") / "id"),
        "no such account",
        "sdc-docker account add nobody",
    )
    refused(person("-k", person.url, "bob", stack.certificates("alice") / "id"), "'bob' with this key")
    assert not (person.home / ".sdc").exists()


def test_a_disabled_account(stack: Stack, person: Person) -> None:
    assert stack.sdc_docker("account", "disable", "bob").code == 0
    try:
        refused(person("-k", person.url, "bob", stack.certificates("bob") / "id"), "does not let", "disabled")
    finally:
        assert stack.sdc_docker("account", "enable", "bob").code == 0


def test_no_cloudapi_there(stack: Stack, person: Person) -> None:
    mine = stack.certificates("alice") / "id"
    refused(person("-k", "https://127.0.0.1:1", "alice", mine), "does not answer", "refused")
    refused(person("-k", "https://cloudapi.invalid", "alice", mine), "no host cloudapi.invalid")
    refused(person("-k", f"https://{stack.address}:{stack.port}", "alice", mine), "not answer like a CloudAPI")
    refused(person(person.url, "alice", mine), "is not trusted", "SSL_CERT_FILE", "-k")
    for url in ("http://127.0.0.1:8080", "https://", "https://a:b", "ftp://x"):
        refused(person("-k", url, "alice", mine), "is not CloudAPI's URL")
    for words in (("-k",), ("-k", person.url), ("-k", person.url, "alice"), ("--nonsense",)):
        done = person(*words)
        assert done.code == 2 and "Usage: sdc-docker-setup" in done.said
    assert person("-h").code == 0
    refused(person("-k", person.url, "../x", mine), "cannot be an account")
    refused(person("-k", "-p", "../x", person.url, "alice", mine), "cannot be a profile")


@contextmanager
def stand_in(stack: Stack, answers: dict[str, tuple[int, Any]], date: str = "") -> Iterator[str]:
    """The URL of an HTTPS server that answers as told, in CloudAPI's place."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, {}))
            data = json.dumps(body).encode()
            self.send_response_only(status)
            self.send_header("Date", date or formatdate(usegmt=True))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(stack.home / "ca/server.pem", stack.home / "ca/server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


PONG = (200, {"ping": "pong"})


@pytest.mark.parametrize(("seconds", "words"), [(3600, "1 hour ahead of"), (-86400 * 2, "2 days behind")])
def test_a_wrong_clock(stack: Stack, person: Person, seconds: int, words: str) -> None:
    """The machine's clock is `seconds` off; here CloudAPI's is, which is the same."""
    date = formatdate(time.time() - seconds, usegmt=True)
    with stand_in(stack, {"/--ping": PONG}, date) as url:
        refused(person("-k", url, "alice", stack.certificates("alice") / "id"), f"clock of this machine is {words}")


@pytest.mark.parametrize(
    ("ping", "services", "words"),
    [
        ((503, {}), (200, {}), "in maintenance"),
        ((200, {}), (200, {}), "not answer like a CloudAPI"),
        (PONG, (200, {}), "names no Docker endpoint"),
        (PONG, (503, {}), "in maintenance"),
        (PONG, (400, {"code": "InvalidHeader", "message": "clock skew of 400s was greater than 300s"}), "clock"),
        (PONG, (403, {"code": "NotAuthorized", "message": "Forbidden (by invitation only)"}), "by invitation only"),
        (PONG, (500, {"code": "InternalError", "message": "oh"}), "CloudAPI refused: oh (status 500)"),
        (PONG, (200, {"docker": "tcp://127.0.0.1:1"}), "the Docker endpoint at https://127.0.0.1:1 does not answer"),
    ],
)
def test_a_cloudapi_that_says_no(stack: Stack, person: Person, ping: Any, services: Any, words: str) -> None:
    with stand_in(stack, {"/--ping": ping, "/alice/services": services}) as url:
        refused(person("-k", url, "alice", stack.certificates("alice") / "id"), words)
    assert not (person.home / ".sdc").exists()


def test_an_endpoint_that_knows_neither_account_nor_key(stack: Stack, person: Person, tmp_path: Path) -> None:
    answers = {"/--ping": PONG, "/alice/services": (200, {"docker": f"tcp://{stack.address}:{stack.port}"})}
    with stand_in(stack, answers) as url:
        done = person("-k", url, "alice", key_file(tmp_path / "id", signing.key("ecdsa", 9)))
    refused(done, "refuses the certificate")


def test_without_the_package_it_says_what_to_install(person: Person) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-I", str(HELPER), "-h"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "python3-cryptography" in done.stderr
    assert shutil.which("env") and os.access(HELPER, os.X_OK)
