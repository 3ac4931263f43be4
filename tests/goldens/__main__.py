"""See the package."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.api.versions import CHANGES
from app.api.versions.change import Change
from tests.goldens import whole
from tests.goldens.answers import SHAPES, subjects
from tests.goldens.lab import Lab, Scrubbed, lab
from tests.goldens.paths import project
from tests.goldens.requests import REQUESTS, Sent
from tests.machine import ROOT

GOLDEN = ROOT / "tests" / "unit" / "versions" / "golden"
PLACE = GOLDEN / "recorded"


def series(change: Change) -> str:
    """The engine that speaks the change's version and the one before."""
    return "20.10" if change.version <= (1, 41) else "26.1"


def around(change: Change) -> tuple[str, str]:
    return str(change.version._replace(minor=change.version.minor - 1)), str(change.version)


def answers(lab: Lab, changes: list[Change], scrub: type[Scrubbed]) -> Iterator[tuple[Change, dict[str, Any]]]:
    """What is recorded of the answers that each change walks down."""
    with subjects(lab) as probes:
        seen: dict[tuple[str, str], Any] = {}

        def ask(key: str, version: str) -> Any:
            if (key, version) not in seen:
                seen[key, version] = probes[key](version)
            return seen[key, version]

        for change in changes:
            older, newer = around(change)
            for shape in SHAPES.get(type(change).__name__, []):
                for operation in sorted({shape.operation} if shape.operation else change.operations):
                    key, fields = f"{operation} {shape.subject}".strip(), shape.fields.split()
                    if key not in probes:
                        continue  # Its request alone has changed.
                    scrubbed = scrub(lab)
                    entry: dict[str, Any] = {"operation": operation, "engine": lab.release, "about": fields}
                    for name, version in (("newest", lab.newest), ("newer", newer), ("older", older)):
                        wanted = [*fields, *shape.beside.split()] if name == "newest" else fields
                        answer = project(ask(key, version), wanted)
                        entry[name] = {"version": version, "answer": answer if shape.exact else scrubbed(answer)}
                    yield change, settled(entry, "answer", shape.older, shape.table, shape.ours)


def requests(lab: Lab, changes: list[Change], scrub: type[Scrubbed]) -> Iterator[tuple[Change, dict[str, Any]]]:
    """What is recorded of the requests that each change walks up."""
    for change in changes:
        older, newer = around(change)
        for sent in REQUESTS.get(type(change).__name__, []):
            scrubbed = scrub(lab)

            def outcome(
                version: str,
                request: tuple[Any, Any],
                sent: Sent = sent,
                scrubbed: Scrubbed = scrubbed,
            ) -> Any:
                return scrubbed(sent.seen(lab, version, *request))

            entry: dict[str, Any] = {"operation": sent.operation, "engine": lab.release}
            entry["older"] = {
                "version": older,
                "request": list(sent.older),
                "outcome": outcome(older, sent.older),
            }
            if sent.newer is not None:
                entry["newer"] = {
                    "version": newer,
                    "request": list(sent.newer),
                    "outcome": outcome(newer, sent.newer),
                }
            entry["unchanged"] = {"version": newer, "outcome": outcome(newer, sent.older)}
            told = entry["newer"]["outcome"] if sent.newer is not None else {"status": 400, "message": sent.words}
            yield change, settled(entry, "outcome", told, sent.table, sent.ours)


def settled(entry: dict[str, Any], what: str, told: Any, table: str, ours: str) -> dict[str, Any]:
    """The entry with what is `told` under `older`, where there is a reason for that, instead of the engine's word."""
    followed = entry["older"][what] != entry["newer" if what == "answer" else "unchanged"][what]
    if followed == bool(table):
        print(f"{entry['operation']}: {'follows' if followed else 'does not follow'} the table:\n{json.dumps(entry)}")
    if table or ours:
        entry["from_table" if table else "ours"] = table or ours
        entry["engine_older"] = entry["older"][what]
        entry["older"][what] = told
    return entry


def write(module: str, recorded: dict[str, list[dict[str, Any]]], place: Path = PLACE) -> None:
    """Into the file of the change's version; what is there of other changes stays."""
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{module}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    order = [type(change).__name__ for change in CHANGES]
    merged = {name: entries for name, entries in (known | recorded).items() if name in order}
    text = json.dumps({name: merged[name] for name in sorted(merged, key=order.index)}, indent=1)
    path.write_text(text + "\n")


def write_whole(series: str) -> None:
    """Of the whole answers of an engine, on which nothing else has been done."""
    place = GOLDEN / f"engine-{series}"
    place.mkdir(parents=True, exist_ok=True)
    with lab(series) as engine:
        recorded = dict(whole.recorded(engine))
    for name, content in recorded.items():
        (place / f"{name}.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def main(names: list[str]) -> None:
    if unknown := {*names} - {"whole", *(type(change).__name__ for change in CHANGES)}:
        sys.exit(f"no such change: {', '.join(sorted(unknown))}")
    if not names or "whole" in names:
        for one in whole.VERSIONS:
            write_whole(one)
    chosen = [change for change in CHANGES if not names or type(change).__name__ in names]
    for one in sorted({series(change) for change in chosen}):
        with lab(one) as engine:
            changes = [change for change in chosen if series(change) == one]
            recorded: dict[str, dict[str, list[dict[str, Any]]]] = {}
            for part in (answers, requests):
                for change, entry in part(engine, changes, Scrubbed):
                    module = type(change).__module__.rpartition(".")[2]
                    recorded.setdefault(module, {}).setdefault(type(change).__name__, []).append(entry)
        for module, entries in recorded.items():
            write(module, entries)


if __name__ == "__main__":
    main(sys.argv[1:])
