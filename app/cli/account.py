"""Accounts and their quota."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import output
from app.cli.output import AsJson
from app.domain.account import Account

app = typer.Typer(name="account", no_args_is_help=True, help="Accounts and their quota.")

Login = Annotated[str, typer.Argument(help="The account's login.", show_default=False)]


def _row(account: Account) -> dict[str, Any]:
    quota = {
        "containers": {"used": account.used_containers, "max": account.max_containers},
        "memory": {"used": account.used_memory, "max": account.max_memory},
        "nano_cpus": {"used": account.used_nano_cpus, "max": account.max_nano_cpus},
    }
    return {
        "login": account.login,
        "id": str(account.id),
        "state": "disabled" if account.disabled else "enabled",
        "quota": quota,
    }


@app.command("add")
def add(login: Login, key: Annotated[Path | None, typer.Option(help="An OpenSSH public key file.")] = None) -> None:
    """Add an account, with a first key where one is given."""
    operator = output.operator()
    text = key.read_text() if key else None
    operator.add_account(login)
    if key and text is not None:
        typer.echo(operator.add_key(login, key.stem, text))


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All accounts with what they use of their quota."""
    found = output.operator().list_accounts()
    if as_json:
        output.show_json([_row(account) for account in found])
        return
    rows = [
        (
            a.login,
            "disabled" if a.disabled else "enabled",
            f"{a.used_containers} of {a.max_containers}",
            f"{output.size(a.used_memory)} of {output.size(a.max_memory)}",
            f"{output.cpus(a.used_nano_cpus)} of {output.cpus(a.max_nano_cpus)}",
        )
        for a in found
    ]
    output.show_table(("login", "state", "containers", "memory", "cpus"), rows)


@app.command("show")
def show(login: Login, as_json: AsJson = False) -> None:
    """An account: its quota and what it uses, what else it has, its keys."""
    store = output.store()
    account, keys = output.Operator(store).account(login)
    also = output.Inventory(store).belongings(account)
    if as_json:
        shown = [{"name": k.name, "fingerprint": k.fingerprint} for k in keys]
        output.show_json({**_row(account), **also, "keys": shown})
        return
    facts = {"account": account.login, "id": account.id, "state": _row(account)["state"], "since": also["created_at"]}
    facts |= {what: also[what] for what in ("running", "images", "volumes", "networks")}
    output.show_facts(facts)
    use = [
        (
            "containers",
            account.used_containers,
            account.max_containers,
            account.max_containers - account.used_containers,
        ),
        *(
            (name, say(used), say(most), say(max(most - used, 0)))
            for name, say, used, most in (
                ("memory", output.size, account.used_memory, account.max_memory),
                ("cpus", output.cpus, account.used_nano_cpus, account.max_nano_cpus),
            )
        ),
    ]
    output.show_table(("quota", "used", "limit", "left"), use)
    output.show_table(("key", "fingerprint"), [(k.name, k.fingerprint) for k in keys])


@app.command("disable")
def disable(login: Login) -> None:
    """Refuse the account; its open streams are cut within seconds, its containers go on."""
    output.operator().set_disabled(login, True)


@app.command("enable")
def enable(login: Login) -> None:
    """Let a disabled account in again."""
    output.operator().set_disabled(login, False)


@app.command("quota")
def quota(
    login: Login,
    containers: Annotated[int | None, typer.Option(min=0, help="Containers in any state.")] = None,
    memory: Annotated[str | None, typer.Option(help="Like 512m or 64g.")] = None,
    cpus: Annotated[float | None, typer.Option(min=0, help="Like 2 or 0.5.")] = None,
) -> None:
    """Set limits of an account. What it has beyond a lower limit stays; new containers are refused."""
    limits: dict[str, int] = {}
    if containers is not None:
        limits["max_containers"] = containers
    if memory is not None:
        limits["max_memory"] = output.read_size(memory)
    if cpus is not None:
        limits["max_nano_cpus"] = round(cpus * 10**9)
    if not limits:
        raise typer.BadParameter("name at least one limit")
    output.operator().set_quota(login, **limits)
