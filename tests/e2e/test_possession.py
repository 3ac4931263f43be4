"""What another account has pulled is not to be had by naming it: not by its names and ids, nor by a registry of one's
own that names its digests."""

from __future__ import annotations

import gzip
import json
import secrets
from dataclasses import dataclass

import pytest

from tests import busybox
from tests.e2e.any_registry import AnyRegistry, digest_of
from tests.e2e.behind import Unchanged
from tests.e2e.stack import Registry, Stack


@dataclass(frozen=True)
class Secret:
    """alice's image: its configuration, and its layer plain and as registries have it."""

    raw: bytes
    plain: bytes
    packed: bytes


pytestmark = pytest.mark.usefixtures("fresh_images")


@pytest.fixture
def secret(stack: Stack, any_registry: AnyRegistry) -> Secret:
    """alice has pulled it, and it is on the node; the registry has it no more."""
    plain = busybox.files({"secret": secrets.token_bytes(50_000)})
    image_id = any_registry.image("alice/secret", "1", [plain], Cmd=["cat", "secret"])
    stack.docker("alice", "pull", "-q", f"{any_registry.host}/alice/secret:1")
    raw = any_registry.blobs["alice/secret", image_id]
    for known in [key for key in (*any_registry.blobs, *any_registry.manifests) if key[0] == "alice/secret"]:
        any_registry.blobs.pop(known, None)
        any_registry.manifests.pop(known, None)
    return Secret(raw, plain, gzip.compress(plain, mtime=0))


def test_a_private_image_is_not_had_without_credentials(stack: Stack, locked_registry: Registry, cli: str) -> None:
    name = f"{locked_registry.host}/team/private{cli}:1"
    login = ("login", "-u", "joe", "--password-stdin", locked_registry.host)
    stack.docker("alice", *login, input=b"secret")
    stack.docker("alice", "tag", "busybox", name)
    stack.docker("alice", "push", name)
    stack.docker("alice", "logout", locked_registry.host)
    with Unchanged(stack):
        done = stack.docker("bob", "pull", name, cli=cli, check=False)
    assert done.code == 1 and "no basic auth credentials" in done.said
    with Unchanged(stack):
        for word in (name, f"{name.rpartition(':')[0]}"):
            assert "No such image" in stack.docker("bob", "inspect", "--type", "image", word, cli=cli, check=False).said


HOSTILE = ["neither", "configuration only", "configuration and junk", "own configuration", "wrong bytes"]


@pytest.mark.parametrize("how", HOSTILE)
def test_a_registry_that_names_anothers_content(
    stack: Stack, any_registry: AnyRegistry, secret: Secret, how: str
) -> None:
    raw, layer = secret.raw, secret.packed
    layers = [layer]
    if how == "own configuration":
        root = {"type": "layers", "diff_ids": [digest_of(secret.plain)]}
        raw = json.dumps({"os": "linux", "architecture": "amd64", "config": {"Cmd": ["sh"]}, "rootfs": root}).encode()
    if how == "configuration and junk":
        layers = [gzip.compress(b"junk")]
        any_registry.put("bob/evil", "1", raw, layers)
    else:
        any_registry.put("bob/evil", "1", raw, layers, missing=True)
    if how != "neither":
        any_registry.blobs["bob/evil", digest_of(raw)] = raw
    if how == "wrong bytes":
        any_registry.blobs["bob/evil", digest_of(layer)] = bytes(len(layer))
    name = f"{any_registry.host}/bob/evil:1"
    done = stack.docker("bob", "pull", name, check=False)
    assert done.code == 1, done.text
    assert f"{any_registry.host}" not in stack.docker("bob", "images").text
    assert stack.docker("bob", "run", "--rm", name, check=False).code == 125
    assert stack.docker("bob", "run", "--rm", digest_of(raw), check=False).code == 125


def test_who_has_every_byte_gets_the_image(stack: Stack, any_registry: AnyRegistry, secret: Secret) -> None:
    raw, layer = secret.raw, secret.packed
    any_registry.put("bob/copy", "1", raw, [layer])
    said = stack.docker("bob", "pull", f"{any_registry.host}/bob/copy:1").text
    assert "Already exists" not in said and "Pull complete" in said
    listed = stack.docker("bob", "images", "-q", "--no-trunc", f"{any_registry.host}/bob/copy").text.strip()
    assert listed == digest_of(raw)
    before = len(any_registry.asked)
    stack.docker("bob", "rmi", f"{any_registry.host}/bob/copy:1")
    stack.docker("bob", "pull", f"{any_registry.host}/bob/copy:1")
    assert not [asked for asked in any_registry.asked[before:] if digest_of(layer) in asked]


@pytest.mark.parametrize(
    "place", ["http://169.254.169.254/latest", "http://127.0.0.1:22/", "http://[::1]:80/", "http://10.0.0.1/"]
)
def test_a_registry_that_sends_us_to_inner_places(
    stack: Stack, any_registry: AnyRegistry, secret: Secret, place: str
) -> None:
    raw, layer = secret.raw, secret.packed
    any_registry.put("bob/evil", "1", raw, [layer])
    any_registry.instead[f"/v2/bob/evil/blobs/{digest_of(layer)}"] = (307, {"Location": place})
    done = stack.docker("bob", "pull", f"{any_registry.host}/bob/evil:1", check=False)
    assert done.code == 1 and ("not allowed" in done.said or "without TLS" in done.said), done.said
    any_registry.instead["/v2/bob/evil/manifests/1"] = (401, {"WWW-Authenticate": f'Bearer realm="{place}"'})
    done = stack.docker("bob", "pull", f"{any_registry.host}/bob/evil:1", check=False)
    assert done.code == 1 and ("not allowed" in done.said or "without TLS" in done.said), done.said
