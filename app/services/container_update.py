"""docker update: new limits for a container, within its account's quota.

While the engine is asked, the larger of the old and the new limits is reserved; afterwards what the engine has set is
what counts, whoever ends the operation. One update of a container at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from app.domain import limits, package
from app.domain.account import Account, over_quota
from app.domain.container import Container
from app.domain.container_state import Command
from app.domain.limits import Limits
from app.domain.node import Node
from app.domain.operation import OperationKind
from app.domain.package import Package
from app.domain.policy import Rules, UpdateSpec, settle_update
from app.engine.errors import scrub
from app.engine.fleet import Fleet
from app.errors import Conflict, Error, NotFound
from app.services.container_call import find, in_tenant_words, require
from app.services.container_sync import ContainerSync, engine_words
from app.services.intent import Intents
from app.store import accounts, containers, operations, packages
from app.store.session import Store, Transaction

Json = dict[str, Any]


class ContainerUpdate:
    def __init__(self, store: Store, fleet: Fleet, sync: ContainerSync, intents: Intents, rules: Rules) -> None:
        self._store = store
        self._fleet = fleet
        self._sync = sync
        self._intents = intents
        self._rules = rules

    def update(self, account: Account, id_or_name: str, spec: UpdateSpec) -> list[str]:
        """The warnings. Raises NotFound, Conflict, InvalidParameter, and Forbidden where the quota is passed."""
        container, node = find(self._store, account, id_or_name)
        require(self._sync, container, Command.UPDATE)
        engine = self._fleet.on(node)
        with in_tenant_words(container):
            host = engine.inspect_container(container.engine_name)["HostConfig"]
        settle_update(spec, host.get("Memory") or 0, self._rules)
        now = limits.of(host)
        with self._store.autocommit() as tx:
            chosen = self._package(tx, container, spec, now)
        memory = spec.resources.get("memory") or now.memory
        package.check_swap(chosen, memory, spec.resources.get("memory_swap") or 0)
        body = limits.update_body(spec.resources, host, chosen.pids if chosen else self._rules.max_pids)
        if spec.restart_policy is not None:
            body["RestartPolicy"] = dict(spec.restart_policy)
        if not body:
            return list(spec.warnings)
        wanted = limits.of({**host, **body})
        operation_id = self._reserve(account, container, now, wanted, chosen)
        words = engine_words(container)

        def refused(error: Error) -> None:
            settle(
                self._fleet,
                self._sync,
                container,
                node,
                lambda tx: self._intents.undone(tx, operation_id, error.message),
            )

        with self._intents.ending(operation_id, words, refused):
            told = engine.update_container(container.engine_name, body)
            settle(self._fleet, self._sync, container, node, lambda tx: self._intents.done(tx, operation_id))
        return [*spec.warnings, *(scrub(warning, words) for warning in told)]

    @staticmethod
    def _package(tx: Transaction, container: Container, spec: UpdateSpec, now: Limits) -> Package | None:
        """The present package where it is large enough, else the smallest that is. Raises InvalidParameter."""
        offered = packages.list_active(tx)
        present = next((p for p in offered if p.name == container.package), None)
        memory = spec.resources.get("memory", 0)
        nano_cpus = limits.of(
            {
                "NanoCpus": spec.resources.get("nano_cpus", 0),
                "CpuQuota": spec.resources.get("cpu_quota", 0),
                "CpuPeriod": spec.resources.get("cpu_period", 0),
            }
        ).nano_cpus
        if memory <= now.memory and nano_cpus <= now.nano_cpus:
            return present
        if present and memory <= present.memory and nano_cpus <= present.nano_cpus:
            return present
        return package.choose(
            offered, label="", memory=memory or now.memory, nano_cpus=nano_cpus or now.nano_cpus, disk=0
        )

    def _reserve(
        self, account: Account, container: Container, now: Limits, wanted: Limits, chosen: Package | None
    ) -> UUID:
        most = Limits(max(now.memory, wanted.memory), max(now.nano_cpus, wanted.nano_cpus))
        with self._store.begin() as tx:
            accounts.lock(tx, account.id)
            held = containers.lock_size(tx, container.id)
            if held is None:
                raise NotFound(f"No such container: {container.id}")
            if operations.is_pending(tx, container.id, OperationKind.UPDATE):
                raise Conflict(f"Container {container.id} is just being updated")
            more = Limits(max(most.memory - held[0], 0), max(most.nano_cpus - held[1], 0))
            if not accounts.adjust(tx, account.id, more.memory, more.nano_cpus):
                now_used = accounts.find_by_login(tx, account.login) or account
                raise over_quota(now_used, more.memory, more.nano_cpus)
            containers.set_size(
                tx,
                container.id,
                held[0] + more.memory,
                held[1] + more.nano_cpus,
                chosen.name if chosen else container.package,
            )
            return self._intents.open(tx, OperationKind.UPDATE, container)


def settle(
    fleet: Fleet, sync: ContainerSync, container: Container, node: Node, also: Callable[[Transaction], object]
) -> None:
    """Make the row and the account's use what the engine has set; `also` ends the operation. May be repeated."""
    try:
        set_now = limits.of(fleet.on(node).inspect_container(container.engine_name)["HostConfig"])
    except NotFound:
        set_now = None

    def write(tx: Transaction) -> None:
        if set_now is not None:
            accounts.lock(tx, container.account_id)
            held = containers.lock_size(tx, container.id)
            if held is not None:
                accounts.adjust(
                    tx, container.account_id, set_now.memory - held[0], set_now.nano_cpus - held[1], anyhow=True
                )
                containers.set_size(tx, container.id, set_now.memory, set_now.nano_cpus)
        also(tx)

    sync.refresh(container.id, also=write)
