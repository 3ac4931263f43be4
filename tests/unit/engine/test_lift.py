from __future__ import annotations

from app.engine import lift


def test_container() -> None:
    old = {
        "HostConfig": {"KernelMemory": 0, "KernelMemoryTCP": 0, "Memory": 1},
        "NetworkSettings": {"Networks": {"n": {"Aliases": ["a"]}, "new": {"Aliases": ["b"], "DNSNames": ["c"]}}},
    }
    seen = lift.container(old)
    assert seen["HostConfig"] == {"Memory": 1}
    networks = seen["NetworkSettings"]["Networks"]
    assert (networks["n"]["DNSNames"], networks["new"]["DNSNames"]) == (["a"], ["c"])


def test_container_without_networks() -> None:
    assert lift.container({"NetworkSettings": {"Networks": None}}) == {"NetworkSettings": {"Networks": None}}
    assert lift.container({}) == {}


def test_image() -> None:
    old = {
        "VirtualSize": 1,
        "Created": "0001-01-01T00:00:00Z",
        "RepoTags": ["<none>:<none>", "a:1"],
        "RepoDigests": ["<none>@<none>"],
    }
    assert lift.image(old) == {"RepoTags": ["a:1"], "RepoDigests": [], "ContainerConfig": {}}
    new = {"Created": "2024-01-01T00:00:00Z", "RepoTags": None, "RepoDigests": None, "ContainerConfig": {"Cmd": []}}
    assert lift.image(new) == {**new, "RepoTags": [], "RepoDigests": []}
