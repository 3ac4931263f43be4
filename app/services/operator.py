"""What an operator does: accounts, keys, quota, nodes. Each change is in the audit, and so is each refused one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.domain.account import Account, AccountKey
from app.domain.node import Node
from app.domain.package import NAME as PACKAGE_NAME
from app.engine.client import EngineClient
from app.engine.engine import Engine
from app.errors import Conflict, Error, InvalidParameter, NotFound
from app.services import audit, identity
from app.store import accounts, inventory, nodes
from app.store.session import Store, Transaction, UniqueViolation

#: What we speak at the most, and the least that an engine must speak (20.10).
NEWEST, OLDEST = (1, 44), (1, 41)


class Operator:
    def __init__(self, store: Store, who: audit.Who | None = None) -> None:
        self._store = store
        self._who = who or audit.operator()

    def _change(
        self,
        verb: str,
        target: str,
        work: Callable[[Transaction], Any],
        *,
        taken: str = "",
        login: str = "",
        detail: dict[str, Any] | None = None,
    ) -> None:
        """`work` in a transaction, with its line in the audit. `taken` is what is said where a name is taken."""
        try:
            with self._store.begin() as tx:
                work(tx)
                account = accounts.find_by_login(tx, login) if login else None
                audit.done(tx, self._who, verb, target, account=account, **(detail or {}))
                return
        except UniqueViolation:
            error: Error = Conflict(taken)
        except Error as refused:
            error = refused
        audit.refused(self._store, self._who, verb, target, error, login=login, **(detail or {}))
        raise error

    def add_account(self, login: str) -> None:
        taken = f"there is an account {login} already"
        self._change("account.add", login, lambda tx: accounts.add(tx, login), taken=taken, login=login)

    def list_accounts(self) -> list[Account]:
        with self._store.begin() as tx:
            return accounts.list_all(tx)

    def account(self, login: str) -> tuple[Account, list[AccountKey]]:
        with self._store.begin() as tx:
            account = _known(tx, login)
            return account, accounts.list_keys(tx, account.id)

    def set_disabled(self, login: str, disabled: bool) -> None:
        def work(tx: Transaction) -> None:
            if not accounts.set_disabled(tx, login, disabled):
                raise NotFound(f"there is no account {login}")

        self._change("account.disable" if disabled else "account.enable", login, work, login=login)

    def set_quota(self, login: str, **limits: int) -> None:
        """`limits`: max_containers, max_memory (bytes), max_nano_cpus."""

        def work(tx: Transaction) -> None:
            if not accounts.set_quota(tx, login, **limits):
                raise NotFound(f"there is no account {login}")

        self._change("account.quota", login, work, login=login, detail=dict(limits))

    def add_key(self, login: str, name: str, public_key: str) -> str:
        """Register an OpenSSH public key; returns its fingerprint. The comment in it is not kept."""
        words = public_key.split()
        try:
            fingerprint = identity.fingerprint(public_key)
        except Exception as error:
            raise InvalidParameter(f"not an OpenSSH public key: {error}") from None

        def work(tx: Transaction) -> None:
            accounts.add_key(tx, _known(tx, login).id, name, fingerprint, " ".join(words[:2]))

        taken = f"account {login} has the key {fingerprint} already"
        self._change("key.add", fingerprint, work, taken=taken, login=login, detail={"name": name})
        return fingerprint

    def remove_key(self, login: str, fingerprint: str) -> None:
        def work(tx: Transaction) -> None:
            if not accounts.remove_key(tx, _known(tx, login).id, fingerprint):
                raise NotFound(f"account {login} has no key {fingerprint}")

        self._change("key.remove", fingerprint, work, login=login)

    def add_node(self, name: str, url: str, public_address: str) -> Node:
        """Enroll an engine. Raises Unavailable where it does not answer, Conflict where it is not fit or enrolled."""
        try:
            node = self._enroll(name, url, public_address)
        except Error as error:
            audit.refused(self._store, self._who, "node.add", name, error, url=url, public_address=public_address)
            raise
        with self._store.begin() as tx:
            audit.done(tx, self._who, "node.add", name, url=url, public_address=public_address)
        return node

    def _enroll(self, name: str, url: str, public_address: str) -> Node:
        if url.startswith("tcp://"):
            raise Conflict("an engine is reached by unix:///path only until certificates for engines can be set")
        engine = Engine(EngineClient(url))
        info, version = engine.info(), engine.version()
        speaks = tuple(int(part) for part in version["ApiVersion"].split("."))
        if speaks < OLDEST:
            raise Conflict(f"the engine speaks API {version['ApiVersion']} only; 1.41 (Docker 20.10) is the least")
        if info.get("LiveRestoreEnabled"):
            raise Conflict("the engine has live-restore on, which swarm mode excludes; turn it off in its daemon.json")
        values = {
            "engine_version": version["Version"],
            "api_version": "{}.{}".format(*min(speaks, NEWEST)),
            "cpus": info["NCPU"],
            "memory": info["MemTotal"],
            "public_address": public_address,
        }
        with self._store.begin() as tx:
            for node in nodes.list_all(tx):
                if node.name == name and node.url == url and node.engine_id == info["ID"]:
                    nodes.set_engine(tx, node.id, **values)
                    return nodes.get(tx, node.id)
                if node.engine_id == info["ID"]:
                    raise Conflict(f"the engine is enrolled already, as node {node.name}")
        try:
            with self._store.begin() as tx:
                return nodes.get(tx, nodes.add(tx, name=name, url=url, engine_id=info["ID"], **values))
        except UniqueViolation:
            raise Conflict(f"there is a node with the name {name} or the url {url} already") from None

    def cordon(self, name: str, cordoned: bool, reason: str = "") -> None:
        """Whether the node gets new containers; those that it has go on."""

        def work(tx: Transaction) -> None:
            if not inventory.set_cordon(tx, name, cordoned, reason):
                raise NotFound(f"there is no node {name}")

        self._change("node.cordon" if cordoned else "node.uncordon", name, work, detail={"reason": reason or None})

    def remove_node(self, name: str) -> None:
        """Forget a node that has no containers and no volumes. Its engine is not asked."""

        def work(tx: Transaction) -> None:
            found = inventory.list_nodes(tx, name)
            if not found:
                raise NotFound(f"there is no node {name}")
            node = found[0]
            kinds = {"containers": "containers", "volumes": "volumes", "pending": "unfinished operations"}
            left = [f"{word} ({node[what]})" for what, word in kinds.items() if node[what]]
            if left:
                raise Conflict(f"node {name} is not empty: it has {', '.join(left)}")
            inventory.remove_node(tx, node["id"])

        self._change("node.remove", name, work)

    def add_package(self, name: str, **size: int) -> None:
        """`size`: memory, swap and disk in bytes, nano_cpus, pids."""
        if not PACKAGE_NAME.fullmatch(name):
            raise InvalidParameter(f"a package's name is letters, digits and single _ . - between them, not {name!r}")
        taken = f"there is a package {name} already"

        def work(tx: Transaction) -> None:
            inventory.add_package(tx, name=name, **size)

        self._change("package.add", name, work, taken=taken, detail=dict(size))

    def set_package_disabled(self, name: str, disabled: bool) -> None:
        """Withdraw a package from new containers, or offer it again; containers that have it keep it."""

        def work(tx: Transaction) -> None:
            if not inventory.set_package_disabled(tx, name, disabled):
                raise NotFound(f"there is no package {name}")

        self._change("package.disable" if disabled else "package.enable", name, work)


def _known(tx: Transaction, login: str) -> Account:
    account = accounts.find_by_login(tx, login)
    if account is None:
        raise NotFound(f"there is no account {login}")
    return account
