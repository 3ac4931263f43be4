"""The pool of addresses that account networks are cut from. It is a setting: SDC_NETWORK_POOL."""

from __future__ import annotations

import typer

from app.cli import output
from app.cli.output import AsJson
from app.settings import Settings

app = typer.Typer(name="network-pool", no_args_is_help=True, help="Addresses of account networks (SDC_NETWORK_POOL).")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """The pool: what of it is used and what is free."""
    pools, _ = output.inventory().pools(Settings.from_environ())
    keys = ("pool", "subnets", "taken", "free", "outside")
    rows = [(str(p.pool), p.subnets, p.taken, p.free, p.outside) for p in pools]
    if as_json:
        output.show_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    output.show_table(("pool", "subnets of /24", "taken", "free", "networks outside of it"), rows)


@app.command("networks")
def networks(as_json: AsJson = False) -> None:
    """Every account's networks with their subnets."""
    _, found = output.inventory().pools(Settings.from_environ())
    if as_json:
        output.show_json(found)
        return
    rows = [(n["subnet"], n["account"], n["name"], n["containers"], "yes" if n["ready"] else "not yet") for n in found]
    output.show_table(("subnet", "account", "network", "containers", "made"), rows)
