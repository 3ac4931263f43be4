"""Using the finished service as a person does: HTTPS with an account's certificate, and the docker CLI."""

from __future__ import annotations

import http.client
import os
import shutil
import ssl
from pathlib import Path

import busybox
from certificates import environment
from commands import run
from console import Stop
from stack import Stack


def answers(stack: Stack) -> bool:
    """Whether GET /_ping over TLS is answered with 200; it needs no certificate."""
    return _status(stack, "/_ping", None) == 200


def knows(stack: Stack, login: str) -> bool:
    """Whether the service lets the account in."""
    return _status(stack, "/info", login) == 200


def cloudapi_answers(stack: Stack) -> bool:
    return _status(stack, "/--ping", None, stack.chosen.cloudapi_port) == 200


def _status(stack: Stack, path: str, login: str | None, port: int = 0) -> int:
    context = ssl.create_default_context(cafile=str(stack.ca / "ca.pem"))
    if login is not None:
        folder = stack.account_folder(login)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    host = stack.chosen.address
    connection = http.client.HTTPSConnection(host, port or stack.chosen.port, timeout=5, context=context)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def docker(stack: Stack, login: str, *words: str, doing: str, stdin: bytes = b"", timeout: float = 120) -> str:
    """Output of `docker words...` as the account."""
    program = shutil.which("docker")
    if program is None:
        raise Stop("no docker command is installed.")
    configuration = stack.run / "docker-config"
    configuration.mkdir(exist_ok=True)
    # The caller's own configuration may name a context, a proxy or headers; none of it is meant for this.
    env = {"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8", "DOCKER_CONFIG": str(configuration)}
    env |= environment(stack, login)
    return run([program, *words], doing=doing, env=env, stdin=stdin, timeout=timeout)


def put_busybox(stack: Stack, login: str) -> None:
    """Load the busybox image, where the account has none of that name."""
    try:
        docker(stack, login, "image", "inspect", "busybox:latest", doing="Looking for busybox")
        return
    except Stop as refused:
        if "no such image" not in str(refused).lower():
            raise
    archive = busybox.archive(busybox.binary(stack.home))
    docker(stack, login, "load", doing=f"Loading busybox for {login}", stdin=archive)


def certificate_folder(stack: Stack, login: str) -> Path:
    folder = stack.account_folder(login)
    if not (folder / "cert.pem").exists():
        known = ", ".join(stack.account_logins()) or "none"
        raise Stop(
            f"there is no account {login} here (accounts: {known}); `deploy/quickstart account {login}` adds it."
        )
    return folder
