"""What is wrong, and what to do about it."""

from __future__ import annotations

import os

import typer
from rich.table import Table

from app.cli import db, output
from app.cli.output import AsJson
from app.services.doctor import Finding, Verdict, examine, look_around

_STYLE = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.BAD: "bold red"}


def doctor(as_json: AsJson = False) -> None:
    """Check every part of this data center: says what is wrong and what to do. Exit status 1 where something is bad."""
    findings = examine(look_around(os.environ, db.head()))
    worst = max((list(Verdict).index(f.verdict) for f in findings), default=0)
    if as_json:
        rows = [{"name": f.name, "verdict": f.verdict, "seen": f.seen, "advice": f.advice} for f in findings]
        output.show_json({"verdict": list(Verdict)[worst], "findings": rows})
    else:
        _show(findings)
    if list(Verdict)[worst] is Verdict.BAD:
        raise typer.Exit(1)


def _show(findings: list[Finding]) -> None:
    table = Table("part", "", "seen", "what to do")
    for f in findings:
        style = _STYLE[f.verdict]
        table.add_row(output.escape(f.name), f"[{style}]{f.verdict}[/]", output.escape(f.seen), output.escape(f.advice))
    output.console().print(table)
    count = {verdict: sum(f.verdict is verdict for f in findings) for verdict in Verdict}
    typer.echo(f"{count[Verdict.OK]} ok, {count[Verdict.WARN]} to watch, {count[Verdict.BAD]} bad")
