"""The rules of `docker rmi`: by name and by id, with and without force."""

from __future__ import annotations

import hashlib

import pytest

from app.domain.image_removal import Owned, Removal, chain_ids, is_id
from app.errors import Conflict

ID = "sha256:" + "a" * 64
HUB = "docker.io/library/"
ONE, TWO, OTHER = (HUB + "one", "1"), (HUB + "one", "2"), ("reg.lan/other", "1")
DIGEST = (HUB + "one", "sha256:" + "d" * 64)


def removal(*names: tuple[str, str], running: tuple = (), stopped: tuple = (), more: tuple = ()) -> Removal:
    image = Owned(ID, names=list(names), diff_ids=["sha256:1", "sha256:2"], running=running, stopped=stopped)
    return Removal([image, *more])


def records(done: Removal) -> list[str]:
    return [f"{word}: {name}" for record in done.records for word, name in record.items()]


GONE = [f"Deleted: {ID}", f"Deleted: {chain_ids(['sha256:1', 'sha256:2'])[1]}", "Deleted: sha256:1"]


@pytest.mark.parametrize("force", [False, True])
def test_a_name_of_several(force: bool) -> None:
    done = removal(ONE, TWO, running=("c" * 64,))
    done.by_name(ID, ONE, force=force, prune=True)
    assert records(done) == ["Untagged: one:1"] and done.deleted == []


def test_the_last_name() -> None:
    done = removal(ONE, DIGEST)
    done.by_name(ID, ONE, force=False, prune=True)
    assert records(done) == ["Untagged: one:1", f"Untagged: one@{DIGEST[1]}", *GONE]
    assert done.told == [("untag", ID), ("untag", ID), ("delete", ID)]


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_the_last_name_in_use(state: str) -> None:
    done = removal(ONE, **{state: ("c" * 64,)})
    with pytest.raises(Conflict) as raised:
        done.by_name(ID, ONE, force=False, prune=True)
    assert raised.value.message == (
        'conflict: unable to remove repository reference "one:1" (must force) - container cccccccccccc is using its '
        "referenced image aaaaaaaaaaaa"
    )
    assert done.records == []
    done.by_name(ID, ONE, force=True, prune=True)
    assert records(done) == ["Untagged: one:1", *([] if state == "running" else GONE)]


@pytest.mark.parametrize(
    ("how", "force", "words"),
    [
        ({"running": ("c" * 64,)}, False, "(cannot be forced) - image is being used by running container cccccccccccc"),
        ({"running": ("c" * 64,)}, True, "(cannot be forced) - image is being used by running container cccccccccccc"),
        ({"stopped": ("c" * 64,)}, False, "(must be forced) - image is being used by stopped container cccccccccccc"),
        ({"names": (ONE, OTHER)}, False, "(must be forced) - image is referenced in multiple repositories"),
        ({"names": (ONE, TWO)}, False, "(must be forced) - image is referenced in multiple repositories"),
        ({"more": (Owned("sha256:child", parent=ID),)}, True, "(cannot be forced) - image has dependent child images"),
    ],
)
def test_an_id_that_cannot_go(how: dict, force: bool, words: str) -> None:
    how = dict(how)
    done = removal(*how.pop("names", (ONE,)), **how)
    with pytest.raises(Conflict) as raised:
        done.by_id(ID, force=force, prune=True)
    assert raised.value.message == f"conflict: unable to delete aaaaaaaaaaaa {words}"
    assert done.records == []


@pytest.mark.parametrize("how", [{}, {"stopped": ("c" * 64,)}])
def test_an_id_by_force(how: dict) -> None:
    done = removal(ONE, TWO, OTHER, **how)
    done.by_id(ID, force=True, prune=True)
    assert records(done) == ["Untagged: one:1", "Untagged: one:2", "Untagged: reg.lan/other:1", *GONE]


def test_parents_without_a_name_go_along() -> None:
    for prune in (True, False):
        top = Owned("sha256:top", parent="sha256:mid", names=[ONE], diff_ids=["sha256:1"])
        mid, base = Owned("sha256:mid", parent="sha256:base"), Owned("sha256:base", names=[TWO], diff_ids=["sha256:1"])
        done = Removal([top, mid, base])
        done.by_name("sha256:top", ONE, force=False, prune=prune)
        assert done.deleted == (["sha256:top", "sha256:mid"] if prune else ["sha256:top"])
        assert {"Deleted": "sha256:1"} not in done.records  # The base has it still.


def test_chain_ids() -> None:
    """As the OCI specification defines them."""
    assert chain_ids([]) == []
    joint = hashlib.sha256(b"sha256:1 sha256:2").hexdigest()
    assert chain_ids(["sha256:1", "sha256:2"]) == ["sha256:1", f"sha256:{joint}"]


def test_what_counts_as_an_id() -> None:
    assert is_id(ID, ID) and is_id(ID, "a" * 12) and is_id(ID, "sha256:aa")
    assert not is_id(ID, "one") and not is_id(ID, "b")
