"""The database: its state, its schema, how to back it up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from alembic import command as alembic_command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory

from app.cli import output
from app.cli.output import AsJson
from app.services.doctor.database import Database
from app.settings import Places, Settings
from app.store import description

app = typer.Typer(name="db", no_args_is_help=True, help="The database: its state, its schema, how to back it up.")

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def _alembic() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def head() -> str:
    """The revision that this version of the service needs."""
    return ScriptDirectory.from_config(_alembic()).get_current_head() or ""


@app.command("status")
def status(as_json: AsJson = False) -> None:
    """Revision, size, connections, the longest transaction."""
    facts: dict[str, Any] = {**Database(output.store()).facts(), "head": head()}
    if as_json:
        output.show_json(facts)
        return
    at_head = facts["revision"] == facts["head"]
    output.show_facts(
        {
            "server": facts["server"],
            "database": facts["name"],
            "revision": (facts["revision"] or "none") + ("" if at_head else f", this version needs {facts['head']}"),
            "size": output.size(facts["size"]),
            "connections": f"{facts['connections']} of {facts['max_connections']}, {facts['ours']} are the service's",
            "longest transaction": f"{facts['oldest_transaction_seconds']:.0f} s",
        }
    )


@app.command("upgrade")
def upgrade() -> None:
    """Bring the schema to the newest revision."""
    os.environ["SDC_DATABASE_URL"] = Settings.from_environ().database_url
    alembic_command.upgrade(_alembic(), "head")


@app.command("describe")
def describe(
    into: Annotated[Path | None, typer.Option(help="A Markdown page whose marked parts are made anew.")] = None,
) -> None:
    """The schema as the database has it: a picture of the tables, and every table, view and column with its comment."""
    with output.store().autocommit() as tx:
        parts = description.describe(tx)
    if into is None:
        typer.echo("\n".join(parts.values()))
    else:
        into.write_text(description.renewed(into.read_text(), parts))


@app.command("backup")
def backup() -> None:
    """Print how to back the data center up: the database, and what is not in it."""
    settings, places = Settings.from_environ(), Places.from_environ()
    url = settings.database_url.replace("+psycopg2", "", 1)
    typer.echo("# The database; while the service runs is fine:")
    typer.echo(f"pg_dump --format=custom --file=sdc-docker.dump '{_without_password(url)}'")
    typer.echo("# Back into an empty one:")
    typer.echo(f"pg_restore --clean --if-exists --no-owner --dbname='{_without_password(url)}' sdc-docker.dump")
    typer.echo("# And these files, to a place that is as safe as they are:")
    kept = {
        "the CA's certificate, which every client trusts": settings.ca_file,
        "the CA's key, the secret of the data center": places.ca_key,
        "the endpoint's certificate": places.server_cert,
        "the endpoint's key": places.server_key,
    }
    if settings.registry_auth_file:
        kept["the registry's user and password"] = settings.registry_auth_file
    for what, path in kept.items():
        typer.echo(f"{path or '(not told by a setting)'}    # {what}")
    typer.echo("# Containers, volumes and images are on the nodes' engines: their data folders are backed up there.")


def _without_password(url: str) -> str:
    """pg_dump takes the password from PGPASSWORD or ~/.pgpass; it is not to stand on a screen."""
    scheme, _, rest = url.partition("://")
    who, at, where = rest.rpartition("@")
    return f"{scheme}://{who.partition(':')[0]}{at}{where}"
