"""Numbers of the whole data center, of no account in particular: for the operator's figures alone."""

from __future__ import annotations

from sqlalchemy import text

from app.store.session import Transaction


def operations_pending(tx: Transaction) -> dict[str, tuple[int, float]]:
    """Kind -> how many are under way, and the age of the oldest in seconds."""
    query = text(
        "SELECT kind, count(*), extract(epoch FROM now() - min(created_at)) FROM operations"
        " WHERE state = 'pending' GROUP BY kind"
    )
    return {row[0]: (row[1], float(row[2])) for row in tx.execute(query)}


def operations_ended(tx: Transaction, seconds: int) -> dict[tuple[str, str], int]:
    """(kind, done or undone) -> how many ended within so many seconds."""
    query = text(
        "SELECT kind, state, count(*) FROM operations"
        " WHERE finished_at > now() - make_interval(secs => :seconds) GROUP BY kind, state"
    )
    return {(row[0], row[1]): row[2] for row in tx.execute(query, {"seconds": seconds})}


def nodes(tx: Transaction) -> list[tuple[str, str, bool, float | None, bool]]:
    """(name, state, cordoned, seconds since its engine's last answer, whether an observer has it) of each node."""
    query = text(
        "SELECT name, state, cordoned, extract(epoch FROM now() - seen_at)::float, coalesce(lease_until > now(), false)"
        " FROM nodes"
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in tx.execute(query)]


def containers(tx: Transaction) -> dict[str, int]:
    """State -> how many."""
    return {row[0]: row[1] for row in tx.execute(text("SELECT state, count(*) FROM containers GROUP BY state"))}


def processes(tx: Transaction, seconds: int) -> dict[str, int]:
    """Kind -> how many gave a sign of life within so many seconds."""
    query = text(
        "SELECT kind, count(*) FROM processes WHERE heartbeat_at > now() - make_interval(secs => :seconds)"
        " GROUP BY kind"
    )
    return {row[0]: row[1] for row in tx.execute(query, {"seconds": seconds})}


def addresses_of_networks(tx: Transaction, pool: str) -> int:
    """Addresses of the pool that networks have."""
    query = text(
        "SELECT coalesce(sum(2 ^ (32 - masklen(subnet))), 0) FROM networks WHERE subnet <<= CAST(:pool AS cidr)"
    )
    return int(tx.execute(query, {"pool": pool}).scalar_one())
