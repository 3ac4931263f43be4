"""What tests start on the machine: a private PostgreSQL cluster, a private Docker Engine, free ports. All are ended."""

from __future__ import annotations

import contextlib
import errno
import functools
import http.client
import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2

ROOT = Path(__file__).resolve().parents[1]


def wait_until(answers: Callable[[], Any], what: str, *, timeout: float = 60, log: Path | None = None) -> None:
    """Poll until `answers()` is true. Raises AssertionError with the log's end after `timeout` seconds."""
    until = time.monotonic() + timeout
    while not answers():
        if time.monotonic() > until:
            end = log.read_text(errors="replace")[-3000:] if log and log.exists() else ""
            raise AssertionError(f"{what}: not after {timeout} s\n{end}")
        time.sleep(0.05)


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def folder(name: str) -> Iterator[Path]:
    """A short path that other users may walk through: sockets have at most 107 characters, PostgreSQL is not root."""
    path = Path(tempfile.mkdtemp(prefix=f"sdc-{name}-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def stop(process: subprocess.Popen, sig: int = signal.SIGTERM, patience: float = 20) -> None:
    process.send_signal(sig)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


# --- PostgreSQL ----------------------------------------------------------------------------------------------------


class Postgres:
    """A cluster with one template database, made by `alembic upgrade head`, from which tests get their own."""

    TEMPLATE = "sdc_template"

    def __init__(self, home: Path) -> None:
        self._home = home
        self._cloned = 0

    def url(self, database: str) -> str:
        return f"postgresql+psycopg2://postgres@/{database}?host={self._home}"

    def sql(self, statement: str, database: str = "postgres") -> list[tuple]:
        with contextlib.closing(psycopg2.connect(host=str(self._home), user="postgres", dbname=database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def migrate(self, database: str, revision: str = "head") -> None:
        env = os.environ | {"SDC_DATABASE_URL": self.url(database)}
        command = [sys.executable, "-m", "alembic", "upgrade", revision]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=110, check=False)
        assert done.returncode == 0, done.stderr

    @contextlib.contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """URL of a fresh copy of `template`, gone afterwards."""
        self._cloned += 1
        name = f"test_{self._cloned}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.sql(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Starts a private cluster on a Unix socket, with what makes it slow and safe turned off."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with folder("pg") as home:
        if as_postgres:
            user = pwd.getpwnam("postgres")
            os.chown(home, user.pw_uid, user.pw_gid)
        data, log = home / "data", home / "log"
        initdb: list[str | Path] = [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "--auth=trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]
        done = subprocess.run(
            [*as_postgres, *initdb, "--no-sync"], cwd="/", capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        settings = {"listen_addresses": "", "unix_socket_directories": str(home), "fsync": "off"}
        settings |= {"synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*as_postgres, programs / "postgres", "-D", data, *options], cwd="/", stdout=output, stderr=output
            )
        try:
            cluster = Postgres(home)
            ready: list[str | Path] = [programs / "pg_isready", "-q", "-h", home]
            wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL", log=log)
            cluster.sql(f"CREATE DATABASE {Postgres.TEMPLATE}")
            cluster.migrate(Postgres.TEMPLATE)
            yield cluster
        finally:
            # runuser passes SIGTERM on; the sessions of tests are over, so that "smart" is quick enough.
            with contextlib.suppress(Exception):
                cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            stop(process)


# --- Docker Engine -------------------------------------------------------------------------------------------------


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path | str, timeout: float = 30) -> None:
        super().__init__("engine", timeout=timeout)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """A real engine's own API, to look behind the service."""

    def __init__(self, path: Path | str) -> None:
        self.socket = Path(path)

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def call(self, method: str, path: str, body: Any = None, *, timeout: float = 30) -> tuple[int, Any]:
        """Status and answer: JSON as objects, anything else as bytes."""
        connection = UnixConnection(self.socket, timeout)
        try:
            data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
            connection.request(method, path, body=data, headers={"Content-Type": kind} if data is not None else {})
            response = connection.getresponse()
            raw = response.read()
            is_json = (response.headers.get("Content-Type") or "").startswith("application/json")
            try:
                return response.status, json.loads(raw) if raw and is_json else raw
            except ValueError:  # A stream of several objects.
                return response.status, raw
        finally:
            connection.close()

    def answers(self) -> bool:
        try:
            return self.call("GET", "/_ping", timeout=5)[0] == 200
        except OSError:
            return False

    def containers(self, label: str = "") -> list[dict]:
        """All of them, those with `label` (name or name=value) if given."""
        filters = json.dumps({"label": [label]} if label else {})
        status, found = self.call("GET", f"/containers/json?all=1&filters={urllib.parse.quote(filters)}")
        assert status == 200, found
        return found


@contextlib.contextmanager
def private_engine(*options: str) -> Iterator[Engine]:
    """A real dockerd in a network and a mount namespace of its own, without a way out; no image is in it."""
    script = 'mount -t tmpfs -o mode=755 tmpfs /run && ip link set lo up && exec dockerd "$@"'
    with folder("dockerd") as home:
        own: list[str | Path] = ["--data-root", home / "data", "--exec-root", home / "exec", "--pidfile", home / "pid"]
        own += ["-H", f"unix://{home}/docker.sock", "--config-file", home / "daemon.json", "--bip", "10.198.252.1/22"]
        own += ["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/{home.name}", *options]
        (home / "daemon.json").write_text("{}")
        log = home / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["unshare", "--net", "--mount", "sh", "-c", script, "dockerd", *own], stdout=output, stderr=output
            )
        engine = Engine(home / "docker.sock")
        try:
            wait_until(lambda: process.poll() is not None or engine.answers(), "Docker Engine", log=log)
            assert process.poll() is None, log.read_text(errors="replace")[-3000:]
            yield engine
        finally:
            if process.poll() is None:
                with contextlib.suppress(Exception):
                    for container in engine.containers():
                        engine.call("DELETE", f"/containers/{container['Id']}?force=1&v=1")
                stop(process)
            remove_control_groups(home.name)


def remove_control_groups(name: str) -> None:
    """Those that an engine made with this name as the parent of its containers."""
    for group in [*Path("/sys/fs/cgroup").glob(f"*/{name}"), Path("/sys/fs/cgroup") / name]:
        for path, _, _ in os.walk(group, topdown=False):
            # What ran in it may take a moment to go.
            wait_until(functools.partial(_remove_folder, path), f"the end of {path}")


def _remove_folder(path: str) -> bool:
    """False where it is in use."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def busybox_archive() -> bytes:
    """The image that the quickstart gives to every account, for `docker load`."""
    place = ROOT / "deploy" / "quickstart.d" / "busybox.py"
    spec = importlib.util.spec_from_file_location("quickstart_busybox", place)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.archive(Path(os.environ.get("SDC_TEST_BUSYBOX", "/bin/busybox")))
