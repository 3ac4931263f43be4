"""`sdc-docker`: the operator's command, a file for each noun. Exit status 0 done, 1 refused or bad, 2 wrong usage."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer

from app.cli import account, audit, db, doctor, image, key, network_pool, node, package
from app.errors import Error
from app.store.session import WrongSchema

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Operate an SDC Docker data center. Settings come from SDC_* variables.",
)
for _noun in (account, key, node, package, network_pool, image, db):
    app.add_typer(_noun.app)
app.command("audit")(audit.audit)
app.command("doctor")(doctor.doctor)


def main(run: Callable[..., Any] = app) -> None:
    """Run the command; an error is one sentence on stderr."""
    try:
        run(prog_name="sdc-docker")
    except Error as error:
        sys.exit(f"sdc-docker: {error.message}")
    except WrongSchema:
        sys.exit("sdc-docker: the database's schema is not that of this version; run: sdc-docker db upgrade")
    except ValueError as error:
        sys.exit(f"sdc-docker: {error}")
