"""Whose key signed a request, asked of real accounts and keys."""

from __future__ import annotations

import pytest

from app.domain import http_signature
from app.errors import Forbidden, Unauthorized
from app.services.operator import Operator
from app.services.signed_request import SignedRequest
from tests import signing
from tests.integration.world import World


@pytest.fixture
def operator(world: World) -> Operator:
    made = Operator(world.store)
    for kind in signing.KINDS:
        made.add_key("alice", kind, signing.public_line(signing.key(kind)))
        made.add_key("bob", kind, signing.public_line(signing.key(kind, 1)))
    return made


def ask(world: World, private, login: str = "alice", **how: str):
    headers = signing.signed(private, login, "GET", "/my", **how)
    claim = http_signature.parse(headers["authorization"])
    return SignedRequest(world.store).account(claim, http_signature.signed_text(claim, "GET", "/my", headers.get))


@pytest.mark.parametrize("kind", signing.KINDS)
def test_a_registered_key_is_let_in_by_each_of_its_ids(world: World, operator: Operator, kind: str) -> None:
    private = signing.key(kind)
    for key_id in (signing.md5(private), f"MD5:{signing.md5(private)}", signing.sha256(private), kind):
        account, key = ask(world, private, key_id=f"/alice/keys/{key_id}")
        assert (account.login, key.name) == ("alice", kind)


def test_all_others_get_one_and_the_same_answer(world: World, operator: Operator) -> None:
    """A stranger does not learn which logins there are, nor whose a key is."""
    mine, his, strange = signing.key("ecdsa"), signing.key("ecdsa", 1), signing.key("ecdsa", 2)
    cases = {
        "no such account": (mine, "nobody", mine),
        "a key of another account": (his, "alice", his),
        "an unknown key": (strange, "alice", strange),
        "a registered key, signed with another": (strange, "alice", mine),
        "another's account": (mine, "bob", mine),
    }
    for case, (signer, login, claimed) in cases.items():
        with pytest.raises(Unauthorized) as refused:
            ask(world, signer, login, key_id=f"/{login}/keys/{signing.md5(claimed)}")
        md5 = signing.md5(claimed)
        assert refused.value.message == (
            f"Invalid credentials: there is no account {login} that has the key {md5} and whose key made this signature"
        ), case
    for login in ("", "\0", "a" * 5000, "alice'--", "\ud800"):
        with pytest.raises(Unauthorized):
            ask(world, mine, "alice", key_id=f"/{login or '%00'}/keys/ecdsa".encode("utf-8", "replace").decode())


def test_an_algorithm_must_be_the_keys_own(world: World, operator: Operator) -> None:
    ecdsa = signing.key("ecdsa")
    headers = signing.signed(ecdsa, "alice", "GET", "/my")
    for other in ("rsa-sha256", "ed25519-sha512", "ecdsa-sha512"):
        claim = http_signature.parse(headers["authorization"].replace("ecdsa-sha256", other))
        with pytest.raises(Unauthorized):
            SignedRequest(world.store).account(claim, http_signature.signed_text(claim, "GET", "/my", headers.get))


def test_a_disabled_account_and_a_removed_key_are_refused_at_once(world: World, operator: Operator) -> None:
    private = signing.key("ed25519")
    operator.set_disabled("alice", True)
    with pytest.raises(Forbidden, match="disabled"):
        ask(world, private)
    with pytest.raises(Unauthorized):
        ask(world, signing.key("ed25519", 2))
    operator.set_disabled("alice", False)
    assert ask(world, private)[0].login == "alice"
    operator.remove_key("alice", signing.sha256(private))
    with pytest.raises(Unauthorized):
        ask(world, private)
