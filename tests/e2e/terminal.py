"""A program in a terminal, as a person sits at one: keys in, screen out, and a window that changes its size."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

CTRL_C = b"\x03"
CTRL_D = b"\x04"
#: What detaches unless somebody chose other keys: ctrl-p ctrl-q.
DETACH = b"\x10\x11"


class Terminal:
    def __init__(self, command: Sequence[str], env: Mapping[str, str], rows: int = 24, columns: int = 80) -> None:
        self._master, slave = pty.openpty()
        self.resize(rows, columns)
        # setsid --ctty makes the terminal the program's own, so that Ctrl-C and a new size reach it as signals.
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *command], env=dict(env) | {"TERM": "xterm"}, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        self._unread = b""
        #: All that was ever shown.
        self.screen = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def expect(self, pattern: bytes, timeout: float = 60) -> re.Match[bytes]:
        """Wait until the screen shows `pattern` behind what was expected before."""
        until = time.monotonic() + timeout
        while not (match := re.search(pattern, self._unread)):
            left = until - time.monotonic()
            assert left > 0 and self._read(left), f"not shown in {timeout} s: {pattern!r}\n{self.screen!r}"
        self._unread = self._unread[match.end() :]
        return match

    def ask(self, line: bytes, pattern: bytes, timeout: float = 60) -> None:
        """Type a line to a shell again and again until the answer fits: a new window size needs a moment."""
        until = time.monotonic() + timeout
        while True:
            self.type(line + b"\r")
            try:
                self.expect(pattern, 1.0)
                return
            except AssertionError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise

    def change_window(self, rows: int, columns: int, timeout: float = 60) -> None:
        """Change the window's size, and have a shell in it say so.

        The docker CLI listens for changes only once the first size was set, and the shell may be quicker: a change that
        nobody heard is made again.
        """
        until = time.monotonic() + timeout
        while True:
            self.resize(rows - 1, columns)
            self.resize(rows, columns)
            try:
                self.ask(b"stty size", b"%d %d\r\n" % (rows, columns), 2)
                return
            except AssertionError:
                if time.monotonic() > until:
                    raise

    def wait(self, timeout: float = 60) -> int:
        """The program's exit code; what it still shows is read."""
        until = time.monotonic() + timeout
        while self._process.poll() is None and time.monotonic() < until:
            self._read(0.1)
        assert self._process.poll() is not None, f"did not end in {timeout} s:\n{self.screen!r}"
        while self._read(0.1):
            pass
        return self._process.returncode

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)
        os.close(self._master)

    def _read(self, timeout: float) -> bool:
        """Read what is shown within `timeout` seconds; False when there was nothing or the program is gone."""
        if not select.select([self._master], [], [], timeout)[0]:
            return False
        data = b""
        with contextlib.suppress(OSError):  # EIO: nobody holds the other end any more
            data = os.read(self._master, 65536)
        self.screen += data
        self._unread += data
        return bool(data)
