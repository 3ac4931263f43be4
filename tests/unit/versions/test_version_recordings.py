"""Each change against what real engines said and did just below its version and at it: see tests/goldens.

`golden/recorded/v1_NN.json` has for every change of version 1.NN entries of two kinds. An answer: the `newest` one of
an engine, and what was in its place at the change's version (`newer`) and at the one before (`older`), of the fields
that the change is `about`. A request: as clients wrote it before, as it is written since, and the outcome of both, and
of the old one `unchanged` at the new version.

An engine of today does not follow the table of versions everywhere. Such an entry has `from_table`, the reason;
`engine_older` is then what the engine did instead, and `older` comes from the history of Docker's API. With `ours` the
engine follows, and this service differs from it on purpose.
"""

import copy
import json
from pathlib import Path

import pytest

from app.api.versions import CHANGES, downgrade_response, parse, upgrade_request
from app.api.versions.change import Change
from app.errors import InvalidParameter
from tests.goldens.paths import project

RECORDED = {
    name: entries
    for path in sorted((Path(__file__).parent / "golden" / "recorded").glob("v1_*.json"))
    for name, entries in json.loads(path.read_text()).items()
}
BY_NAME = {type(change).__name__: change for change in CHANGES}
#: Answers that are streams of messages; one that an old version does not have is left out.
STREAMS = {"images.build", "system.events"}


def entries(kind):
    return [
        pytest.param(BY_NAME[name], entry, id=f"{name}-{entry['operation']}-{number}")
        for name, recorded in RECORDED.items()
        for number, entry in enumerate(recorded)
        if name in BY_NAME and ("about" in entry) == (kind == "answer")
    ]


def walked_down(version, entry):
    body = downgrade_response(version, entry["operation"], entry["newest"]["answer"])
    if entry["operation"] in STREAMS:
        body = [message for message in body if message]
    return project(body, entry["about"])


@pytest.mark.parametrize("name", sorted(BY_NAME.keys() | RECORDED.keys()))
def test_every_change_is_recorded(name):
    """Both of its walks, for each of its operations, in the file of its version."""
    assert name in BY_NAME, f"{name} is no change any more"
    assert name in RECORDED, f"no recording: python -m tests.goldens {name}"
    change, recorded = BY_NAME[name], RECORDED[name]
    assert {entry["operation"] for entry in recorded} == change.operations
    kinds = {"downgrade_response" if "about" in entry else "upgrade_request" for entry in recorded}
    assert kinds == {walk for walk in kinds | {"upgrade_request", "downgrade_response"} if overrides(change, walk)}


def overrides(change, walk):
    return getattr(type(change), walk) is not getattr(Change, walk)


@pytest.mark.parametrize(("change", "entry"), entries("answer") + entries("request"))
def test_it_was_recorded_on_both_sides_of_the_change(change, entry):
    version = change.version
    assert parse(entry["older"]["version"]) == version._replace(minor=version.minor - 1)
    assert parse(entry.get("newer", entry.get("unchanged"))["version"]) == version
    # 20.10 speaks 1.41 at most.
    assert entry["engine"].startswith("20.10." if version <= (1, 41) else "26.1.")


@pytest.mark.parametrize(("change", "entry"), entries("answer"))
def test_the_answer_walks_down_to_the_older_one(change, entry):
    assert walked_down(change.version, entry) == entry["newer"]["answer"]
    older = walked_down(parse(entry["older"]["version"]), entry)
    assert older == entry["older"]["answer"]
    # The change is what makes the difference.
    assert older != entry["newer"]["answer"]


@pytest.mark.parametrize(("change", "entry"), entries("request"))
def test_the_older_request_walks_up_to_the_newer_one(change, entry):
    operation, (query, body) = entry["operation"], copy.deepcopy(entry["older"]["request"])
    older = parse(entry["older"]["version"])
    if "newer" not in entry:
        assert entry["older"]["outcome"]["status"] == 400
        with pytest.raises(InvalidParameter) as caught:
            upgrade_request(older, operation, query, body)
        assert caught.value.message == entry["older"]["outcome"]["message"]
        return
    newer_query, newer_body = entry["newer"]["request"]
    up = upgrade_request(older, operation, query, body)
    assert up == upgrade_request(change.version, operation, newer_query, newer_body)
    # The change alone makes the one of the other, and both had the same outcome.
    body = {} if body is None else body
    change.upgrade_request(query, body)
    assert (query, body) == (newer_query, {} if newer_body is None else newer_body)
    assert entry["older"]["outcome"] == entry["newer"]["outcome"]


@pytest.mark.parametrize(("change", "entry"), entries("answer") + entries("request"))
def test_the_table_is_taken_only_where_the_engine_does_not_look(change, entry):
    """An engine that looks at the version is the one that is right."""
    what, other = ("answer", entry.get("newer")) if "about" in entry else ("outcome", entry.get("unchanged"))
    if "from_table" in entry:
        assert entry["from_table"] and "ours" not in entry
        assert entry["engine_older"] == other[what]
    elif "ours" in entry:
        assert entry["ours"]
        assert entry["engine_older"] not in (other[what], entry["older"][what])
    else:
        assert "engine_older" not in entry
        assert entry["older"][what] != other[what]


def test_recordings_hold_nothing_of_chance():
    """Ids and times have one form, so that a recording made again is the same."""
    for name, recorded in RECORDED.items():
        text = json.dumps(recorded)
        assert "/tmp/sdc" not in text, name
        assert len(text) < 20_000, name
