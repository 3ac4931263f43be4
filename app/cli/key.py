"""SSH keys of accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli import output
from app.cli.account import Login
from app.cli.output import AsJson

app = typer.Typer(name="key", no_args_is_help=True, help="SSH keys of accounts.")


@app.command("add")
def add(
    login: Login,
    file: Annotated[Path, typer.Argument(help="An OpenSSH public key file.", show_default=False)],
    name: Annotated[str, typer.Option(help="What to call it; the file's name if not given.")] = "",
) -> None:
    """Register a public key; prints its fingerprint."""
    typer.echo(output.operator().add_key(login, name or file.stem, file.read_text()))


@app.command("list")
def list_(login: Login, as_json: AsJson = False) -> None:
    """The keys of an account."""
    _, keys = output.operator().account(login)
    if as_json:
        output.show_json([{"name": k.name, "fingerprint": k.fingerprint} for k in keys])
        return
    output.show_table(("name", "fingerprint"), [(k.name, k.fingerprint) for k in keys])


@app.command("remove")
def remove(login: Login, fingerprint: Annotated[str, typer.Argument(help="SHA256:...", show_default=False)]) -> None:
    """Remove a key; the connections that use it are cut within seconds."""
    output.operator().remove_key(login, fingerprint)
