"""The whole product on this machine, as `deploy/quickstart` sets it up, and the ways in which a test uses it.

docker(...)          the real CLI, 28 or 20, as an account
request(...)         one HTTPS request with an account's certificate (or none)
connect(...)         the TLS connection itself, for what http.client does not do
engine, psql(...)    behind the service: the engine's own API, the database
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import ipaddress
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tarfile
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.machine import ROOT, Engine, busybox_archive, folder, free_port, stop, wait_until

QUICKSTART = ROOT / "deploy" / "quickstart"

ADDRESS = "127.0.0.1"


@cache
def clis() -> dict[str, str]:
    """Major version -> path of each docker CLI of the machine; Debian's own is 20."""
    places = dict.fromkeys(["/usr/bin", "/usr/local/bin", *os.environ["PATH"].split(os.pathsep)])
    found: dict[str, str] = {}
    for path in [Path(place) / "docker" for place in places]:
        if not os.access(path, os.X_OK):
            continue
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
        version = re.search(r"version (\d+)\.", said)
        if version:
            found.setdefault(version[1], str(path))
    return found


@dataclass(frozen=True)
class Result:
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")

    @property
    def said(self) -> str:
        """What it said on stderr."""
        return self.stderr.decode(errors="replace")


@dataclass(frozen=True)
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def quickstart(*words: str, env: Mapping[str, str] | None = None, timeout: float = 300) -> Result:
    """Run deploy/quickstart; its end is not judged here."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SDC_", "DOCKER_"))}
    process = subprocess.Popen(
        [QUICKSTART, *words],
        env=environment | dict(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException:
        # It works in a session of its own, so that Ctrl-C here reaches it once and in order.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=20)
        process.kill()
        raise
    return Result(process.returncode, out, err)


class Stack:
    """A running one. Accounts are made when they are first named."""

    def __init__(self, home: Path, port: int, registry_host: str, more_registry_hosts: Sequence[str] = ()) -> None:
        self.home = home
        self.address = ADDRESS
        self.port = port
        #: host:port of the private registry; fixture `registry` starts it.
        self.registry_host = registry_host
        #: Others that accounts may name.
        self.more_registry_hosts = more_registry_hosts
        about = self.status()
        self.about = about
        node = about["engines"][0]
        self.engine = Engine(node["socket"])
        #: Where the node's published ports are reached, and this machine as the node sees it.
        self.node_address: str = node["address"]
        self.host_address: str = node["host_address"]
        self.app_socket = Path(about["app_socket"])
        self.cloudapi_socket = Path(about["cloudapi_socket"])
        self.cloudapi = f"{ADDRESS}:{about['cloudapi_port']}"
        self.fleet: str = about["fleet"]
        #: `docker` must not see what the person who runs the tests has configured.
        self._docker_config = home / "test-docker-config"
        self._docker_config.mkdir(exist_ok=True)

    def quickstart(self, *words: str, timeout: float = 300) -> Result:
        """A verb of this stack."""
        return quickstart(words[0], "--home", str(self.home), *words[1:], timeout=timeout)

    def status(self) -> dict[str, Any]:
        done = self.quickstart("status", "--json", timeout=60)
        assert done.code == 0, done.said
        return json.loads(done.stdout)

    def pid(self, part: str) -> int:
        """Of postgres, dockerd, gunicorn, observer or nginx."""
        return int(self.status()["parts"][part]["pid"])

    # --- as a person ---------------------------------------------------------------------------------------------

    def certificates(self, account: str) -> Path:
        return self.home / "accounts" / account

    def env(self, account: str, *, api: str | None = None) -> dict[str, str]:
        """Environment for programs that talk Docker, as the account."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TERM") if name in os.environ}
        env = kept | {
            "LANG": "C.UTF-8",
            "DOCKER_CONFIG": str(self._docker_config),
            "DOCKER_HOST": f"tcp://{self.address}:{self.port}",
            "DOCKER_CERT_PATH": str(self.certificates(account)),
            "DOCKER_TLS_VERIFY": "1",
            "COMPOSE_HTTP_TIMEOUT": "300",
            "DOCKER_BUILDKIT": "0",
        }
        if api is not None:
            env["DOCKER_API_VERSION"] = api
        return env

    def command(self, *words: str, cli: str | None = None) -> list[str]:
        """The docker CLI of that major version (the newest there is by default) with arguments."""
        found = clis()
        if cli is not None and cli not in found:
            pytest.skip(f"no docker CLI {cli} on this machine (found: {', '.join(found)})")
        return [found[cli or max(found, key=int)], *words]

    def docker(
        self,
        account: str,
        *words: str,
        cli: str | None = None,
        api: str | None = None,
        input: bytes | None = None,
        timeout: float = 60,
        check: bool = True,
    ) -> Result:
        """`docker words...` as the account; without `input` its stdin is empty. With `check` it must end with 0."""
        done = subprocess.run(
            self.command(*words, cli=cli),
            env=self.env(account, api=api),
            input=input or b"",
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        assert not check or result.code == 0, f"docker {' '.join(words)}: {result.code}\n{result.said}\n{result.text}"
        return result

    def spawn(self, account: str, *words: str, cli: str | None = None, api: str | None = None, **how: Any) -> Any:
        """`docker words...` in the background, a Popen with pipes. The caller ends it."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(self.command(*words, cli=cli), env=self.env(account, api=api), **(pipes | how))

    # --- on the wire -----------------------------------------------------------------------------------------------

    def connect(self, account: str | None, *, certificate: tuple[Path, Path] | None = None) -> ssl.SSLSocket:
        """A TLS connection with the account's certificate, another pair of (certificate, key), or none."""
        context = ssl.create_default_context(cafile=self.about["ca_file"])
        if certificate is None and account is not None:
            certificate = (self.certificates(account) / "cert.pem", self.certificates(account) / "key.pem")
        if certificate is not None:
            context.load_cert_chain(*certificate)
        raw = socket.create_connection((self.address, self.port), timeout=60)
        try:
            return context.wrap_socket(raw, server_hostname=self.address)
        except BaseException:
            raw.close()
            raise

    def request(
        self,
        account: str | None,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        certificate: tuple[Path, Path] | None = None,
        timeout: float = 60,
    ) -> Response:
        """One request on a connection of its own; `body` is sent as it is if bytes, as JSON otherwise."""
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(self.address, self.port, timeout=timeout)
        try:
            connection.sock = self.connect(account, certificate=certificate)
            connection.sock.settimeout(timeout)
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            return Response(response.status, response.headers, response.read())
        finally:
            connection.close()

    # --- behind it -------------------------------------------------------------------------------------------------

    def psql(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple]:
        """Rows; a statement without rows gives []."""
        with contextlib.closing(
            psycopg2.connect(host=str(self.home / "postgres" / "run"), user="sdc", dbname="sdc")
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []

    def sdc_docker(self, *words: str, timeout: float = 60) -> Result:
        """The operator's command."""
        command = [str(self.home / "bin" / "sdc-docker"), *words]
        done = subprocess.run(command, capture_output=True, timeout=timeout, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    def engine_container(self, container_id: str) -> dict[str, Any] | None:
        """What the engine knows of a tenant's container (full id), None where it has none."""
        found = self.engine.containers(f"sdc.container={container_id}")
        if not found:
            return None
        assert len(found) == 1, f"{len(found)} containers on the engine for {container_id}"
        return self.engine.call("GET", f"/containers/{found[0]['Id']}/json")[1]

    def remove_all(self, account: str) -> None:
        """Every container of the account, so that a test starts from nothing."""

        def none_left() -> bool:
            listed = self.request(account, "GET", "/v1.44/containers/json?all=1").json()
            for container in listed:
                self.request(account, "DELETE", f"/v1.44/containers/{container['Id']}?force=1&v=1")
            return not listed

        # One that is just removing itself refuses to be removed, and is there for a moment.
        wait_until(none_left, f"the end of what {account} has")


@contextlib.contextmanager
def running(accounts: Sequence[str], **settings: str) -> Iterator[Stack]:
    """`quickstart up` with a private engine that reaches nothing but this machine; `down` in the end."""
    home = Path(tempfile.mkdtemp(prefix="sdc-e2e-"))
    home.chmod(0o755)
    port, registry_port, wire = free_port(), free_port(), free_subnet()
    registry_host, *others = [f"{next(wire.hosts())}:{free}" for free in (registry_port, free_port(), free_port())]
    try:
        started = quickstart(
            "up", "--home", str(home), "--address", ADDRESS, "--port", str(port), "--account", accounts[0],
            "--engine", "private", "--no-outbound", "--engine-subnet", str(wire), "--datacenter", "testdc",
            "--registry-hosts", ",".join([registry_host, *others]), "--cloudapi-port", str(free_port()),
            "--registry", env=settings, timeout=600,
        )  # fmt: skip
        assert started.code == 0, f"quickstart up failed:\n{started.text}\n{started.said}"
        for account in accounts[1:]:
            added = quickstart("account", "--home", str(home), account)
            assert added.code == 0, f"quickstart account {account} failed:\n{added.text}\n{added.said}"
        yield Stack(home, port, registry_host, others)
    finally:
        ended = quickstart("down", "--home", str(home), timeout=180)
        assert ended.code == 0, f"quickstart down failed:\n{ended.text}\n{ended.said}"
        shutil.rmtree(home, ignore_errors=True)


def free_subnet() -> ipaddress.IPv4Network:
    """A /30 that the machine does not use, outside of what the quickstart takes by itself."""
    listing = subprocess.run(
        ["ip", "-j", "-4", "route", "show", "table", "all"], capture_output=True, timeout=10, check=True
    )
    taken = [ipaddress.IPv4Network(r["dst"], strict=False) for r in json.loads(listing.stdout) if r["dst"] != "default"]
    for _ in range(100):
        network = ipaddress.IPv4Network((f"10.199.{random.randrange(128, 255)}.{random.randrange(64) * 4}", 30))
        if not any(network.overlaps(other) for other in taken if other.prefixlen):
            return network
    raise AssertionError("no free subnet in 10.199.128.0/17")


# --- a registry ------------------------------------------------------------------------------------------------------


class Registry:
    """A docker-registry without TLS or login that the node reaches at `host`."""

    def __init__(self, host: str) -> None:
        self.host = host

    def push(self, name: str, tag: str = "latest", *, marker: str = "") -> tuple[str, str]:
        """Put busybox with a file /marker there, directly. Returns (manifest digest, image id)."""
        with tarfile.open(fileobj=io.BytesIO(busybox_archive())) as archive:
            manifest = json.load(_member(archive, "manifest.json"))[0]
            config = json.load(_member(archive, manifest["Config"]))
            base = _member(archive, manifest["Layers"][0]).read()
        extra = io.BytesIO()
        with tarfile.open(fileobj=extra, mode="w") as tar:
            member = tarfile.TarInfo("marker")
            member.size = len(marker.encode())
            tar.addfile(member, io.BytesIO(marker.encode()))
        layers = [base, extra.getvalue()]
        config["rootfs"]["diff_ids"] = [digest(layer) for layer in layers]
        config["history"].append({"created": config["created"], "created_by": f"marker {marker}"})
        config_bytes = json.dumps(config).encode()
        for blob in (*layers, config_bytes):
            self._blob(name, blob)
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        document = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": _descriptor("application/vnd.docker.container.image.v1+json", config_bytes),
            "layers": [_descriptor("application/vnd.docker.image.rootfs.diff.tar", layer) for layer in layers],
        }
        raw = json.dumps(document).encode()
        self._call("PUT", f"/v2/{name}/manifests/{tag}", raw, 201, {"Content-Type": kind})
        return digest(raw), digest(config_bytes)

    def _blob(self, name: str, content: bytes) -> None:
        upload = self._call("POST", f"/v2/{name}/blobs/uploads/", b"", 202).headers["Location"]
        path = urllib.parse.urlsplit(upload)
        query = f"{path.query}&digest={digest(content)}"
        self._call("PUT", f"{path.path}?{query}", content, 201, {"Content-Type": "application/octet-stream"})

    def _call(
        self, method: str, path: str, body: bytes, expected: int, headers: Mapping[str, str] | None = None
    ) -> Response:
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            answer = Response(response.status, response.headers, response.read())
        finally:
            connection.close()
        assert answer.status == expected, (method, path, answer)
        return answer

    def answers(self) -> bool:
        asked = http.client.HTTPConnection(self.host, timeout=5)
        with contextlib.suppress(OSError), contextlib.closing(asked):
            asked.request("GET", "/v2/")
            return asked.getresponse().status in (200, 401)
        return False


#: What accounts call the data center's own registry.
OWN_REGISTRY = "registry.testdc"

#: A user of a registry with passwords: "joe" with "secret" (bcrypt).
HTPASSWD = "joe:$2b$04$bIAcWUcj9FiPpIG3dJOw7uvig6hKqrv5Pgxcu169isdDmEr9hmY5.\n"


@contextlib.contextmanager
def registry(host: str, *, htpasswd: str = "") -> Iterator[Registry]:
    """Run docker-registry at host (address:port); with `htpasswd` only for its users."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    with folder("registry") as home:
        configuration = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(home / "data")}, "delete": {"enabled": True}},
            "http": {"addr": host},
        }
        if htpasswd:
            (home / "htpasswd").write_text(htpasswd)
            configuration["auth"] = {"htpasswd": {"realm": "private", "path": str(home / "htpasswd")}}
        # JSON is YAML.
        (home / "config.yml").write_text(json.dumps(configuration))
        log = home / "log"
        with log.open("wb") as output:
            process = subprocess.Popen([program, "serve", home / "config.yml"], stdout=output, stderr=output, cwd=home)
        try:
            server = Registry(host)
            wait_until(server.answers, "docker-registry", log=log)
            yield server
        finally:
            stop(process)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "size": len(content), "digest": digest(content)}


def _member(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    assert file is not None, name
    return file
