"""Who did what, and who was refused what."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Annotated, Any

import typer

from app.cli import output
from app.cli.output import AsJson
from app.domain.audit import Recorded
from app.services.audit import Audit

#: Seconds between two looks of --follow, and how far each looks back: a row may become visible behind a later one.
LOOK_SECONDS, LOOK_BACK = 1.0, timedelta(seconds=10)


def _row(recorded: Recorded) -> dict[str, Any]:
    return {"id": recorded.id, "at": recorded.at, **vars(recorded.entry)}


def audit(
    account: Annotated[str, typer.Option(help="What this account did, and what was done to it.")] = "",
    since: Annotated[str, typer.Option(help="Like 2h, 7d, 2026-05-04 or 2026-05-04T12:00Z.")] = "",
    until: Annotated[str, typer.Option(help="As --since.")] = "",
    verb: Annotated[str, typer.Option(help="Like key.add, or containers for all that was done to them.")] = "",
    refused: Annotated[bool, typer.Option("--refused", help="Only what was refused or failed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100000, help="The newest so many.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until interrupted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Who did what, and who was refused what, oldest first. Kept for 90 days."""
    service = Audit(output.store())
    begin, end = (output.read_moment(text) if text else None for text in (since, until))
    wanted: dict[str, Any] = {"account": account, "verb": verb, "refused": refused, "limit": limit}
    found = service.entries(since=begin, until=end, **wanted)
    if not follow:
        if as_json:
            output.show_json([_row(recorded) for recorded in found])
        else:
            output.show_table(("when", "who", "did", "to", "result", "why", "from"), map(_cells, found))
        return
    shown: dict[int, Recorded] = {}
    while True:
        new = [recorded for recorded in found if recorded.id not in shown]
        for recorded in new:
            if as_json:
                output.show_json(_row(recorded))
            else:
                typer.echo("  ".join(str(output.clean(cell)) for cell in _cells(recorded) if cell))
        shown.update({recorded.id: recorded for recorded in new})
        newest = max((recorded.at for recorded in shown.values()), default=None)
        if newest is not None:
            begin = newest - LOOK_BACK
            shown = {i: recorded for i, recorded in shown.items() if recorded.at >= begin}
        time.sleep(LOOK_SECONDS)
        found = service.entries(since=begin, until=end, **wanted | {"limit": 100000})


def _cells(recorded: Recorded) -> tuple[Any, ...]:
    e = recorded.entry
    words = " ".join(f"{name}={value}" for name, value in e.detail.items() if name != "method")
    target = f"{e.target[:12] if len(e.target) == 64 else e.target} {words}".strip()
    about = "" if e.account in ("", e.actor) else f" ({e.account})"
    why = e.reason + (f" (and {e.left_out} like it)" if e.left_out else "")
    result = e.result.value + (f" {e.status}" if e.status else "")
    return output.moment(recorded.at), (e.actor or "a stranger") + about, e.verb, target, result, why, e.client
