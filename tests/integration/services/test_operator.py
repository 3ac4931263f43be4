from __future__ import annotations

from typing import Any

import pytest

from app.errors import Conflict, InvalidParameter, NotFound
from app.services import operator as module
from app.services.operator import Operator
from tests.integration.world import World

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF1Xk3Lh1Sd7mBR6ZKyTb5hXkrX7gYkKn0X0yT2gkW1w"


@pytest.fixture
def operator(world: World) -> Operator:
    return Operator(world.store)


def test_accounts(operator: Operator) -> None:
    operator.add_account("carol")
    assert [a.login for a in operator.list_accounts()] == ["alice", "bob", "carol"]
    with pytest.raises(Conflict, match="there is an account carol already"):
        operator.add_account("carol")
    operator.set_quota("carol", max_containers=3, max_memory=1 << 30)
    operator.set_disabled("carol", True)
    account, keys = operator.account("carol")
    assert (account.max_containers, account.max_memory, account.disabled, keys) == (3, 1 << 30, True, [])
    for call in (
        lambda: operator.account("nobody"),
        lambda: operator.set_disabled("nobody", True),
        lambda: operator.set_quota("nobody", max_containers=1),
        lambda: operator.add_key("nobody", "x", KEY),
        lambda: operator.remove_key("nobody", "SHA256:x"),
    ):
        with pytest.raises(NotFound, match="there is no account nobody"):
            call()


def test_keys(operator: Operator) -> None:
    fingerprint = operator.add_key("alice", "laptop", f"{KEY} alice@laptop\n")
    (key,) = operator.account("alice")[1]
    assert (key.name, key.fingerprint, key.public_key) == ("laptop", fingerprint, KEY)
    with pytest.raises(Conflict, match="has the key"):
        operator.add_key("alice", "again", KEY)
    assert operator.add_key("bob", "laptop", KEY) == fingerprint
    operator.remove_key("alice", fingerprint)
    with pytest.raises(NotFound, match="has no key"):
        operator.remove_key("alice", fingerprint)
    assert len(operator.account("bob")[1]) == 1


@pytest.mark.parametrize("text", ["", "nonsense", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-ed25519 AAAA", f"x{KEY}"])
def test_what_is_no_key(operator: Operator, text: str) -> None:
    with pytest.raises(InvalidParameter, match="not an OpenSSH public key"):
        operator.add_key("alice", "x", text)


class Engine:
    """What `add_node` asks of an engine that is not enrolled yet."""

    def __init__(self, engine_id: str = "NEW", version: str = "1.41", live_restore: bool = False) -> None:
        self._about = {"ID": engine_id, "NCPU": 4, "MemTotal": 8 << 30, "LiveRestoreEnabled": live_restore}
        self._version = version

    def info(self) -> dict:
        return self._about

    def version(self) -> dict:
        return {"Version": "20.10.24", "ApiVersion": self._version}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Any:
    def answers(new: Engine) -> None:
        monkeypatch.setattr(module, "Engine", lambda client: new)

    return answers


@pytest.mark.parametrize(("version", "spoken"), [("1.41", "1.41"), ("1.44", "1.44"), ("1.51", "1.44")])
def test_enroll(world: World, operator: Operator, engine: Any, version: str, spoken: str) -> None:
    engine(Engine(version=version))
    node = operator.add_node("n2", "unix:///n2", "192.0.2.1")
    assert (node.name, node.api_version, node.state, node.cpus, node.cordoned) == ("n2", spoken, "up", 4, False)
    assert world.sql("SELECT name FROM nodes ORDER BY name") == [("n1",), ("n2",)]


def test_enroll_again_brings_up_to_date(operator: Operator, engine: Any) -> None:
    engine(Engine())
    first = operator.add_node("n2", "unix:///n2", "")
    engine(Engine(version="1.44"))
    second = operator.add_node("n2", "unix:///n2", "192.0.2.1")
    assert second.id == first.id
    assert (second.api_version, second.public_address) == ("1.44", "192.0.2.1")


def test_enroll_refusals(world: World, operator: Operator, engine: Any) -> None:
    engine(Engine("FAKE:FAKE"))
    with pytest.raises(Conflict, match="enrolled already, as node n1"):
        operator.add_node("n2", "unix:///n2", "")
    engine(Engine())
    with pytest.raises(Conflict, match="name n1 or the url unix:///n2 already"):
        operator.add_node("n1", "unix:///n2", "")
    with pytest.raises(Conflict, match="name n2 or the url unix:///n1 already"):
        operator.add_node("n2", "unix:///n1", "")
    engine(Engine(version="1.40"))
    with pytest.raises(Conflict, match=r"speaks API 1\.40 only"):
        operator.add_node("n2", "unix:///n2", "")
    engine(Engine(live_restore=True))
    with pytest.raises(Conflict, match="live-restore"):
        operator.add_node("n2", "unix:///n2", "")
    with pytest.raises(ValueError, match="an engine's url is"):
        operator.add_node("n2", "http://n2", "")
    assert world.sql("SELECT name FROM nodes") == [("n1",)]
