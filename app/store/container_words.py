"""What the tenant calls the things that the engine calls otherwise, for one container: found with the container, in one
statement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, literal_column

from app.domain.container_view import Words
from app.domain.node import Node

Word = tuple[str, str, str, str, dict[str, Any] | None]

#: A column for a statement that has `containers`: the account's networks, its named volumes on the node (the container
#: may mount one of another's), and what its links are to. A JSON array of `Word`, or null.
COLUMN: ColumnElement[Any] = literal_column(
    """(
    SELECT jsonb_agg(jsonb_build_array(w.kind, w.engine_word, w.word, w.word_id, w.endpoint)) FROM (
        SELECT 'network' AS kind, 'n-' || n.uuid AS engine_word, n.name AS word, n.id AS word_id,
               CASE WHEN e.container_id IS NOT NULL THEN jsonb_build_object(
                   'ipv4', CASE WHEN NOT e.reserved THEN host(e.ipv4) END, 'aliases', e.aliases, 'links', e.links
               ) END AS endpoint
        FROM networks n LEFT JOIN container_endpoints e ON e.network_uuid = n.uuid AND e.container_id = containers.id
        WHERE n.account_id = containers.account_id
        UNION ALL
        SELECT 'volume', v.engine_name, v.name, '', NULL FROM volumes v
        WHERE v.account_id = containers.account_id AND v.node_id = containers.node_id AND NOT v.anonymous
          AND coalesce(containers.spec #>> '{HostConfig,Binds}', containers.spec #>> '{HostConfig,Mounts}',
                       containers.spec #>> '{HostConfig,VolumesFrom}') IS NOT NULL
        UNION ALL
        SELECT 'linked', c.id, c.name, '', NULL
        FROM container_endpoints e, jsonb_array_elements(e.links) l, containers c
        WHERE e.container_id = containers.id AND c.id = l ->> 0 AND c.account_id = containers.account_id
    ) w)"""
)


def words(found: Iterable[Word] | None, node: Node) -> Words:
    networks: dict[str, tuple[str, str]] = {}
    asked: dict[str, dict[str, Any]] = {}
    known: dict[str, dict[str, str]] = {"volume": {}, "linked": {}}
    for kind, engine_word, word, word_id, endpoint in found or ():
        if kind == "network":
            networks[engine_word] = (word, word_id)
            asked[engine_word] = endpoint or {}
        else:
            known[kind][engine_word] = word
    return Words(
        networks,
        volumes=known["volume"],
        public_address=node.public_address,
        endpoints=asked,
        linked=known["linked"],
    )
