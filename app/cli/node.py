"""Compute nodes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.cli import output
from app.cli.output import AsJson

app = typer.Typer(name="node", no_args_is_help=True, help="Compute nodes.")

Name = Annotated[str, typer.Argument(help="The node's name.", show_default=False)]


@app.command("add")
def add(
    name: Name,
    url: Annotated[str, typer.Argument(help="unix:///path of a Docker Engine's socket.", show_default=False)],
    public_address: Annotated[str, typer.Option(help="Where its published ports are reached.")] = "",
) -> None:
    """Enroll an engine as a compute node. Enrolling it again brings its row up to date."""
    node = output.operator().add_node(name, url, public_address)
    typer.echo(f"node {node.name}: engine {node.engine_version}, API {node.api_version}")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All nodes: whether they answer, what they have and what of it is used."""
    found = output.inventory().nodes()
    if as_json:
        output.show_json(found)
        return
    rows = [
        (
            n["name"],
            n["state"] + (", cordoned" if n["cordoned"] else ""),
            n["engine_version"],
            n["containers"],
            f"{output.cpus(n['used_nano_cpus'])} of {n['cpus']}",
            f"{output.size(n['used_memory'])} of {output.size(n['memory'])}",
            n["url"],
            n["public_address"],
        )
        for n in found
    ]
    output.show_table(("name", "state", "engine", "containers", "cpus", "memory", "url", "public address"), rows)


@app.command("show")
def show(name: Name, as_json: AsJson = False) -> None:
    """A node: capacity and use, packages, its engine, when it was seen, who follows it."""
    node, packages = output.inventory().node(name)
    if as_json:
        output.show_json({**node, "packages": packages})
        return
    output.show_facts(_facts(node))
    if packages:
        output.show_table(("package", "containers"), [(p["package"], p["containers"]) for p in packages])


def _facts(n: dict[str, Any]) -> dict[str, Any]:
    cordoned = f"yes: {n['cordon_reason']}" if n["cordon_reason"] else "yes"
    observer = f"{n['observer_host']}, process {n['observer_pid']}" if n["leased"] and n["observer_host"] else "nobody"
    return {
        "node": n["name"],
        "state": n["state"],
        "cordoned": cordoned if n["cordoned"] else "no",
        "engine": f"{n['engine_version']}, spoken to in API {n['api_version']}",
        "engine id": n["engine_id"],
        "url": n["url"],
        "public address": n["public_address"] or "-",
        "cpus": f"{output.cpus(n['used_nano_cpus'])} of {n['cpus']} given to containers",
        "memory": f"{output.size(n['used_memory'])} of {output.size(n['memory'])} given to containers",
        "containers": f"{n['containers']}, {n['running']} running",
        "volumes": n["volumes"],
        "images": n["images"],
        "unfinished": f"{n['pending']} operations",
        "last seen": n["seen_at"],
        "followed by": observer,
        "lease until": n["lease_until"],
        "enrolled": n["created_at"],
    }


@app.command("cordon")
def cordon(name: Name, reason: Annotated[str, typer.Option(help="Why, for whoever looks later.")] = "") -> None:
    """Give the node no new containers; those that it has go on."""
    output.operator().cordon(name, True, reason)


@app.command("uncordon")
def uncordon(name: Name) -> None:
    """Give the node new containers again."""
    output.operator().cordon(name, False)


@app.command("remove")
def remove(name: Name) -> None:
    """Forget a node that has no containers and no volumes. Its engine is left as it is."""
    output.operator().remove_node(name)
