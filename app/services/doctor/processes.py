"""The service's own processes, what they owe, and whom they refused."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.operation import LASTING
from app.services.doctor.finding import Finding, bad, ok, span, warn
from app.services.doctor.look import Look
from app.services.process import SILENT_SECONDS
from app.store import audit, health, inventory
from app.store.session import Store

Row = Mapping[str, Any]

#: Seconds of an operation without an end that are worth a word, and that nothing takes but what lasts as it likes.
LONG, LOST = 60, 1200


def check(look: Look, store: Store) -> Iterator[Finding]:
    with store.autocommit() as tx:
        found = health.processes(tx)
        nodes = inventory.list_nodes(tx)
        pending = health.pending(tx, LONG)
    yield workers(found, look.process.workers, socket.gethostname())
    yield observers(found)
    yield leases(nodes)
    yield operations(pending)


def workers(processes: Sequence[Row], wanted: int, host: str) -> Finding:
    alive = [p for p in processes if p["kind"] == "api" and p["silent_seconds"] <= SILENT_SECONDS]
    here = [p for p in alive if p["host"] == host]
    if not alive:
        return bad("api workers", "none gives a sign of life", "start gunicorn; its log says why it ended")
    seen = f"{len(alive)} alive" + (f", {len(here)} of them on this machine" if len(here) != len(alive) else "")
    if here and len(here) < wanted:
        return warn("api workers", f"{seen}; {wanted} are wanted here", "gunicorn's log says why one ended or hangs")
    return ok("api workers", seen)


def observers(processes: Sequence[Row]) -> Finding:
    found = [p for p in processes if p["kind"] == "observer"]
    alive = [p for p in found if p["silent_seconds"] <= SILENT_SECONDS]
    if alive:
        return ok("observer", f"{len(alive)} alive")
    last = min((p["silent_seconds"] for p in found), default=None)
    seen = "none gives a sign of life" if last is None else f"the last sign of life was {span(last)} ago"
    return bad(
        "observer", seen, "start it (python -m app.observer); until then rows get older and nothing is recovered"
    )


def leases(nodes: Sequence[Row]) -> Finding:
    alone = [n["name"] for n in nodes if not n["leased"]]
    if not nodes:
        return warn("leases", "there is no node", "sdc-docker node add NAME URL")
    if alone:
        return bad("leases", f"nobody follows {', '.join(alone)}", "start an observer, or see why it does not renew")
    return ok("leases", f"every node is followed ({len(nodes)})")


def operations(pending: Sequence[Row]) -> Finding:
    if not pending:
        return ok("operations", "none is unfinished for long")
    first = pending[0]
    oldest = f"{first['kind']} of {first['target'][:12]}, for {span(first['seconds'])}"
    seen = f"{len(pending)} unfinished; the oldest, {oldest}"
    if any(row["seconds"] >= LOST and row["kind"] not in LASTING for row in pending):
        return bad("operations", seen, "the observer's log says why it cannot be ended; its node may be away")
    return warn("operations", seen, "a stop, or a build, may take long; otherwise the observer ends it, see its log")


def refusals(_look: Look, store: Store) -> Iterator[Finding]:
    """Requests that were answered with 401, 403 or 429, by the audit."""
    now = datetime.now(UTC)
    with store.autocommit() as tx:
        found = audit.count_refused(tx, now - timedelta(days=1))
    yield refused(found, now)


def refused(found: Sequence[tuple[int, str, int, datetime]], now: datetime) -> Finding:
    strangers = [(count, last) for status, _, count, last in found if status == 401]
    others = sum(count for status, _, count, _ in found if status != 401)
    words = f"{others} requests by accounts within a day" if others else ""
    if not strangers:
        return ok("refusals", words or "none within a day")
    count, last = sum(c for c, _ in strangers), max(at for _, at in strangers)
    ago = span(max((now - last).total_seconds(), 0))
    seen = f"{count} requests with an unknown or disabled identity within a day, the last {ago} ago"
    advice = "sdc-docker audit --refused names keys and addresses; an account's new key: sdc-docker key add"
    return warn("refusals", "; ".join(filter(None, (seen, words))), advice)
