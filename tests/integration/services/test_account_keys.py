"""An account's own keys through CloudAPI: the operator's changes, with the account as who makes them."""

from __future__ import annotations

import pytest

from app.domain.audit import Source
from app.errors import Conflict, InvalidParameter, NotFound
from app.services import account_keys
from app.services.account_keys import AccountKeys
from app.services.audit import Audit, Who
from app.services.identity import Credential, Identity
from tests import signing
from tests.integration.world import World

WHO = Who(Source.CLOUDAPI, "alice", "SHA256:used", "request-1", "192.0.2.7")


@pytest.fixture
def keys(world: World) -> AccountKeys:
    return AccountKeys(world.store)


def test_a_key_is_added_found_in_every_form_and_deleted(world: World, keys: AccountKeys) -> None:
    private = signing.key("rsa")
    key = keys.add(world.alice, WHO, signing.public_line(private) + " me@laptop\n", "laptop")
    assert (key.name, key.fingerprint, key.public_key) == (
        "laptop",
        signing.sha256(private),
        signing.public_line(private),
    )
    md5 = signing.md5(private)
    for wanted in ("laptop", md5, md5.upper(), f"MD5:{md5}", signing.sha256(private)):
        assert keys.get(world.alice, wanted) == key
    for wanted in ("", "desktop", md5[:-1], "SHA256:", "MD5:"):
        with pytest.raises(NotFound):
            keys.get(world.alice, wanted)
    with pytest.raises(NotFound):
        keys.get(world.bob, "laptop")
    with pytest.raises(NotFound):
        keys.delete(world.bob, WHO, md5)
    assert keys.list(world.bob) == []
    with pytest.raises(Conflict, match="already"):
        keys.add(world.alice, WHO, signing.public_line(private), "again")
    assert Identity(world.store).account(Credential("alice", key.fingerprint)).login == "alice"
    keys.delete(world.alice, WHO, "laptop")
    assert keys.list(world.alice) == []
    assert Identity(world.store).still_valid({Credential("alice", key.fingerprint)}) == set()

    recorded = Audit(world.store).entries(account="alice")
    assert [(e.entry.verb, e.entry.result) for e in recorded] == [
        ("key.add", "done"),
        ("key.add", "refused"),
        ("key.remove", "done"),
    ]
    one = recorded[0].entry
    assert (one.source, one.actor, one.fingerprint) == (Source.CLOUDAPI, "alice", "SHA256:used")
    assert (one.target, one.request_id, one.client) == (key.fingerprint, "request-1", "192.0.2.7")


def test_a_key_without_a_name_has_its_fingerprint_for_one(world: World, keys: AccountKeys) -> None:
    assert keys.add(world.alice, WHO, signing.public_line(signing.key("ecdsa"))).name == signing.md5(
        signing.key("ecdsa")
    )


def test_two_keys_of_one_name_are_told_apart_by_fingerprint(world: World, keys: AccountKeys) -> None:
    for kind in ("ecdsa", "ed25519"):
        keys.add(world.alice, WHO, signing.public_line(signing.key(kind)), "laptop")
    for call in (lambda: keys.get(world.alice, "laptop"), lambda: keys.delete(world.alice, WHO, "laptop")):
        with pytest.raises(Conflict, match="several keys have the name laptop"):
            call()
    keys.delete(world.alice, WHO, signing.md5(signing.key("ecdsa")))
    assert keys.get(world.alice, "laptop").fingerprint == signing.sha256(signing.key("ed25519"))


def test_what_is_no_key_and_what_is_no_name(world: World, keys: AccountKeys) -> None:
    line = signing.public_line(signing.key("ecdsa"))
    for text, name in (
        ("", ""),
        ("nonsense", ""),
        (line + "\n" + line, ""),
        (line, "x" * 129),
        (line, "a\nb"),
        (line, "\0"),
    ):
        with pytest.raises(InvalidParameter, match="Invalid"):
            keys.add(world.alice, WHO, text, name)
    assert keys.list(world.alice) == []


def test_an_account_has_so_many_keys_and_no_more(
    world: World, keys: AccountKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_keys, "MOST_KEYS", 1)
    keys.add(world.alice, WHO, signing.public_line(signing.key("ecdsa")))
    with pytest.raises(Conflict, match="at the most"):
        keys.add(world.alice, WHO, signing.public_line(signing.key("rsa")))
    keys.add(world.bob, WHO, signing.public_line(signing.key("rsa")))
