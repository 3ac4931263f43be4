"""Running other programs with a deadline, and ending the processes that this command started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from console import Stop
from stack import MARK


def run(
    command: Sequence[object],
    *,
    doing: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes = b"",
    timeout: float = 60,
) -> str:
    """Standard output of `command`. Raises Stop with what it said when it fails or is not done in time."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, env=env, cwd=cwd, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise Stop(f"{doing}: not done after {timeout:.0f} s.") from None
    except OSError as error:
        raise Stop(f"{doing}: {error}.") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip() or f"exit code {done.returncode}"
        raise Stop(f"{doing}: {said}")
    return done.stdout.decode(errors="replace")


def succeeds(*words: str | Path) -> bool:
    """Whether a short command ends well; what it says does not matter."""
    done = subprocess.run([str(word) for word in words], capture_output=True, timeout=30, check=False)
    return done.returncode == 0


def own_processes(home: Path, namespace: Path) -> list[int]:
    """Process ids that bear our mark, live in the private engine's mount namespace, or descend from such."""
    mark, nginx = f"{MARK}={home}".encode(), b"-c %b/nginx/" % bytes(home)
    try:
        engine_namespace = namespace.stat().st_ino if namespace.exists() else 0
    except OSError:
        engine_namespace = 0
    parents: dict[int, int] = {}
    own: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        try:
            parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            marked = mark in (entry / "environ").read_bytes().split(b"\0")
            # nginx writes its title over its environment. A master's title names its configuration file; a worker may
            # have lost its master, but has the same working directory.
            is_nginx = nginx in (entry / "cmdline").read_bytes() or os.readlink(entry / "cwd") == f"{home}/nginx"
            if marked or is_nginx or (entry / "ns" / "mnt").stat().st_ino == engine_namespace:
                own.add(pid)
        except (OSError, IndexError, ValueError):
            continue  # It ended while we looked.
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in own and pid not in own}
        own |= more
        grown = bool(more)
    return sorted(own - {os.getpid(), os.getppid(), 1})


def end(pids: Sequence[int], *, patience: float = 5) -> None:
    """SIGTERM, then SIGKILL to what is left after `patience` seconds."""
    handles = []
    for pid in pids:
        try:
            # A descriptor, so that a process id that is used again by then is not hit.
            handles.append(os.pidfd_open(pid))
        except OSError:
            continue
    for sig, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for handle in handles:
            _send(handle, sig)
        until = time.monotonic() + wait
        while any(_send(handle, 0) for handle in handles) and time.monotonic() < until:
            time.sleep(0.05)
    for handle in handles:
        os.close(handle)


def _send(handle: int, sig: int) -> bool:
    try:
        signal.pidfd_send_signal(handle, sig)
    except ProcessLookupError:
        return False
    return True
