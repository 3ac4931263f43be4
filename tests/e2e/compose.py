"""Both generations of Compose, unchanged, in the hands of an account, and the stack of five services that they start.

The stack: a web front that asks an application, which asks a database; a worker that writes into the database; a cache.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import subprocess
import textwrap
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import later, postgres_image
from tests.e2e.stack import Result, Stack

#: What the account of a stack finds there already.
POSTGRES = postgres_image.NAME


@dataclass(frozen=True)
class Generation:
    """Compose 1.29.2, or v2 of a later Debian release; `api` pins the version that it speaks."""

    major: int
    api: str | None = None

    def __str__(self) -> str:
        return f"v{self.major}" + (f"-api{self.api}" if self.api else "")

    @property
    def program(self) -> str:
        if self.major > 1:
            return str(later.program("docker-compose"))
        found = shutil.which("docker-compose", path="/usr/bin")
        assert found, "docker-compose is not installed"
        return found

    def env(self) -> dict[str, str]:
        """How a person pins the version."""
        return {{1: "COMPOSE_API_VERSION", 2: "DOCKER_API_VERSION"}[self.major]: self.api} if self.api else {}

    def name(self, project: str, service: str, number: int = 1) -> str:
        """Of a container."""
        return ("-" if self.major > 1 else "_").join((project, service, str(number)))


V1, V2 = Generation(1), Generation(2)

both_generations = pytest.mark.parametrize("generation", [V1, V2], ids=str)


class Compose:
    """`docker-compose ...` in a folder of its own. `env` is the environment with which it finds its endpoint."""

    def __init__(self, generation: Generation, env: Mapping[str, str], folder: Path, project: str = "shop") -> None:
        self.generation = generation
        self.folder = folder
        self.project = project
        # Compose 1.29 builds with a docker CLI that it finds, which is another client's test. It is a Python program:
        # what it writes to a pipe waits in a buffer.
        own = {"COMPOSE_PROJECT_NAME": project, "COMPOSE_DOCKER_CLI_BUILD": "0", "PYTHONUNBUFFERED": "1"}
        self.env = {**env, **generation.env(), **own}

    def write(self, files: Mapping[str, str]) -> None:
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(content).lstrip("\n"))

    def __call__(self, *words: str, timeout: float = 150, check: bool = True) -> Result:
        done = subprocess.run(
            [self.generation.program, *words],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        shown = f"compose {' '.join(words)}: {result.code}\n{result.said}\n{result.text}"
        assert not check or result.code == 0, shown
        return result

    @contextlib.contextmanager
    def background(self, *words: str) -> Iterator[Background]:
        process = subprocess.Popen(
            [self.generation.program, *words],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        running = Background(process)
        try:
            yield running
        finally:
            running.close()

    def get(self, service: str, port: int, path: str) -> str:
        """What a service says at its published port; waits until it says something."""
        until = time.monotonic() + 60
        while True:
            where = self("port", service, str(port), check=False).text.strip()
            try:
                if not where:
                    raise ConnectionError(f"{service} is not running")
                with urllib.request.urlopen(f"http://{where}{path}", timeout=20) as answer:
                    return str(answer.read().decode())
            except (OSError, http.client.HTTPException):
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)


class Background:
    """A command that runs; what it says is kept."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self._said = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while data := self.process.stdout.read1(65536):  # type: ignore[union-attr]
            self._said += data

    @property
    def text(self) -> str:
        return self._said.decode(errors="replace")

    def wait_for(self, *words: str, timeout: float = 80) -> str:
        until = time.monotonic() + timeout
        while not all(word in self.text for word in words):
            assert time.monotonic() < until, f"not in {timeout} s: {words} in {self.text}"
            time.sleep(0.05)
        return self.text

    def end(self, sig: int = signal.SIGINT, timeout: float = 80) -> int:
        self.process.send_signal(sig)
        self.process.wait(timeout)
        self._reader.join(10)
        return int(self.process.returncode)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        self.process.stdout.close()  # type: ignore[union-attr]


def containers(stack: Stack, account: str, project: str) -> dict[str, dict]:
    """Name -> what the list says, of all containers of a project."""
    filters = urllib.parse.quote(json.dumps({"label": [f"com.docker.compose.project={project}"]}))
    listed = stack.request(account, "GET", f"/v1.44/containers/json?all=1&filters={filters}").json()
    return {one["Names"][0].lstrip("/"): one for one in listed}


def left(stack: Stack, account: str, project: str) -> list[str]:
    """Names of what a project has of containers, networks and volumes."""
    networks = stack.request(account, "GET", "/v1.44/networks").json()
    volumes = stack.request(account, "GET", "/v1.44/volumes").json()["Volumes"]
    named = [thing["Name"] for thing in [*networks, *volumes] if thing["Name"].startswith(f"{project}_")]
    return sorted([*containers(stack, account, project), *named])


# --- the stack of five services --------------------------------------------------------------------------------------

SHOP = {
    "docker-compose.yml": """
        version: "2.4"
        services:
          web:
            build: ./web
            image: shop-web
            ports: ["80"]
            networks: [front]
            depends_on: [app]
          app:
            build: ./app
            image: shop-app
            env_file: db.env
            networks: [front, back]
            depends_on:
              db: {condition: service_healthy}
              cache: {condition: service_started}
          worker:
            build: ./app
            image: shop-app
            env_file: db.env
            environment: {PAUSE: "${PAUSE:-0.3}"}
            command: ["sh", "/worker"]
            networks: [back]
            depends_on:
              db: {condition: service_healthy}
          cache:
            image: busybox
            command: httpd -f -h /cache
            stop_signal: SIGKILL
            volumes: ["cache:/cache"]
            networks: [back]
          db:
            image: postgres
            volumes: ["data:/var/lib/postgresql/data"]
            networks: [back]
            healthcheck:
              test: ["CMD", "pg_isready", "-q", "-h", "127.0.0.1"]
              interval: 1s
              retries: 30
        volumes: {data: {}, cache: {}}
        networks: {front: {}, back: {}}
        """,
    "db.env": """
        PGHOST=db
        GREETING=hello
        """,
    "web/Dockerfile": """
        FROM busybox
        COPY index /www/cgi-bin/
        RUN chmod 755 /www/cgi-bin/index
        STOPSIGNAL SIGKILL
        CMD ["httpd", "-f", "-p", "80", "-h", "/www"]
        """,
    "web/index": """
        #!/bin/sh
        echo 'Content-Type: text/plain'
        echo
        timeout 10 wget -qO- http://app:8080/cgi-bin/answer
        """,
    "app/Dockerfile": """
        ARG base=postgres
        FROM ${base}
        USER root
        COPY answer /www/cgi-bin/
        COPY worker /
        RUN chmod 755 /www/cgi-bin/answer
        HEALTHCHECK NONE
        STOPSIGNAL SIGKILL
        CMD ["busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
        """,
    "app/answer": """
        #!/bin/sh
        echo 'Content-Type: text/plain'
        echo
        echo "$GREETING $(psql -At -c "SELECT count(*) FROM pg_class WHERE relname = 'turns'")"
        """,
    "app/worker": """
        psql -qc 'CREATE TABLE IF NOT EXISTS turns (at timestamptz)'
        while psql -qc 'INSERT INTO turns VALUES (now())' && echo turn; do sleep $PAUSE; done
        """,
}
#: The same with images that are there already, named by variables.
BUILT = {
    "docker-compose.yml": SHOP["docker-compose.yml"]
    .replace("            build: ./web\n", "")
    .replace("            build: ./app\n", "")
    .replace("image: shop-web", 'image: "${WEB}"')
    .replace("image: shop-app", 'image: "${APP}"')
    .replace("image: busybox", 'image: "${BUSYBOX}"')
    .replace("image: postgres", 'image: "${POSTGRES}"'),
    "db.env": SHOP["db.env"],
}
SERVICES = ("app", "cache", "db", "web", "worker")


def give(stack: Stack, account: str) -> str:
    """An account of that name with the database's image, which is built unless it is there."""
    if not stack.certificates(account).exists():
        made = stack.quickstart("account", account)
        assert made.code == 0, made.said
    if stack.request(account, "GET", f"/v1.44/images/{POSTGRES}/json").status != 200:
        stack.docker(account, "build", "-q", "-t", POSTGRES, "-", input=postgres_image.context(), timeout=150)
    return account
