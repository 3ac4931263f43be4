"""Becomes nginx, after ending what a killed nginx left: its workers live on, keep the port, and nobody is above them.

    start_nginx.py DIRECTORY NGINX-ARGUMENT ...

Run in DIRECTORY, which all processes of this nginx have as their working directory and others have not.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

WORKER = b"nginx: worker process"


def orphans(directory: str) -> list[int]:
    """Workers in this directory whose master is gone."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            title = (entry / "cmdline").read_bytes()
            if parent == 1 and title.startswith(WORKER) and os.readlink(entry / "cwd") == directory:
                found.append(int(entry.name))
    return found


def main() -> None:
    directory, *arguments = sys.argv[1:]
    for pid in orphans(os.path.realpath(directory)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os.execvp("nginx", ["nginx", *arguments])  # noqa: S606  (there is no shell to start it in)


if __name__ == "__main__":
    main()
