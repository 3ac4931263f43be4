"""The measurements. Each gives rows; `ours` and its base are visited in turn within each round."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.bench.report import Limit, Row, compared
from tests.bench.sides import ACCOUNT, Client, Side, Sides, hijack
from tests.e2e.stack import clis
from tests.machine import busybox_archive, private_engine

MIB = 1 << 20
LABEL = {"made-for": "bench"}
PHASES = ("create", "start", "wait", "remove")

clock = time.perf_counter

#: Name of a side -> what one round took.
Round = Callable[[Side], Mapping[str, float]]


def _in_turn(sides: Sequence[Side], rounds: int, measure: Round) -> dict[str, list[list[float]]]:
    """`measure` once per side and round, after one round that does not count: figure -> its values, side by side."""
    found: dict[str, list[list[float]]] = {}
    for number in range(-1, rounds):
        for turn in range(len(sides)):
            index = (number + turn) % len(sides)
            told = measure(sides[index])
            if number >= 0:
                for name, value in told.items():
                    found.setdefault(name, [[] for _ in sides])[index].append(value)
    return found


# -- containers that start ------------------------------------------------------------------------------------------


CLI_LIMIT: Limit = ("<=", 1.15)
API_LIMIT: Limit = ("<=", 1.2)

#: Every container of the service is on a network of its account, where containers have names. An engine's default
#: bridge has none; on any other network a start sets up the engine's name server, which is a good part of a start.
#: So there are two bases: what `docker run` does by itself, and the same container as the service makes.
NETWORKED = "beside the engine with a network of its own"


def cli(sides: Sides, pairs: int) -> list[Row]:
    """docker run --rm busybox true"""
    program = clis()[max(clis(), key=int)]

    def run(side: Side) -> dict[str, float]:
        network = ["--network", side.network] if side.network else []
        command = [program, "run", "--rm", "--label", "made-for=bench", *network, side.image, "true"]
        began = clock()
        done = subprocess.run(
            command, env=side.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
        )
        took = clock() - began
        assert done.returncode == 0, f"{side.name}: {done.stderr!r}"
        return {"run": took * 1000}

    ours, base, networked = _in_turn((sides.ours, sides.engine, sides.networked), pairs, run)["run"]
    return [
        compared("docker run --rm busybox true", "ms", ours, base, sides.engine.name, CLI_LIMIT),
        compared(f"  {NETWORKED}", "ms", ours, networked, sides.networked.name, CLI_LIMIT),
        compared("  [engine, own network : engine, default]", "ms", networked, base, sides.engine.name),
    ]


def api(sides: Sides, pairs: int) -> list[Row]:
    """create + start + wait + remove, one after the other on one connection."""
    all_sides = (sides.ours, sides.engine, sides.networked)
    with contextlib.ExitStack() as stack:
        clients = {side: stack.enter_context(side.client()) for side in all_sides}

        def cycle(side: Side) -> dict[str, float]:
            client = clients[side]
            body: dict[str, Any] = {"Image": side.image, "Cmd": ["true"], "Labels": LABEL}
            if side.network:
                body["HostConfig"] = {"NetworkMode": side.network}
            times = [clock()]
            made = client.call("POST", "/containers/create", body)
            times.append(clock())
            client.call("POST", f"/containers/{made['Id']}/start")
            times.append(clock())
            assert client.call("POST", f"/containers/{made['Id']}/wait")["StatusCode"] == 0
            times.append(clock())
            client.call("DELETE", f"/containers/{made['Id']}")
            times.append(clock())
            took = {phase: (times[i + 1] - times[i]) * 1000 for i, phase in enumerate(PHASES)}
            return {"whole": (times[-1] - times[0]) * 1000, **took}

        found = _in_turn(all_sides, pairs, cycle)
    ours, base, networked = found["whole"]
    rows = [
        compared("create + start + wait + remove", "ms", ours, base, sides.engine.name, API_LIMIT),
        *(compared(f"  {phase}", "ms", found[phase][0], found[phase][1], sides.engine.name) for phase in PHASES),
        compared(f"  {NETWORKED}", "ms", ours, networked, sides.networked.name, API_LIMIT),
    ]
    for phase in PHASES:
        mine, _, theirs = found[phase]
        rows.append(compared(f"    {phase}", "ms", mine, theirs, sides.networked.name))
    rows.append(compared("  [engine, own network : engine, default]", "ms", networked, base, sides.engine.name))
    return rows


# -- lists ----------------------------------------------------------------------------------------------------------


def listing(sides: Sides, containers: int, rounds: int) -> list[Row]:
    """All containers of one account, beside an engine that has as many, made of an image by its name as people do.

    An engine looks the name up again for each container of a list. Those that the service makes on its engine refer to
    the image by id, and listing them there is the second figure.
    """
    quota = ["--containers", str(containers + 100), "--memory", "4t", "--cpus", "100000"]
    done = sides.stack.sdc_docker("account", "quota", ACCOUNT, *quota)
    assert done.code == 0, done.said
    with private_engine() as other:
        status, answer = other.call("POST", "/images/load", busybox_archive())
        assert status == 200, answer
        stock = Side("another stock engine", "busybox", {}, path=other.socket)
        all_sides = (sides.ours, stock, sides.engine)
        for side in (sides.ours, stock):
            began = clock()
            _create_many(side, containers)
            print(f"{containers} containers created on {side.name} in {clock() - began:.0f} s", flush=True)
        try:
            with contextlib.ExitStack() as stack:
                clients = {side: stack.enter_context(side.client()) for side in all_sides}

                def fetch(side: Side) -> dict[str, float]:
                    # An engine goes on for a while after a long answer, collecting garbage; that is not the next one's.
                    time.sleep(0.1)
                    before = clock()
                    body = clients[side].bytes("GET", "/containers/json?all=1")
                    took = clock() - before
                    assert body.count(b'"Id":') >= containers, f"{side.name}: {body[:200]!r}"
                    return {"list": took * 1000}

                ours, base, by_id = _in_turn(all_sides, rounds, fetch)["list"]
        finally:
            _remove_all(sides.ours)
    return [
        compared(f"list of {containers:,} containers", "ms", ours, base, stock.name, ("<=", 0.1)),
        compared("  made of image ids", "ms", ours, by_id, sides.engine.name),
    ]


def _create_many(side: Side, count: int) -> None:
    body = {"Image": side.image, "Cmd": ["true"], "Labels": LABEL}
    _from_four(side, range(count), lambda client, _: client.call("POST", "/containers/create", body))


def _remove_all(side: Side) -> None:
    with side.client() as client:
        listed = client.call("GET", "/containers/json?all=1")
    _from_four(side, listed, lambda client, found: client.bytes("DELETE", f"/containers/{found['Id']}?force=1"))


def _from_four(side: Side, items: Sequence[Any], call: Callable[[Client, Any], object]) -> None:
    """`call` for each item, from four clients at a time."""

    def share(first: int) -> None:
        with side.client() as client:
            for item in items[first::4]:
                call(client, item)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(share, range(4)))


# -- streams --------------------------------------------------------------------------------------------------------


def _sleepers(sides: Sides) -> dict[Side, str]:
    """A running container for each of the two sides that streams are compared on."""
    found = {}
    for side in (sides.ours, sides.fronted):
        with side.client() as client:
            body = {"Image": side.image, "Cmd": ["sleep", "3600"], "Labels": LABEL}
            found[side] = client.call("POST", "/containers/create", body)["Id"]
            client.call("POST", f"/containers/{found[side]}/start")
    return found


def _remove(sleepers: dict[Side, str]) -> None:
    for side, container in sleepers.items():
        with side.client() as client:
            client.call("DELETE", f"/containers/{container}?force=1")


def _exec(side: Side, container: str, command: list[str], *, stdin: bool) -> tuple[Any, bytes]:
    with side.client() as client:
        body = {"AttachStdin": stdin, "AttachStdout": True, "AttachStderr": True, "Cmd": command}
        made = client.call("POST", f"/containers/{container}/exec", body)
    return hijack(side, f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})


def echo(sides: Sides, rounds: int, *, echoes: int = 100) -> list[Row]:
    """64 bytes to `cat` and back, framed by the engine; a round is the median of many on an open exec."""
    sleepers = _sleepers(sides)
    pair = (sides.ours, sides.fronted)
    opened = {side: _exec(side, sleepers[side], ["cat"], stdin=True)[0] for side in pair}
    message = b"x" * 63 + b"\n"
    try:

        def trips(side: Side) -> dict[str, float]:
            sock = opened[side]
            took = []
            for _ in range(echoes):
                began = clock()
                sock.sendall(message)
                missing = 8 + len(message)
                while missing:
                    missing -= len(sock.recv(missing))
                took.append(clock() - began)
            return {"echo": sorted(took)[len(took) // 2] * 1000}

        found = _in_turn(pair, rounds, trips)["echo"]
    finally:
        for sock in opened.values():
            sock.close()
        _remove(sleepers)
    return [compared("echo of 64 bytes through exec cat", "ms", found[0], found[1], sides.fronted.name, ("<=", 1.6))]


def output(sides: Sides, rounds: int, *, size: int = 256 * MIB) -> list[Row]:
    """`size` bytes of zeros out of an exec, framed by the engine."""
    sleepers = _sleepers(sides)
    buffer = bytearray(MIB)
    try:

        def read(side: Side) -> dict[str, float]:
            sock, rest = _exec(side, sleepers[side], ["head", "-c", str(size), "/dev/zero"], stdin=False)
            with sock:
                began, total = clock(), len(rest)
                while count := sock.recv_into(buffer):
                    total += count
                took = clock() - began
            assert total > size, f"{side.name}: {total} bytes"
            return {"speed": size / MIB / took}

        found = _in_turn((sides.ours, sides.fronted), rounds, read)["speed"]
    finally:
        _remove(sleepers)
    return [compared("exec output of 256 MiB", "MiB/s", found[0], found[1], sides.fronted.name, (">=", 0.9))]


# -- memory ---------------------------------------------------------------------------------------------------------


def memory(sides: Sides) -> list[Row]:
    """Each of our processes, as it is now. PSS counts a page that n processes share as 1/n, RSS as whole."""
    rows, sums = [], {"PSS": 0.0, "RSS": 0.0}
    for part in ("nginx", "gunicorn", "observer"):
        for number, pid in enumerate(_family(sides.stack.pid(part))):
            told = Path(f"/proc/{pid}/smaps_rollup").read_text()
            figures = {name.upper(): int(kib) / 1024 for name, kib in re.findall(r"^(Pss|Rss): +(\d+) kB", told, re.M)}
            for kind, value in figures.items():
                sums[kind] += value
            role = part if number == 0 else f"{part} worker"
            rows += [Row(f"  {role} {kind}", "MiB", figures[kind]) for kind in sums]
    return [Row(f"our processes, idle, {kind}", "MiB", value) for kind, value in sums.items()] + rows


def _family(pid: int) -> list[int]:
    """A process and its descendants, the first first."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except FileNotFoundError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry))
    found = [pid]
    for parent in found:
        found += sorted(children.get(parent, []))
    return found
