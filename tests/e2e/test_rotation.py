"""Certificates, CAs and code change under open streams, and nobody notices."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.clients import Docker, read_until
from tests.e2e.load import Load
from tests.e2e.stack import Stack
from tests.machine import ROOT, folder, wait_until


class Pair:
    """A key and its certificate."""

    def __init__(self, certificate: x509.Certificate, key: Any) -> None:
        self.certificate = certificate
        self.key = key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        form = serialization.PrivateFormat.TraditionalOpenSSL
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())

    def save(self, at: Path) -> tuple[Path, Path]:
        at.mkdir(exist_ok=True)
        (at / "cert.pem").write_bytes(self.pem)
        (at / "key.pem").write_bytes(self.key_pem)
        return at / "cert.pem", at / "key.pem"


def make(name: str, signer: Pair | None, *, like: x509.Certificate | None = None) -> Pair:
    """A CA without `signer`; with `like` a certificate with that one's names."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.certificate.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3652))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if like is not None:
        names = like.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        builder = builder.add_extension(names.value, critical=False)
    return Pair(builder.sign(signer.key if signer else key, hashes.SHA256()), key)


class Front:
    """The stack's certificate files; as they were in the end."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.ca_folder = stack.home / "ca"
        key = serialization.load_pem_private_key((self.ca_folder / "ca.key").read_bytes(), None)
        self.ca = Pair(x509.load_pem_x509_certificate((self.ca_folder / "ca.pem").read_bytes()), key)
        self.server = x509.load_pem_x509_certificate((self.ca_folder / "server.pem").read_bytes())

    def put(self, name: str, content: bytes) -> None:
        new = self.ca_folder / f"{name}.new"
        new.touch(mode=0o600)
        new.write_bytes(content)
        new.chmod((self.ca_folder / name).stat().st_mode & 0o777)
        new.replace(self.ca_folder / name)

    def put_server(self, pair: Pair) -> None:
        self.put("server.key", pair.key_pem)
        self.put("server.pem", pair.pem)

    def reload(self) -> None:
        """nginx reads its files anew; returns once connections are taken by new workers alone."""
        master = self._stack.pid("nginx")
        old = _at_work(master)
        assert old
        os.kill(master, signal.SIGHUP)
        # Each takes connections for itself: the last old one stops a moment after the first new one begins.
        wait_until(lambda: not old & _at_work(master), "the new workers")

    def shown(self) -> int:
        pem = ssl.get_server_certificate((self._stack.address, self._stack.port))
        return x509.load_pem_x509_certificate(pem.encode()).serial_number


def _at_work(master: int) -> set[int]:
    """The pids of the workers that take connections; one that stops says so before it closes its sockets."""
    found = set()
    for pid in map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split()):
        with contextlib.suppress(OSError):
            title = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"worker process" in title and b"shutting down" not in title:
                found.add(pid)
    return found


@pytest.fixture
def front(stack: Stack) -> Iterator[Front]:
    found = Front(stack)
    before = {name: (found.ca_folder / name).read_bytes() for name in ("ca.pem", "server.pem", "server.key")}
    yield found
    for name, content in before.items():
        found.put(name, content)
    found.reload()


@contextlib.contextmanager
def open_streams(stack: Stack, account: str) -> Iterator[Callable[[bytes], None]]:
    """An `exec -i cat` and a `logs -f`. Called with a word, both must carry it; at the end all of it must be there."""
    docker = Docker(stack, account)
    told: list[bytes] = []
    counter = "i=0; while sleep 0.2; do i=$((i+1)); echo line $i; done"
    container = docker.container("run", "-d", "--name", "streams", "busybox", "sh", "-c", counter)
    with (
        docker.background("exec", "-i", container, "cat", bufsize=0) as cat,
        docker.background("logs", "-f", container, bufsize=0) as logs,
    ):
        lines = bytearray(read_until(logs, b"line 1\n"))

        def carry(word: bytes) -> None:
            told.append(word + b"\n")
            cat.stdin.write(told[-1])
            assert read_until(cat, b"\n") == told[-1]
            lines.extend(read_until(logs, b"\n"))

        carry(b"before")
        yield carry
        carry(b"at the end")
        cat.stdin.close()
        assert cat.wait(60) == 0
        # Not by the CLI, which has the account's copy of the CA.
        assert docker.call("DELETE", f"/containers/{container}?force=1").status == 204
        lines.extend(logs.stdout.read())
        numbers = [int(number) for number in re.findall(rb"line (\d+)\n", bytes(lines))]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 3


def test_a_new_server_certificate_cuts_no_stream(stack: Stack, alice: str, front: Front) -> None:
    with open_streams(stack, alice) as carry:
        new = make("my.triton", front.ca, like=front.server)
        front.put_server(new)
        carry(b"files changed")
        front.reload()
        assert front.shown() == new.certificate.serial_number != front.server.serial_number
        carry(b"after the reload")
        assert stack.docker(alice, "version").code == 0


def test_a_new_ca_is_trusted_beside_the_old_one_until_that_is_removed(stack: Stack, alice: str, front: Front) -> None:
    new_ca = make("the next CA", None)
    with folder("ca") as home, open_streams(stack, alice) as carry:
        of_old = make("alice", front.ca).save(home / "old")
        of_new = make("alice", new_ca).save(home / "new")

        def status(certificate: tuple[Path, Path]) -> int:
            return stack.request(None, "GET", "/v1.44/info", certificate=certificate).status

        assert (status(of_old), status(of_new)) == (200, 401)
        # Both are trusted: clients of either, and /ca.pem gives both to those who come now.
        front.put("ca.pem", new_ca.pem + front.ca.pem)
        front.reload()
        assert (status(of_old), status(of_new)) == (200, 200)
        carry(b"two CAs")
        given = stack.request(None, "GET", "/ca.pem").body
        assert x509.load_pem_x509_certificates(given) == [new_ca.certificate, front.ca.certificate]
        # Then the server's certificate: who trusts both sees no difference, and the old CA's clients are still let in.
        front.put_server(make("my.triton", new_ca, like=front.server))
        front.reload()
        assert (status(of_old), status(of_new)) == (200, 200)
        # A client that was not told of the new CA says so at the handshake.
        said = stack.docker(alice, "version", check=False)
        assert said.code != 0 and "certificate signed by unknown authority" in said.said
        # In the end the old one is removed.
        front.put("ca.pem", new_ca.pem)
        front.reload()
        assert (status(of_old), status(of_new)) == (401, 200)
        carry(b"one CA")


def small_requests(stack: Stack, account: str) -> Load:
    """Of an account; some of them change something."""

    def ask(load: Load, expected: int, method: str, path: str, body: Any = None) -> Any:
        answer = stack.request(account, method, f"/v1.44{path}", body)
        load.count(answer.status, expected, method, path, answer.body)
        return answer

    def read(load: Load) -> None:
        for path in ("/containers/json?all=1", "/images/json", "/info"):
            ask(load, 200, "GET", path)

    def change(load: Load) -> None:
        made = ask(load, 201, "POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"]}).json()["Id"]
        ask(load, 200, "GET", f"/containers/{made}/json")
        ask(load, 204, "DELETE", f"/containers/{made}?force=1")

    return Load(read, change)


NEXT = '''"""What a next release would add: additive, so that the code of before runs on it."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "HEAD"


def upgrade() -> None:
    op.add_column("containers", sa.Column("next_release", sa.Text))
    op.create_index("ix_containers_next_release", "containers", ["next_release"])


def downgrade() -> None:
    op.drop_column("containers", "next_release")
'''


@contextlib.contextmanager
def next_release(stack: Stack) -> Iterator[Callable[[], None]]:
    """A schema one revision ahead of this one; what is yielded migrates to it, and it is undone in the end."""
    (head,) = stack.psql("SELECT version_num FROM alembic_version")[0]
    url = f"postgresql+psycopg2://sdc@/sdc?host={stack.home / 'postgres' / 'run'}"

    def alembic(*words: str) -> None:
        run = "import sys; from alembic import command; from alembic.config import Config; c = Config();"
        run += f" c.set_main_option('script_location', {str(scripts)!r}); getattr(command, sys.argv[1])(c, sys.argv[2])"
        env = os.environ | {"SDC_DATABASE_URL": url}
        done = subprocess.run(
            [sys.executable, "-c", run, *words],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    with folder("next") as home:
        scripts = home / "migrations"
        shutil.copytree(ROOT / "migrations", scripts)
        (scripts / "versions" / "9999_next.py").write_text(NEXT.replace("HEAD", head))
        try:
            yield lambda: alembic("upgrade", "head")
        finally:
            alembic("downgrade", head)


def test_an_upgrade_while_serving_fails_no_request_and_cuts_no_stream(stack: Stack, alice: str, bob: str) -> None:
    gunicorn, observer = stack.pid("gunicorn"), stack.pid("observer")
    with next_release(stack) as migrate, open_streams(stack, alice) as carry, small_requests(stack, bob) as load:
        wait_until(lambda: load.answered > 20 or load.failed, "a load")
        migrate()
        carry(b"migrated")
        old = set(Path(f"/proc/{gunicorn}/task/{gunicorn}/children").read_text().split())
        os.kill(gunicorn, signal.SIGHUP)

        def renewed() -> bool:
            now = set(Path(f"/proc/{gunicorn}/task/{gunicorn}/children").read_text().split())
            return len(now - old) >= len(old)

        wait_until(renewed, "new workers")
        carry(b"new code")
        os.kill(observer, signal.SIGTERM)
        wait_until(lambda: stack.pid("observer") not in (0, observer), "another observer")
        seen = load.answered
        wait_until(lambda: load.answered > seen + 40 or load.failed, "more of the load")
        carry(b"new observer")
    assert not load.failed, load.failed[:5]
    assert stack.pid("gunicorn") == gunicorn
