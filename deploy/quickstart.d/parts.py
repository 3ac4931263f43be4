"""The running parts under one supervisord: its configuration, starting, waiting, stopping.

supervisord starts nothing by itself, because the parts need one another: `up` starts each when what it needs answers.
From then on a part that dies is started again within a second or two, without end.
"""

from __future__ import annotations

import http.client
import os
import resource
import select
import shlex
import time
import xmlrpc.client
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands import run
from console import Stop, tail
from stack import MARK, Stack
from supervisor.xmlrpc import SupervisorTransport

#: In the order in which they start; they stop in the opposite one.
ORDER = ["postgres", "dockerd", "registry", "gunicorn", "cloudapi", "observer", "nginx"]


@dataclass(frozen=True)
class Part:
    name: str
    command: Sequence[str | Path]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "root"
    stop_signal: str = "TERM"
    #: Seconds until it is killed.
    patience: int = 10


def _descriptors(wanted: int = 65536) -> int:
    """How many files a part may have open: every client connection is one, in nginx and in gunicorn.

    Not even root can raise the limit everywhere.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        return wanted
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, wanted))
    except (ValueError, OSError):
        return hard
    return wanted


class Supervisor:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._config = stack.run / "supervisord.conf"
        self._socket = stack.run / "supervisor.sock"

    # --- what runs ---------------------------------------------------------------------------------------------

    def pid(self) -> int | None:
        """supervisord's process id; None where it does not answer."""
        try:
            return int(self._call("getPID"))
        except Stop:
            return None

    def states(self) -> dict[str, dict[str, Any]]:
        """Name of each configured part -> its state's name and process id (0 = none)."""
        if self.pid() is None:
            return {}
        found = {info["name"]: info for info in self._call("getAllProcessInfo")}
        return {
            name: {"state": found[name]["statename"].lower(), "pid": found[name]["pid"]}
            for name in ORDER
            if name in found
        }

    def log(self, part: str) -> Path:
        return self._stack.log / f"{part}.log"

    # --- configuration -----------------------------------------------------------------------------------------

    def configure(self, parts: Sequence[Part]) -> None:
        """Make `parts` the parts. Those that run and changed are stopped; `start` starts them again."""
        text = self._text(parts)
        changed = not self._config.exists() or self._config.read_text() != text
        if changed:
            self._config.write_text(text)
            self._config.chmod(0o600)
        if self.pid() is None:
            self._launch()
        elif changed:
            self._reload()

    def _launch(self) -> None:
        passed_on = {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
        env = {name: value for name, value in os.environ.items() if name in passed_on}
        env |= {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/root", MARK: str(self._stack.home)}
        supervisord = [self._stack.python, "-m", "supervisor.supervisord", "-c", self._config]
        run(supervisord, doing="Starting the supervisor", env=env, cwd=Path("/"))
        until = time.monotonic() + 10
        while self.pid() is None:
            if time.monotonic() > until:
                raise Stop(f"the supervisor does not answer:\n{tail(self._stack.log / 'supervisord.log')}")
            time.sleep(0.05)

    def _reload(self) -> None:
        added, changed, removed = self._call("reloadConfig")[0]
        for name in [*changed, *removed]:
            self.stop(name)
            self._call("removeProcessGroup", name)
        for name in [*added, *changed]:
            self._call("addProcessGroup", name)

    def _text(self, parts: Sequence[Part]) -> str:
        def value(raw: object) -> str:
            return str(raw).replace("%", "%%")

        run_dir, log = self._stack.run, self._stack.log
        lines = [
            "[unix_http_server]",
            f"file = {value(self._socket)}",
            "chmod = 0700",
            "[supervisord]",
            f"logfile = {value(log / 'supervisord.log')}",
            "logfile_maxbytes = 5MB",
            "logfile_backups = 2",
            f"pidfile = {value(run_dir / 'supervisord.pid')}",
            f"childlogdir = {value(log)}",
            "directory = /",
            "umask = 022",
            f"minfds = {_descriptors()}",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        ]
        for part in parts:
            environment = ",".join(f'{name}="{value(setting)}"' for name, setting in sorted(part.environment.items()))
            lines += [
                f"[program:{part.name}]",
                f"command = {value(shlex.join(str(word) for word in part.command))}",
                f"directory = {value(part.directory)}",
                f"environment = {environment}",
                f"user = {part.user}",
                f"priority = {ORDER.index(part.name)}",
                "autostart = false",
                "autorestart = true",
                # With more than 0 a part that dies young is given up after some tries.
                "startsecs = 0",
                f"stopsignal = {part.stop_signal}",
                f"stopwaitsecs = {part.patience}",
                "redirect_stderr = true",
                f"stdout_logfile = {value(self.log(part.name))}",
                "stdout_logfile_maxbytes = 10MB",
                "stdout_logfile_backups = 3",
            ]
        return "\n".join(lines) + "\n"

    # --- start, wait, stop -------------------------------------------------------------------------------------

    def start(self, part: str) -> None:
        if self._call("getProcessInfo", part)["statename"] not in ("RUNNING", "STARTING", "BACKOFF"):
            self._call("startProcess", part, False)

    def wait(self, part: str, answers: Callable[[], bool], *, timeout: float = 30, needs: Sequence[str] = ()) -> None:
        """Until `answers()`.

        Raises Stop with the end of the log when it takes too long, or when the part or one that it needs keeps dying.
        """
        until = time.monotonic() + timeout
        seen: dict[str, set[int]] = {name: set() for name in (part, *needs)}
        while not answers():
            states = self.states()
            for name, pids in seen.items():
                pids.add(states[name]["pid"])
                if len(pids - {0}) > 3:
                    raise Stop(self._complaint(f"{name} keeps ending", name))
            if time.monotonic() > until:
                raise Stop(self._complaint(f"{part} does not answer after {timeout:.0f} s", part, *needs))
            time.sleep(0.05)

    def check_steady(self, before: Mapping[str, Mapping[str, Any]]) -> None:
        """Raises Stop when a part is not the process that it was in `before`, which is from states()."""
        for name, now in self.states().items():
            if now["state"] != "running" or now["pid"] != before[name]["pid"]:
                raise Stop(self._complaint(f"{name} keeps ending", name))

    def _complaint(self, what: str, *parts: str) -> str:
        return "\n".join([f"{what}.", *(f"The end of {self.log(name)}:\n{tail(self.log(name))}" for name in parts)])

    def stop(self, part: str) -> None:
        """Stop it and wait for its end; one that does not run is fine."""
        info = next((i for i in self._call("getAllProcessInfo") if i["name"] == part), None)
        if info and info["statename"] in ("RUNNING", "STARTING", "BACKOFF"):
            self._call("stopProcess", part, True)

    def shutdown(self) -> None:
        """Stop all parts and supervisord itself, and wait for its end."""
        pid = self.pid()
        if pid is None:
            return
        handle = os.pidfd_open(pid)
        try:
            self._call("shutdown")
            # The sum of what the parts may take.
            select.select([handle], [], [], 90)
        finally:
            os.close(handle)

    def _call(self, method: str, *arguments: object) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        server = xmlrpc.client.ServerProxy("http://supervisor", transport=transport)
        try:
            return getattr(server.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException) as error:
            raise Stop(f"the supervisor does not answer ({error}).") from None
        except xmlrpc.client.Fault as fault:
            raise Stop(
                f"the supervisor refused {method} {' '.join(map(str, arguments))}: {fault.faultString}"
            ) from None
        finally:
            transport.close()
