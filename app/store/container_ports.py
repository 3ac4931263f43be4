"""Published ports of containers on their nodes. A port of a node is one container's, of whatever account."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text

from app.store.prepared import Prepared
from app.store.session import Transaction

_RELEASE = Prepared(
    text(
        """
        DELETE FROM container_ports WHERE container_id = :container AND protocol || '/' || host_port <> ALL(:keep)
        """
    )
)


class PortTaken(Exception):
    """Another container, of whatever account, has this port of the node."""

    def __init__(self, host_port: int) -> None:
        super().__init__(host_port)
        self.host_port = host_port


def reserve(
    tx: Transaction, node_id: UUID, protocol: str, host_port: int, container_id: str, container_port: int
) -> None:
    """Raises PortTaken where another container has the port on this node."""
    statement = text(
        """
        INSERT INTO container_ports (node_id, protocol, host_port, container_id, container_port)
        VALUES (:node, :protocol, :host, :container, :port)
        ON CONFLICT ON CONSTRAINT pk_container_ports DO UPDATE SET container_port = excluded.container_port
        WHERE container_ports.container_id = excluded.container_id
        """
    )
    values = {"node": node_id, "protocol": protocol, "host": host_port, "container": container_id}
    if tx.execute(statement, {**values, "port": container_port}).rowcount == 0:
        raise PortTaken(host_port)


def hold(tx: Transaction, node_id: UUID, protocol: str, host_port: int, container_id: str, container_port: int) -> None:
    """Record what an engine has bound. The engine is right: a row of a container that it no longer runs gives way."""
    statement = text(
        """
        INSERT INTO container_ports (node_id, protocol, host_port, container_id, container_port)
        VALUES (:node, :protocol, :host, :container, :port)
        ON CONFLICT ON CONSTRAINT pk_container_ports
        DO UPDATE SET container_id = excluded.container_id, container_port = excluded.container_port
        """
    )
    values = {"node": node_id, "protocol": protocol, "host": host_port, "container": container_id}
    tx.execute(statement, {**values, "port": container_port})


def release(tx: Transaction, container_id: str, *, keep: Collection[tuple[str, int]] = ()) -> None:
    """Give back the container's ports but for `keep`, a set of (protocol, host port)."""
    kept = [f"{protocol}/{host_port}" for protocol, host_port in sorted(keep)]
    _RELEASE.count(tx, {"container": container_id, "keep": kept})
