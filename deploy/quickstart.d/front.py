"""The service itself: nginx, gunicorn, CloudAPI and the observer, and the operator commands run at set-up.

All of them run from the checkout, so that an edit is live after the next `up`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from commands import run
from console import Stop
from parts import Part
from stack import CHECKOUT, NGINX_USER, Stack

#: What the running parts are made from, besides the settings.
_SOURCES = ["app/**/*.py", "migrations/**/*.py", "deploy/nginx/*", "deploy/gunicorn*.conf.py", "pyproject.toml"]

_WRAPPER = """\
#!/bin/sh
# The operator's command for this data center; `sdc-docker --help` lists what it can do.
{exports}
export PYTHONPATH={checkout}
# -P: what lies in the caller's folder is not ours.
exec {python} -P -m app.cli "$@"
"""


def fingerprint(stack: Stack) -> str:
    """Changes when the code, the configuration or a setting does: the parts made from it then start anew."""
    digest = hashlib.sha256(repr(sorted(stack.settings().items())).encode())
    for path in _source_files():
        about = path.stat()
        digest.update(f"{path} {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _source_files() -> Iterator[Path]:
    for pattern in _SOURCES:
        yield from sorted(path for path in CHECKOUT.glob(pattern) if path.is_file())


def parts(stack: Stack, made_from: str) -> list[Part]:
    """Write nginx's configuration and the operator's command, and describe the four parts."""
    configuration = _nginx_configuration(stack)
    _operator_command(stack)
    # Not read by anything: a part whose environment changed is started anew by the supervisor.
    build = {"SDC_QUICKSTART_BUILD": made_from}
    service = stack.settings() | build
    return [
        Part(
            name="gunicorn",
            command=[
                stack.python,
                "-m",
                "app.server",
                "-c",
                CHECKOUT / "deploy/gunicorn.conf.py",
                "app.wsgi:application",
            ],
            directory=CHECKOUT,
            environment=service,
        ),
        Part(
            name="cloudapi",
            command=[stack.python, "-m", "gunicorn", "-c", CHECKOUT / "deploy/gunicorn-cloudapi.conf.py"],
            directory=CHECKOUT,
            environment=service,
        ),
        Part(
            name="observer",
            command=[stack.python, "-m", "app.observer"],
            directory=CHECKOUT,
            environment=service,
        ),
        Part(
            name="nginx",
            command=[
                stack.python,
                CHECKOUT / "deploy/quickstart.d/start_nginx.py",
                stack.nginx,
                *("-p", stack.nginx, "-c", configuration, "-e", "stderr"),
            ],
            directory=stack.nginx,
            environment=build,
        ),
    ]


def _nginx_configuration(stack: Stack) -> Path:
    """deploy/nginx/nginx.conf with this stack's values for its @NAME@s."""
    values = {
        "USER": NGINX_USER,
        "GROUP": NGINX_USER,
        "RUN_DIR": stack.nginx,
        "LOG": stack.nginx / "nginx-error.log",
        "MODULES_DIR": "/usr/lib/nginx/modules",
        "NJS_DIR": CHECKOUT / "deploy" / "nginx",
        "PORT": stack.docker_address,
        "CLOUDAPI_PORT": stack.cloudapi_address,
        "SERVER_CERT": stack.ca / "server.pem",
        "SERVER_KEY": stack.ca / "server.key",
        "CLIENT_CA": stack.ca / "ca.pem",
        "SOCKET": stack.app_socket,
        "CLOUDAPI_SOCKET": stack.cloudapi_socket,
    }
    template = (CHECKOUT / "deploy" / "nginx" / "nginx.conf").read_text()
    text = re.sub(r"@([A-Z_]+)@", lambda name: str(values.get(name[1], name[0])), template)
    configuration = stack.nginx / "nginx.conf"
    configuration.write_text(text)
    log = stack.nginx / "nginx-error.log"
    if not log.is_symlink():
        # To the supervisor, which rotates it.
        log.symlink_to("/dev/stderr")
    return configuration


def _operator_command(stack: Stack) -> None:
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in sorted(stack.settings().items()))
    folder = stack.home / "bin"
    folder.mkdir(exist_ok=True)
    text = _WRAPPER.format(checkout=shlex.quote(str(CHECKOUT)), exports=exports, python=shlex.quote(str(stack.python)))
    command = folder / "sdc-docker"
    command.write_text(text)
    command.chmod(0o755)


def service_command(stack: Stack, *words: str) -> str:
    """Run `sdc-docker words...`; Stop with its words when it refuses."""
    env = {"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8"} | stack.settings()
    command = [stack.python, "-m", "app.cli", *words]
    return run(command, doing=f"sdc-docker {' '.join(words)}", env=env, cwd=CHECKOUT, timeout=120)


def add_account(stack: Stack, login: str) -> None:
    """The account and its key in the database; what is there already, from a run that was interrupted, is fine."""
    key = str(stack.account_folder(login) / "id.pub")
    for words in (["account", "add", login, "--key", key], ["key", "add", login, key]):
        try:
            service_command(stack, *words)
        except Stop as refused:
            if "already" not in str(refused):
                raise
        else:
            return


def add_node(stack: Stack) -> None:
    choice = stack.engine
    service_command(stack, "node", "add", "local", choice.url, "--public-address", choice.address)
