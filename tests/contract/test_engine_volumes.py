"""Volumes, and what containers do to them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from app.errors import Conflict, InvalidParameter
from tests.contract.conftest import LABEL, Subject


@pytest.fixture
def volumes(subject: Subject) -> Iterator[Subject]:
    yield subject
    subject.clean()
    for name in names(subject):
        subject.engine.remove_volume(name)


def make(subject: Subject, word: str = "data", **options: str) -> str:
    name = f"v-{subject.run}-{word}"
    subject.engine.create_volume(name, labels={LABEL: subject.run}, options=options)
    return name


def names(subject: Subject) -> list[str]:
    return sorted(volume["Name"] for volume in subject.engine.list_volumes([f"{LABEL}={subject.run}"]))


def mount(subject: Subject, target: str, source: str = "", **more: object) -> dict:
    options = {"Labels": {LABEL: subject.run}}
    return {"Type": "volume", "Source": source, "Target": target, "VolumeOptions": options, **more}


def mounts(subject: Subject, container: str) -> dict[str, dict]:
    return {m["Destination"]: m for m in subject.engine.inspect_container(container)["Mounts"]}


def test_create_list_remove(volumes: Subject) -> None:
    name = make(volumes)
    assert make(volumes) == name
    (seen,) = volumes.engine.list_volumes([f"{LABEL}={volumes.run}"])
    assert (seen["Name"], seen["Driver"], seen["Labels"]) == (name, "local", {LABEL: volumes.run})
    assert re.match(r"\d{4}-\d\d-\d\dT", seen["CreatedAt"])
    assert volumes.engine.volume_sizes()[name] == 0
    volumes.engine.remove_volume(name)
    volumes.engine.remove_volume(name)
    assert names(volumes) == []
    assert name not in volumes.engine.volume_sizes()


def test_options(volumes: Subject) -> None:
    with pytest.raises(InvalidParameter, match="quota size requested but no quota support"):
        make(volumes, size="10m")
    with pytest.raises(InvalidParameter, match='invalid option: "colour"'):
        make(volumes, colour="red")
    assert names(volumes) == []


def test_a_container_makes_what_it_mounts(volumes: Subject) -> None:
    """By name and without one; the label says whose it is. Config.Volumes makes nothing where something is mounted."""
    name = f"v-{volumes.run}-new"
    wanted = [mount(volumes, "/named", name), mount(volumes, "/free")]
    new = volumes.create("true", host={"Mounts": wanted}, Volumes={"/free": {}})
    seen = mounts(volumes, new)
    assert set(seen) == {"/named", "/free"}
    free = seen["/free"]["Name"]
    assert seen["/named"]["Name"] == name and re.fullmatch(r"[0-9a-f]{64}", free)
    assert names(volumes) == sorted([name, free])
    with pytest.raises(Conflict, match=rf"remove {name}: volume is in use - \[{new}\]"):
        volumes.engine.remove_volume(name)
    volumes.engine.remove_container(new, volumes=True)
    assert names(volumes) == [name], "a removal with volumes leaves what was mounted by its name"


def test_volumes_from(volumes: Subject) -> None:
    name = make(volumes)
    host = {"Mounts": [mount(volumes, "/named", name)]}
    first = volumes.create("true", host=host, Volumes={"/free": {}})
    other = make(volumes, "other")
    second = volumes.create(
        "true",
        name="two",
        host={"VolumesFrom": [f"{volumes.name()}:ro"], "Mounts": [mount(volumes, "/named", other)]},
        Volumes={"/free": {}},
    )
    seen, source = mounts(volumes, second), mounts(volumes, first)
    assert seen["/free"]["Name"] == source["/free"]["Name"] and not seen["/free"]["RW"] and source["/free"]["RW"]
    assert seen["/named"]["Name"] == other, "what is asked for goes before what another container has"
    # One that `Mounts` made would go here: engines count those of --volumes-from only once the container has started.
    volumes.engine.remove_container(first, volumes=True)
    assert source["/free"]["Name"] in volumes.engine.volume_sizes()
    volumes.engine.remove_container(second, volumes=True)
    assert source["/free"]["Name"] not in volumes.engine.volume_sizes()
    assert names(volumes) == sorted([name, other])


def test_an_anonymous_volume_by_its_name(volumes: Subject) -> None:
    first = volumes.create("true", host={"Mounts": [mount(volumes, "/free")]})
    free = mounts(volumes, first)["/free"]["Name"]
    volumes.engine.remove_container(first)
    second = volumes.create("true", host={"Mounts": [mount(volumes, "/again", free)]})
    volumes.engine.remove_container(second, volumes=True)
    assert names(volumes) == [free]
