"""What an operator does: accounts, keys, quota, nodes."""

from __future__ import annotations

from app.domain.account import Account, AccountKey
from app.domain.node import Node
from app.engine.client import EngineClient
from app.engine.engine import Engine
from app.errors import Conflict, InvalidParameter, NotFound
from app.services import identity
from app.store import accounts, nodes
from app.store.session import Store, UniqueViolation

#: What we speak at the most, and the least that an engine must speak (20.10).
NEWEST, OLDEST = (1, 44), (1, 41)


class Operator:
    def __init__(self, store: Store) -> None:
        self._store = store

    def add_account(self, login: str) -> None:
        try:
            with self._store.begin() as tx:
                accounts.add(tx, login)
        except UniqueViolation:
            raise Conflict(f"there is an account {login} already") from None

    def list_accounts(self) -> list[Account]:
        with self._store.begin() as tx:
            return accounts.list_all(tx)

    def account(self, login: str) -> tuple[Account, list[AccountKey]]:
        with self._store.begin() as tx:
            account = accounts.find_by_login(tx, login)
            if account is None:
                raise NotFound(f"there is no account {login}")
            return account, accounts.list_keys(tx, account.id)

    def set_disabled(self, login: str, disabled: bool) -> None:
        with self._store.begin() as tx:
            if not accounts.set_disabled(tx, login, disabled):
                raise NotFound(f"there is no account {login}")

    def set_quota(self, login: str, **limits: int) -> None:
        """`limits`: max_containers, max_memory (bytes), max_nano_cpus."""
        with self._store.begin() as tx:
            if not accounts.set_quota(tx, login, **limits):
                raise NotFound(f"there is no account {login}")

    def add_key(self, login: str, name: str, public_key: str) -> str:
        """Register an OpenSSH public key; returns its fingerprint. The comment in it is not kept."""
        words = public_key.split()
        try:
            fingerprint = identity.fingerprint(public_key)
        except Exception as error:
            raise InvalidParameter(f"not an OpenSSH public key: {error}") from None
        account, _ = self.account(login)
        try:
            with self._store.begin() as tx:
                accounts.add_key(tx, account.id, name, fingerprint, " ".join(words[:2]))
        except UniqueViolation:
            raise Conflict(f"account {login} has the key {fingerprint} already") from None
        return fingerprint

    def remove_key(self, login: str, fingerprint: str) -> None:
        account, _ = self.account(login)
        with self._store.begin() as tx:
            if not accounts.remove_key(tx, account.id, fingerprint):
                raise NotFound(f"account {login} has no key {fingerprint}")

    def add_node(self, name: str, url: str, public_address: str) -> Node:
        """Enroll an engine. Raises Unavailable where it does not answer, Conflict where it is not fit or enrolled."""
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

    def list_nodes(self) -> list[Node]:
        with self._store.begin() as tx:
            return nodes.list_all(tx)
