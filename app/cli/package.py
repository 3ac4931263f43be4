"""Packages: the sizes on offer."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli import output
from app.cli.output import AsJson

app = typer.Typer(name="package", no_args_is_help=True, help="Packages: the sizes that containers have.")

Name = Annotated[str, typer.Argument(help="The package's name.", show_default=False)]

#: Of a package that names no other: times its memory.
SWAP, DISK = 4, 25


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All packages, the smallest first."""
    found = output.inventory().packages()
    if as_json:
        output.show_json(found)
        return
    rows = [
        (
            p["name"],
            output.size(p["memory"]),
            output.size(p["swap"]),
            output.cpus(p["nano_cpus"]),
            output.size(p["disk"]),
            p["pids"],
            p["containers"],
            "withdrawn" if p["disabled_at"] else "on offer",
        )
        for p in found
    ]
    output.show_table(("name", "memory", "swap", "cpus", "disk", "pids", "containers", "state"), rows)


@app.command("add")
def add(
    name: Name,
    memory: Annotated[str, typer.Option(help="Like 512m or 64g.")],
    cpus: Annotated[float, typer.Option(min=0.01, help="Like 2 or 0.5.")],
    swap: Annotated[str, typer.Option(help="On top of the memory; 4 times as much if not given.")] = "",
    disk: Annotated[str, typer.Option(help="25 times the memory if not given.")] = "",
    pids: Annotated[int, typer.Option(min=0, help="Most processes; grows with the memory if not given.")] = 0,
) -> None:
    """Offer another size."""
    size = output.read_size(memory)
    if size < 6 << 20:
        raise typer.BadParameter("a container needs at least 6m of memory")
    output.operator().add_package(
        name,
        memory=size,
        swap=output.read_size(swap) if swap else SWAP * size,
        nano_cpus=round(cpus * 10**9),
        disk=output.read_size(disk) if disk else DISK * size,
        pids=pids or min(512 + (size >> 21), 32768),
    )


@app.command("disable")
def disable(name: Name) -> None:
    """Withdraw a package: no new container gets it; those that have it keep it."""
    output.operator().set_package_disabled(name, True)


@app.command("enable")
def enable(name: Name) -> None:
    """Offer a withdrawn package again."""
    output.operator().set_package_disabled(name, False)
