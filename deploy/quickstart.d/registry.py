"""The data center's own registry: a docker-registry that lets in the service alone.

Accounts call it `registry.DATACENTER`; each has repositories of its own there, and no password. Only the service has
one.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import os
import secrets
import shutil
import string
import urllib.error
import urllib.request
from pathlib import Path

from console import Stop
from parts import Part
from stack import Stack

USER = "sdc"


def prepare(stack: Stack) -> None:
    """Make the password and the configuration, once."""
    home = stack.registry
    home.mkdir(exist_ok=True)
    home.chmod(0o700)
    (home / "data").mkdir(exist_ok=True)
    if not stack.registry_auth_file.exists():
        password = secrets.token_urlsafe(32)
        _write(home / "htpasswd", f"{USER}:{_bcrypt(password)}\n")
        _write(stack.registry_auth_file, f"{USER}:{password}\n")
    configuration = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(home / "data")}, "delete": {"enabled": True}},
        "http": {"addr": stack.registry_address, "secret": secrets.token_urlsafe(16)},
        "auth": {"htpasswd": {"realm": "sdc", "path": str(home / "htpasswd")}},
    }
    if not (home / "config.yml").exists():
        # JSON is YAML.
        _write(home / "config.yml", json.dumps(configuration, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


def _bcrypt(password: str) -> str:
    """The one kind of hash that docker-registry takes, by the C library: Python has it no more."""
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    salt = "".join(secrets.choice(string.ascii_letters + string.digits + "./") for _ in range(21)) + "."
    hashed = library.crypt(password.encode(), f"$2b$05${salt}".encode())
    if not hashed or not hashed.startswith(b"$2b$"):
        raise Stop("this machine's C library has no bcrypt, without which there can be no registry.")
    return hashed.decode()


def part(stack: Stack) -> Part:
    program = shutil.which("docker-registry")
    if program is None:
        raise Stop("docker-registry is missing.")
    return Part("registry", [program, "serve", stack.registry / "config.yml"], stack.registry)


def answers(stack: Stack) -> bool:
    try:
        urllib.request.urlopen(f"http://{stack.registry_address}/v2/", timeout=2).close()
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    return True
