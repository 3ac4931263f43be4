"""The data center's own registry: its settings, and what it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain import image_reference
from app.errors import Forbidden, InvalidParameter, NotFound, Unauthorized
from app.services.registries import OwnRegistry, Registries, own_registry, pull_error, without_addresses
from app.settings import Settings
from tests import factories

OWN = OwnRegistry("registry.dc", "10.0.0.9:5000", "sdc", "secret")


def settings(auth_file: Path | str, name: str = "registry.dc", address: str = "") -> Settings:
    return Settings(database_url="", registry=name, registry_address=address, registry_auth_file=str(auth_file))


def test_settings(tmp_path: Path) -> None:
    file = tmp_path / "auth"
    file.write_text("sdc:se:cret\n")
    assert own_registry(settings(file)) == OwnRegistry("registry.dc", "registry.dc", "sdc", "se:cret")
    assert own_registry(settings(file, address="h:1")) == OwnRegistry("registry.dc", "h:1", "sdc", "se:cret")
    assert own_registry(settings("", name="")) is None
    for name in ("plain", "a b.c", "http://registry.dc", "registry.dc/x"):
        with pytest.raises(ValueError, match="SDC_REGISTRY must be"):
            own_registry(settings(file, name=name))
    with pytest.raises(ValueError, match="SDC_REGISTRY_AUTH_FILE: "):
        own_registry(settings(tmp_path / "none"))
    file.write_text("nothing")
    with pytest.raises(ValueError, match="must hold user:password"):
        own_registry(settings(file))


def test_where_its_names_lead() -> None:
    account = factories.account()
    registries = Registries([], OWN)
    remote = registries.remote(account, image_reference.parse("registry.dc/team/app:1"), {"username": "mine"})
    assert remote.repository == f"10.0.0.9:5000/{account.id.hex}/team/app"
    assert remote.auth["password"] == "secret"
    words = f"manifest for 10.0.0.9:5000/{account.id.hex}/team/app:1 at 10.0.0.9:5000"
    assert remote.words(words) == "manifest for registry.dc/team/app:1 at registry.dc"
    with pytest.raises(Forbidden):
        registries.remote(account, image_reference.parse("10.0.0.9:5000/x"), {})
    with pytest.raises(InvalidParameter):
        registries.remote(account, image_reference.parse("registry.dc/" + "a" * 230), {})


def test_dockerds_words() -> None:
    remote = Registries(["reg.lan"]).remote(factories.account(), image_reference.parse("reg.lan/a:1"), {})
    for error, kind, words in (
        (NotFound("manifest unknown: x"), "NotFound", "manifest for reg.lan/a:1 not found: manifest unknown: x"),
        (NotFound("name unknown: x"), "NotFound", "repository reg.lan/a not found: name unknown: x"),
        (
            Forbidden("denied: x"),
            "NotFound",
            "pull access denied for reg.lan/a, repository does not exist or may require 'docker login': denied: x",
        ),
        (Unauthorized('Get "u": no basic auth credentials'), "Internal", 'Head "u": no basic auth credentials'),
    ):
        told = pull_error(remote, "1", error)
        assert (type(told).__name__, told.message) == (kind, words)


def test_what_an_inner_address_answered_is_not_told() -> None:
    """A registry may send an engine to wherever the node reaches: the answer is not the account's to read."""
    for said in (
        "error parsing HTTP 403 response body: invalid character '<' looking for beginning of value: \"<html>key=42\"",
        'error parsing HTTP 404 response body: unexpected end of JSON input: "key=42"',
        "unable to decode token response: invalid character 'k' looking for beginning of value key=42",
        "x" * 5000 + "key=42",
    ):
        assert "key=42" not in without_addresses(said)
    assert without_addresses("denied: no") == "denied: no"
