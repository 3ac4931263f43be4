"""Addresses that containers have on their networks, as an engine last said."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import text

from app.store.prepared import Prepared
from app.store.session import Transaction, to_json

_RECORD = Prepared(
    text(
        """
        UPDATE container_endpoints e SET address = s.address, mac_address = s.mac
        FROM (SELECT mine.network_uuid, new.address, coalesce(new.mac, '') AS mac
              FROM container_endpoints mine
              LEFT JOIN jsonb_to_recordset(CAST(:seen AS jsonb)) AS new (network uuid, address inet, mac text)
                  ON new.network = mine.network_uuid
              WHERE mine.container_id = :container) s
        WHERE e.container_id = :container AND e.network_uuid = s.network_uuid
          AND (e.address, e.mac_address) IS DISTINCT FROM (s.address, s.mac)
        """
    )
)


def record(tx: Transaction, container_id: str, seen: Mapping[UUID, tuple[str, str]]) -> None:
    """Network uuid -> (address, MAC address), empty where it does not run. On its other networks it has none."""
    rows = [{"network": uuid, "address": address or None, "mac": mac} for uuid, (address, mac) in seen.items()]
    _RECORD.count(tx, {"container": container_id, "seen": to_json(rows)})
