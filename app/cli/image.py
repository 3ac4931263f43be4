"""Images of accounts."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli import output
from app.cli.output import AsJson

app = typer.Typer(name="image", no_args_is_help=True, help="Images of accounts.")

#: Digits of an id that people get to see.
SHORT = len("sha256:") + 12


@app.command("list")
def list_(
    account: Annotated[str, typer.Option(help="Of this account only.")] = "",
    node: Annotated[str, typer.Option(help="On this node only.")] = "",
    unused: Annotated[bool, typer.Option("--unused", help="Only those that no container of the account uses.")] = False,
    as_json: AsJson = False,
) -> None:
    """Images by account, the largest first: names, size, the nodes that hold them, containers that use them."""
    found = [i for i in output.inventory().images(account, node) if not (unused and i["containers"])]
    if as_json:
        output.show_json(found)
        return
    rows = [
        (
            i["account"],
            i["id"][:SHORT],
            ", ".join(_familiar(name) for name in i["names"]) or "-",
            output.size(i["size"]),
            ", ".join(i["nodes"]) or "-",
            i["containers"],
            i["added_at"],
        )
        for i in found
    ]
    output.show_table(("account", "id", "names", "size", "nodes", "containers", "since"), rows)


def _familiar(name: str) -> str:
    """As people type it: without Docker's own registry."""
    return name.removeprefix("docker.io/").removeprefix("library/")
