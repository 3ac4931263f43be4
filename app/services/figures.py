"""The data center in figures, for the operator: what the database knows when it is asked."""

from __future__ import annotations

from app.domain.figure import Figure
from app.services.process import SILENT_SECONDS
from app.settings import Settings
from app.store import figures as store_figures
from app.store.session import Store

#: "Ended" operations are those of the last five minutes.
ENDED_SECONDS = 300


class Figures:
    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def __call__(self) -> list[Figure]:
        """Raises Unavailable."""
        pool = self._settings.network_pool
        with self._store.autocommit() as tx:
            pending = store_figures.operations_pending(tx)
            ended = store_figures.operations_ended(tx, ENDED_SECONDS)
            nodes = store_figures.nodes(tx)
            containers = store_figures.containers(tx)
            processes = store_figures.processes(tx, SILENT_SECONDS)
            used = store_figures.addresses_of_networks(tx, str(pool))
        states: dict[tuple[str, ...], float] = {
            (state, cordoned): 0.0 for state in ("up", "down") for cordoned in ("yes", "no")
        }
        for _, state, cordoned, _, _ in nodes:
            states[state, "yes" if cordoned else "no"] += 1
        return [
            Figure("sdc_database_up", "Whether the database answers.", (), {(): 1.0}),
            Figure(
                "sdc_operations_pending",
                "Operations under way.",
                ("kind",),
                {(kind,): float(count) for kind, (count, _) in pending.items()},
            ),
            Figure(
                "sdc_operations_oldest_seconds",
                "Age of the oldest operation under way.",
                ("kind",),
                {(kind,): age for kind, (_, age) in pending.items()},
            ),
            Figure(
                "sdc_operations_ended",
                "Operations that ended within the last five minutes.",
                ("kind", "state"),
                {key: float(count) for key, count in ended.items()},
            ),
            Figure("sdc_nodes", "Nodes.", ("state", "cordoned"), states),
            Figure(
                "sdc_observer_lag_seconds",
                "Since a node's engine last answered an observer.",
                ("node",),
                {(name,): lag for name, _, _, lag, _ in nodes if lag is not None},
            ),
            Figure(
                "sdc_node_followed",
                "Whether an observer follows the node.",
                ("node",),
                {(name,): float(followed) for name, _, _, _, followed in nodes},
            ),
            Figure(
                "sdc_containers",
                "Containers.",
                ("state",),
                {(state,): float(count) for state, count in containers.items()},
            ),
            Figure(
                "sdc_processes",
                "Processes of the service with a sign of life.",
                ("kind",),
                {(kind,): float(processes.get(kind, 0)) for kind in ("api", "observer")},
            ),
            Figure(
                "sdc_network_addresses",
                "Addresses of the network pool.",
                ("state",),
                {("used",): float(used), ("free",): float(pool.num_addresses - used)},
            ),
        ]
