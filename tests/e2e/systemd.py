"""A machine with systemd as its first process, in namespaces of its own over this machine's files.

Nothing of it stays: what it writes is in memory, its network is its own and has no way out, its cgroup is removed, and
kernel settings are read-only to it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.machine import ROOT, folder, wait_until

CHECKOUT = "/opt/sdc-docker"

#: Units of a machine that boots for real; some of them write kernel settings.
_NOT_HERE = (
    "systemd-sysctl.service systemd-modules-load.service systemd-binfmt.service systemd-udevd.service"
    " systemd-udev-trigger.service systemd-remount-fs.service systemd-random-seed.service systemd-timesyncd.service"
    " systemd-journald-audit.socket systemd-networkd.service proc-sys-fs-binfmt_misc.automount dev-hugepages.mount"
    " sys-kernel-debug.mount sys-kernel-tracing.mount network-online.target kmod-static-nodes.service"
)

_BOOT = """
set -eu
work=$1 checkout=$2 packages=$3 postgres=$4
mount --make-rprivate /
mount -t tmpfs tmpfs "$work"
mkdir "$work/up" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/up,workdir=$work/work" "$work/root"
cd "$work/root"
mkdir -p opt/sdc-docker srv/postgres
for part in app deploy migrations; do
    mkdir "opt/sdc-docker/$part" && mount --bind "$checkout/$part" "opt/sdc-docker/$part"
done
mkdir opt/sdc-docker/venv && mount --bind "$packages" opt/sdc-docker/venv
mount --bind "$postgres" srv/postgres
mount -t proc proc proc
mount --bind proc/sys proc/sys && mount -o remount,ro,bind proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do touch dev/$node && mount --bind /dev/$node dev/$node; done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
rm -rf var/log/journal etc/machine-id etc/systemd/system
mkdir -p etc/systemd/system etc/sdc-docker/tls
touch etc/machine-id
for unit in UNITS; do ln -s /dev/null "etc/systemd/system/$unit"; done
printf '[Unit]\\nRequires=basic.target\\nAfter=basic.target\\n' > etc/systemd/system/test.target
ip link set lo up
export container=test
exec chroot . /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=0
""".replace("UNITS", _NOT_HERE)


class Machine:
    """A booted one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def command(self, *words: str) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-a", "-r", "-w", "--", *words]

    def run(self, *words: str, check: bool = True, input: str = "", timeout: float = 60) -> str:
        """Run a command there; its output, errors included."""
        done = subprocess.run(
            self.command(*words),
            input=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )
        assert not check or done.returncode == 0, f"{shlex.join(words)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def write(self, path: str, content: str, mode: str = "644") -> None:
        self.run("sh", "-c", f"cat > {path}.new && chmod {mode} {path}.new && mv {path}.new {path}", input=content)

    def systemctl(self, *words: str, check: bool = True) -> str:
        return self.run("systemctl", "--no-pager", *words, check=check)

    def show(self, unit: str, name: str) -> str:
        return self.systemctl("show", "--value", "-p", name, unit).strip()

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, check=False)

    def wait(self, unit: str, state: str, timeout: float = 60) -> None:
        until = time.monotonic() + timeout
        while (now := self.show(unit, "ActiveState")) != state:
            assert time.monotonic() < until, f"{unit} is {now} and not {state}\n{self.journal(unit)[-3000:]}"
            time.sleep(0.1)


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@contextlib.contextmanager
def machine(postgres: str, environ: Mapping[str, str] = os.environ) -> Iterator[Machine]:
    """Boot one; `postgres` is the folder of a cluster's socket, there at /srv/postgres."""
    hierarchy = Path("/sys/fs/cgroup/unified")
    if not (hierarchy / "cgroup.procs").exists():
        hierarchy = Path("/sys/fs/cgroup")
    with folder("systemd") as home:
        cgroup = hierarchy / home.name
        cgroup.mkdir()
        work, log = home / "work", home / "log"
        work.mkdir()
        enter = f'echo $$ > {cgroup}/cgroup.procs && exec unshare -fpmCuin --kill-child -- sh -c "$0" boot "$@"'
        arguments = [_BOOT, str(work), str(ROOT), sys.prefix, postgres]
        with log.open("wb") as output:
            process = subprocess.Popen(["sh", "-c", enter, *arguments], stdout=output, stderr=output, env=dict(environ))
        try:
            wait_until(lambda: process.poll() is not None or _children(process.pid), "the namespaces", log=log)
            assert process.poll() is None, log.read_text()
            booted = Machine(_children(process.pid)[0])
            wait_until(
                lambda: "active" in booted.systemctl("is-active", "test.target", check=False).split(),
                "systemd",
                log=log,
            )
            yield booted
        finally:
            # The first process of a PID namespace takes all others with it.
            for child in _children(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            process.kill()
            process.wait(20)
            for path in sorted([cgroup, *cgroup.rglob("*")], key=lambda path: -len(path.parts)):
                if path.is_dir():
                    _remove(path)


def _remove(cgroup: Path) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            cgroup.rmdir()
            return
        except OSError:
            # Its processes are ending.
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
