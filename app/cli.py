"""`sdc-docker`: the operator's command. Exit status 0 done, 1 refused, 2 wrong usage."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from alembic import command as alembic_command
from alembic.config import Config as AlembicConfig
from rich.console import Console
from rich.table import Table

from app.errors import Error
from app.services.operator import Operator
from app.settings import Settings
from app.store.session import Store

app = typer.Typer(no_args_is_help=True, help="Operate an SDC Docker data center. Settings come from SDC_* variables.")
account_app = typer.Typer(no_args_is_help=True, help="Accounts and their quota.")
key_app = typer.Typer(no_args_is_help=True, help="SSH keys of accounts.")
node_app = typer.Typer(no_args_is_help=True, help="Compute nodes.")
db_app = typer.Typer(no_args_is_help=True, help="The database's schema.")
for name, sub in (("account", account_app), ("key", key_app), ("node", node_app), ("db", db_app)):
    app.add_typer(sub, name=name)

AsJson = Annotated[bool, typer.Option("--json", help="Machine readable output.")]

_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def _operator() -> Operator:
    return Operator(Store(Settings.from_environ().database_url, pool=1))


def _show(as_json: bool, columns: Iterable[str], rows: list[dict[str, Any]]) -> None:
    if as_json:
        typer.echo(json.dumps(rows, default=str))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(row[column]) for column in columns))
    Console().print(table)


@account_app.command("add")
def account_add(
    login: str, key: Annotated[Path | None, typer.Option(help="An OpenSSH public key file.")] = None
) -> None:
    """Add an account, with a first key where one is given."""
    _operator().add_account(login)
    if key:
        key_add(login, key)


@account_app.command("list")
def account_list(as_json: AsJson = False) -> None:
    """All accounts with what they use."""
    rows = [
        {
            "login": a.login,
            "state": "disabled" if a.disabled else "enabled",
            "containers": f"{a.used_containers}/{a.max_containers}",
            "memory": f"{a.used_memory >> 20}/{a.max_memory >> 20} MiB",
            "cpus": f"{a.used_nano_cpus / 1e9:g}/{a.max_nano_cpus / 1e9:g}",
        }
        for a in _operator().list_accounts()
    ]
    _show(as_json, ("login", "state", "containers", "memory", "cpus"), rows)


@account_app.command("show")
def account_show(login: str, as_json: AsJson = False) -> None:
    """An account and its keys."""
    account, keys = _operator().account(login)
    if as_json:
        row = {**account.__dict__, "keys": [{"name": k.name, "fingerprint": k.fingerprint} for k in keys]}
        typer.echo(json.dumps(row, default=str))
        return
    typer.echo(f"{account.login} ({'disabled' if account.disabled else 'enabled'})")
    _show(False, ("name", "fingerprint"), [{"name": k.name, "fingerprint": k.fingerprint} for k in keys])


@account_app.command("disable")
def account_disable(login: str) -> None:
    """Refuse the account; its open streams are cut within seconds, its containers go on."""
    _operator().set_disabled(login, True)


@account_app.command("enable")
def account_enable(login: str) -> None:
    _operator().set_disabled(login, False)


@account_app.command("quota")
def account_quota(
    login: str,
    containers: Annotated[int | None, typer.Option(min=0)] = None,
    memory: Annotated[str | None, typer.Option(help="Like 512m or 64g.")] = None,
    cpus: Annotated[float | None, typer.Option(min=0)] = None,
) -> None:
    """Set limits of an account."""
    limits: dict[str, int] = {}
    if containers is not None:
        limits["max_containers"] = containers
    if memory is not None:
        match = re.fullmatch(r"(\d+)([bkmgt]?)", memory.lower())
        if not match:
            raise typer.BadParameter("a size is a number and b, k, m, g or t")
        limits["max_memory"] = int(match[1]) * _SIZES[match[2]]
    if cpus is not None:
        limits["max_nano_cpus"] = int(cpus * 10**9)
    if not limits:
        raise typer.BadParameter("name at least one limit")
    _operator().set_quota(login, **limits)


@key_app.command("add")
def key_add(login: str, file: Path, name: Annotated[str, typer.Option()] = "") -> None:
    """Register a public key; prints its fingerprint."""
    typer.echo(_operator().add_key(login, name or file.stem, file.read_text()))


@key_app.command("list")
def key_list(login: str, as_json: AsJson = False) -> None:
    _, keys = _operator().account(login)
    _show(as_json, ("name", "fingerprint"), [{"name": k.name, "fingerprint": k.fingerprint} for k in keys])


@key_app.command("remove")
def key_remove(login: str, fingerprint: str) -> None:
    """Remove a key; the connections that use it are cut within seconds."""
    _operator().remove_key(login, fingerprint)


@node_app.command("add")
def node_add(
    name: str,
    url: Annotated[str, typer.Argument(help="unix:///path or tcp://host:port of a Docker Engine.")],
    public_address: Annotated[str, typer.Option(help="Where its published ports are reached.")] = "",
) -> None:
    """Enroll an engine as a compute node. Enrolling it again brings its row up to date."""
    node = _operator().add_node(name, url, public_address)
    typer.echo(f"node {node.name}: engine {node.engine_version}, API {node.api_version}")


@node_app.command("list")
def node_list(as_json: AsJson = False) -> None:
    rows = [
        {
            "name": n.name,
            "state": n.state,
            "cordoned": n.cordoned,
            "engine": n.engine_version,
            "api": n.api_version,
            "containers": n.containers,
            "url": n.url,
            "public_address": n.public_address,
        }
        for n in _operator().list_nodes()
    ]
    _show(as_json, ("name", "state", "cordoned", "engine", "api", "containers", "url", "public_address"), rows)


@db_app.command("upgrade")
def db_upgrade() -> None:
    """Bring the schema to the newest revision."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).resolve().parent.parent / "migrations"))
    os.environ["SDC_DATABASE_URL"] = Settings.from_environ().database_url
    alembic_command.upgrade(config, "head")


def main(run: Callable[[], Any] = app) -> None:
    try:
        run()
    except Error as error:
        sys.exit(f"sdc-docker: {error.message}")
    except ValueError as error:
        sys.exit(f"sdc-docker: {error}")


if __name__ == "__main__":
    main()
