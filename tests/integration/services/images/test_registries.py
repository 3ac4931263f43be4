"""Login, distribution, search, and the data center's own registry."""

from __future__ import annotations

import base64
import json

import pytest

from app.errors import InvalidParameter, NotFound, Unauthorized
from tests import busybox
from tests.integration.services.images.conftest import World, config


def test_login_distribution_and_search(world: World) -> None:
    world.engine.remote.login_token = "token"
    auth = {"username": "u", "password": "p", "serveraddress": "https://reg.lan/v1/"}
    assert world.queries.login(auth) == {"IdentityToken": "token", "Status": "Login Succeeded"}
    with pytest.raises(Unauthorized, match="401 Unauthorized"):
        world.queries.login(auth | {"password": "wrong"})
    for address in ("https://BAD host/", "ftp://reg.lan", "https://u@reg.lan/", "reg.lan:port", "a\r\nb"):
        with pytest.raises(InvalidParameter, match="unable to parse server address"):
            world.queries.login(auth | {"serveraddress": address})
    _, digest = world.engine.publish("reg.lan/a/b", "1", config(architecture="arm64"))
    index = world.engine.remote.index("reg.lan/a/b", "all", {"linux/arm64": digest, "linux/amd64": digest})
    found = world.queries.distribution(world.alice, "reg.lan/a/b:1", {})
    assert found["Descriptor"]["digest"] == digest
    assert found["Platforms"] == [{"architecture": "arm64", "os": "linux"}]
    assert len(world.queries.distribution(world.alice, f"reg.lan/a/b@{index}", {})["Platforms"]) == 2
    with pytest.raises(NotFound):
        world.queries.distribution(world.alice, "reg.lan/a/b:none", {})
    [one] = world.queries.search("busybox", limit=5, filters={"stars": ["1"]}, auth={})
    assert one == {
        "star_count": 3,
        "is_official": True,
        "name": "busybox",
        "is_automated": False,
        "description": "found",
    }


def test_the_data_centers_own_registry(world: World) -> None:
    """One name for all accounts, and a repository of its own for each, with the service's password."""
    for account in (world.alice, world.bob):
        world.load(account, busybox.archive(tags=["registry.dc/app:1"], Labels={"of": account.login}))
        messages = world.push(account, "registry.dc/app", "1")
        assert messages[0] == {"status": "The push refers to repository [registry.dc/app]"}
        call = world.engine.called("push_image")[-1]
        assert call.args == (f"own.lan:5000/{account.id.hex}/app", "1")
        assert json.loads(base64.urlsafe_b64decode(call.kwargs["auth"]))["password"] == "secret"
    world.engine.remote.private[f"own.lan:5000/{world.alice.id.hex}/app"] = ("service", "secret")
    image_id, _ = world.engine.publish(f"own.lan:5000/{world.alice.id.hex}/app", "2", config())
    messages = world.pull(world.alice, "registry.dc/app", "2")
    assert messages[-1] == {"status": "Status: Downloaded newer image for registry.dc/app:2"}
    assert world.images.inspect(world.alice, "registry.dc/app:2")["Id"] == image_id
    assert world.alice.id.hex not in str(messages)
    for name in ("registry.dc/app", f"registry.dc/{world.alice.id.hex}/app"):
        with pytest.raises(NotFound) as raised:
            world.pull(world.bob, name, "2")
        assert raised.value.message == f"manifest for {name}:2 not found: manifest unknown: manifest unknown"
    assert world.queries.login({"serveraddress": "registry.dc"})["Status"] == "Login Succeeded"
