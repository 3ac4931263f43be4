"""Containers that start, run and end."""

from __future__ import annotations

import contextlib
import subprocess
from typing import Any

from tests.bench.measures.turns import LABEL, clock, in_turn
from tests.bench.report import Limit, Row, compared
from tests.bench.sides import Side, Sides
from tests.e2e.stack import clis

PHASES = ("create", "start", "wait", "remove")

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

    ours, base, networked = in_turn((sides.ours, sides.engine, sides.networked), pairs, run)["run"]
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

        found = in_turn(all_sides, pairs, cycle)
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
