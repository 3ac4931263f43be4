"""gunicorn's master, with a reload that changes all of the code and cuts no stream.

gunicorn's own reload forks new workers from the old master: what the master has imported stays as it was, and its wait
for old workers keeps it from everything else. Here SIGHUP means:

1. the new code is tried in a process of its own (`--check-config`); where it does not load, nothing changes;
2. the master becomes the new code in place (exec): same process id, same listening socket, same children;
3. new workers start, and once they take connections the old ones are told to retire (SIGWINCH): they serve what is open
   until it ends, for `retire_seconds` at most.

The environment stays the one of the start, so a changed setting needs a restart.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

from gunicorn.arbiter import Arbiter

#: Process ids of workers that were there before the exec, and how long each may stay: "pid:seconds since boot,...".
RETIRING = "GUNICORN_RETIRING"
CHECK_SECONDS = 60.0
#: After this long the old workers retire even where the new ones do not come up.
BOOT_SECONDS = 30.0
#: What a retired worker may take beyond its time before it is killed.
GRACE_SECONDS = 60.0


class FrontDoorArbiter(Arbiter):
    """See the module's docstring."""

    def __init__(self, app: Any) -> None:
        told = os.environ.pop(RETIRING, "")
        #: Old workers: process id -> when it is killed if it is still there.
        self._retiring = {
            int(pid): float(until) for pid, until in (pair.split(":") for pair in told.split(",") if pair)
        }
        self._to_retire = set(self._retiring)
        self._started = time.monotonic()
        super().__init__(app)

    def handle_hup(self) -> None:
        """SIGHUP: become the new code."""
        if not self._loads():
            self.log.error("the reload was refused: the new code does not load; the old one goes on")
            return
        self.log.info("Becoming the new code.")
        self._forget_ended()
        now = time.monotonic()
        for pid, worker in self.WORKERS.items():
            self._retiring[pid] = now + worker.retire_seconds + self.cfg.graceful_timeout + GRACE_SECONDS
        environ = dict(self.cfg.env_orig)
        environ["GUNICORN_PID"] = str(os.getpid())
        environ["GUNICORN_FD"] = ",".join(str(listener.fileno()) for listener in self.LISTENERS)
        environ[RETIRING] = ",".join(f"{pid}:{until}" for pid, until in self._retiring.items())
        # Until the new code has handlers: one more SIGHUP would end the process.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.chdir(self.START_CTX["cwd"])
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)  # noqa: S606

    def _loads(self) -> bool:
        command = [sys.executable, *sys.orig_argv[1:], "--check-config"]
        environ = {k: v for k, v in self.cfg.env_orig.items() if k != "NOTIFY_SOCKET"}
        cwd = self.START_CTX["cwd"]
        try:
            tried = subprocess.run(command, env=environ, cwd=cwd, timeout=CHECK_SECONDS, check=False)
            return tried.returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def murder_workers(self) -> None:
        """Once a second: retire the old workers as soon as the new ones serve, kill what outstays its time."""
        super().murder_workers()
        if self._to_retire and (self._new_ones_serve() or time.monotonic() > self._started + BOOT_SECONDS):
            for pid in self._to_retire:
                self._tell(pid, signal.SIGWINCH)
            self._to_retire = set()
        if self._retiring:
            self._forget_ended()
            for pid, until in self._retiring.items():
                if time.monotonic() > until:
                    self._tell(pid, signal.SIGKILL)

    def _new_ones_serve(self) -> bool:
        # A worker's file has the time of its making until the worker gives its first sign of life, on the clock that
        # counts from the machine's start.
        now = time.monotonic()
        return bool(self.WORKERS) and all(worker.tmp.last_update() <= now for worker in self.WORKERS.values())

    def stop(self, graceful: bool = True) -> None:
        """Stop everybody, retired ones too."""
        self._forget_ended()
        for pid in self._retiring:
            self._tell(pid, signal.SIGTERM if graceful else signal.SIGQUIT)
        until = time.monotonic() + self.cfg.graceful_timeout
        super().stop(graceful)
        while self._retiring and time.monotonic() < until:
            self.reap_workers()
            self._forget_ended()
            time.sleep(0.1)
        for pid in self._retiring:
            self._tell(pid, signal.SIGKILL)

    def _forget_ended(self) -> None:
        for pid in list(self._retiring):
            try:
                gone = os.waitpid(pid, os.WNOHANG)[0] == pid
            except ChildProcessError:
                gone = True
            if gone:
                del self._retiring[pid]

    @staticmethod
    def _tell(pid: int, sig: signal.Signals) -> None:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            return
