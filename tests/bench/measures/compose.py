"""A stack of five services that comes and goes, with Compose v2."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from tests import postgres_image
from tests.bench.measures.turns import clock, in_turn
from tests.bench.report import Limit, Row, compared
from tests.bench.sides import ACCOUNT, Side, Sides
from tests.e2e.compose import BUILT, SHOP, V2, Compose
from tests.e2e.stack import Stack

LIMIT: Limit = ("<=", 1.25)


def compose(sides: Sides, rounds: int) -> list[Row]:
    """`compose up -d` and `compose down -v`; up waits until the database is healthy."""
    with tempfile.TemporaryDirectory() as folder:
        images = _images(sides.stack, Path(folder))
        projects = {}
        for side in (sides.ours, sides.engine):
            place = Path(folder) / side.name
            place.mkdir()
            projects[side] = Compose(V2, {**side.env, **images}, place, project="bench")
            projects[side].write(BUILT)

        def turn(side: Side) -> dict[str, float]:
            project = projects[side]
            times = [clock()]
            for words in (("up", "-d"), ("down", "-v")):
                project(*words)
                times.append(clock())
            up, down = (after - before for before, after in itertools.pairwise(times))
            return {"whole": up + down, "up": up, "down": down}

        try:
            found = in_turn((sides.ours, sides.engine), rounds, turn)
        finally:
            for project in projects.values():
                project("down", "-v", "-t", "0", check=False)
    name = sides.engine.name
    return [
        compared("compose up + down, five services", "s", *found["whole"], name, LIMIT),
        *(compared(f"  {phase}", "s", *found[phase], name) for phase in ("up", "down")),
    ]


def _images(stack: Stack, folder: Path) -> dict[str, str]:
    """Variable of the stack's file -> id: the engine has what the account has built, by the same id."""
    stack.docker(ACCOUNT, "build", "-q", "-t", postgres_image.NAME, "-", input=postgres_image.context(), timeout=150)
    place = folder / "built"
    place.mkdir()
    project = Compose(V2, stack.env(ACCOUNT), place, project="bench")
    project.write(SHOP)
    project("build")
    names = {"WEB": "shop-web", "APP": "shop-app", "BUSYBOX": "busybox", "POSTGRES": postgres_image.NAME}
    return {
        variable: stack.request(ACCOUNT, "GET", f"/v1.44/images/{name}/json").json()["Id"]
        for variable, name in names.items()
    }
