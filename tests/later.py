"""Docker's programs of a later Debian release, unpacked beside this release's: engine 26, its CLI, Compose v2, buildx.

The packages come from wherever this machine's own packages come from; only the release's name is another one. They are
unpacked below `.venv`, once, and nothing of them is installed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.machine import ROOT

RELEASE = "trixie"
#: containerd and its shim belong to the engine; it runs with this release's runc.
PACKAGES = ("docker.io", "containerd", "docker-cli", "docker-compose", "docker-buildx")
PLACE = ROOT / ".venv" / "later"


@cache
def root() -> Path | None:
    """Where the packages' files are; None where they cannot be had: the reason is in the log beside them."""
    PLACE.parent.mkdir(exist_ok=True)
    # One process unpacks, the others wait for it.
    with PLACE.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _root()


def _root() -> Path | None:
    done = PLACE / "done"
    if done.exists() and done.read_text() == _wanted():
        return PLACE / "root"
    shutil.rmtree(PLACE, ignore_errors=True)
    (PLACE / "lists" / "partial").mkdir(parents=True)
    (PLACE / "cache" / "archives" / "partial").mkdir(parents=True)
    with (PLACE / "log").open("w") as log:
        for repository in _repositories():
            if _unpack(repository, log):
                done.write_text(_wanted())
                return PLACE / "root"
    return None


def _wanted() -> str:
    return f"{RELEASE}: {' '.join(PACKAGES)}"


def _repositories() -> list[str]:
    """Addresses of Debian repositories that this machine is set up with."""
    texts = [path.read_text() for path in sorted(Path("/etc/apt").glob("sources.list*")) if path.is_file()]
    texts += [path.read_text() for path in sorted(Path("/etc/apt/sources.list.d").glob("*")) if path.is_file()]
    found: list[str] = []
    for text in texts:
        for line in text.splitlines():
            if match := re.match(r"(?:deb\s+(?:\[[^\]]*\]\s+)?|URIs:\s*)(\S+)", line.strip()):
                found.append(match[1])
    return [address for address in dict.fromkeys(found) if "debian" in address and "security" not in address]


def _unpack(repository: str, log: object) -> bool:
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (PLACE / "sources.list").write_text(f"deb [signed-by={keyring}] {repository} {RELEASE} main\n")
    options = {
        "Dir::Etc::sourcelist": PLACE / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": PLACE / "lists",
        "Dir::Cache": PLACE / "cache",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]

    def run(*command: str | Path, seconds: float = 240) -> bool:
        done = subprocess.run(
            command, cwd=PLACE, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=seconds, check=False
        )
        return done.returncode == 0

    try:
        if not run(*apt, "update") or not run(*apt, "download", *PACKAGES):
            return False
    except subprocess.TimeoutExpired:
        return False
    unpacked = all(run("dpkg", "-x", package, PLACE / "root") for package in PLACE.glob("*.deb"))
    for left in [*PLACE.glob("*.deb"), PLACE / "lists", PLACE / "cache"]:
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    return unpacked


def program(name: str) -> Path:
    """`dockerd`, `docker`, `docker-compose` or `docker-buildx` of the later release. Raises FileNotFoundError."""
    base = root()
    places = ["usr/sbin", "usr/bin", "usr/libexec/docker/cli-plugins"]
    for place in places if base else []:
        path = base / place / name
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(f"{name} of {RELEASE}: see {PLACE / 'log'}")


def engine_path() -> str:
    """A PATH that finds the later engine and its containerd, and everything else where it always is."""
    dockerd = program("dockerd")
    own = PLACE / "engine"
    own.mkdir(exist_ok=True)
    for found in [dockerd, *(dockerd.parents[1] / "bin").glob("containerd*")]:
        link = own / found.name
        if not link.exists():
            link.symlink_to(found)
    return f"{own}{os.pathsep}{os.environ['PATH']}"
