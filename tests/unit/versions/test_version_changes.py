"""The registry of changes: its order, its windows, a golden pair for each change, and that nothing given is changed."""

import copy
import json
import time
from importlib import import_module
from pathlib import Path

import pytest

from app.api import versions
from app.api.versions import CHANGES, CURRENT, MAXIMUM, MINIMUM, ApiVersion, downgrade_response, upgrade_request
from app.api.versions.change import Change
from app.api.versions.changes import applicable
from app.errors import InvalidParameter

PAIRS = json.loads((Path(__file__).parent / "golden" / "changes.json").read_text())
BY_NAME = {type(change).__name__: change for change in CHANGES}
OPERATIONS = sorted({operation for change in CHANGES for operation in change.operations})
VERSIONS = [ApiVersion(1, minor) for minor in range(MINIMUM.minor, MAXIMUM.minor + 1)]


def just_before(version):
    return ApiVersion(version.major, version.minor - 1)


def walks(change):
    """The walks that a change overrides."""
    kinds = {"request": "upgrade_request", "response": "downgrade_response"}
    return {kind for kind, name in kinds.items() if getattr(type(change), name) is not getattr(Change, name)}


def test_the_list_is_sorted():
    versions = [change.version for change in CHANGES]
    assert versions == sorted(versions)


def test_every_change_lies_in_the_range():
    assert all(MINIMUM < change.version <= MAXIMUM for change in CHANGES)


def test_names_are_unique_and_modules_hold_their_version():
    assert len(BY_NAME) == len(CHANGES)
    for change in CHANGES:
        assert type(change).__module__ == f"app.api.versions.v1_{change.version.minor}"


def test_no_change_is_left_out():
    """Every class in a module of changes is in the list."""
    package = Path(versions.__file__).parent
    modules = [import_module(f"{versions.__name__}.{path.stem}") for path in package.glob("v1_*.py")]
    made = [
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Change) and kind.__module__ == module.__name__
    ]
    assert sorted(kind.__name__ for kind in made) == sorted(BY_NAME)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_change_says_what_it_does(name):
    change = BY_NAME[name]
    assert change.sentence().endswith(".")
    assert type(change).__doc__ != Change.__doc__
    assert walks(change)
    assert change.operations


@pytest.mark.parametrize("operation", OPERATIONS)
def test_windows_neither_overlap_nor_leave_gaps(operation):
    """Going up one version at a time, each change leaves exactly once, at its own version, and never comes back."""
    expected = {change for change in CHANGES if operation in change.operations}
    for version in VERSIONS:
        expected -= {change for change in expected if change.version <= version}
        assert set(applicable(version, operation)) == expected
    assert not expected
    assert applicable(CURRENT, operation) == ()


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_each_change_has_golden_pairs(name):
    pairs = [pair for pair in PAIRS if pair["change"] == name]
    assert {pair["operation"] for pair in pairs} == BY_NAME[name].operations
    assert {kind for pair in pairs for kind in ("request", "response") if kind in pair} == walks(BY_NAME[name])


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair['change']}-{pair['operation']}")
def test_golden_pair(pair):
    change = BY_NAME[pair["change"]]
    if "request" in pair:
        query, body = copy.deepcopy(pair["request"])
        if "refused" in pair:
            with pytest.raises(InvalidParameter) as caught:
                change.upgrade_request(query, body)
            assert caught.value.message == pair["refused"]
            return
        change.upgrade_request(query, body if body is not None else {})
        assert [query, body] == pair["upgraded"]
    else:
        body = copy.deepcopy(pair["response"])
        change.downgrade_response(body)
        assert body == pair["downgraded"]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair['change']}-{pair['operation']}")
def test_pairs_apply_just_below_their_version_and_not_at_it(pair):
    """The walk applies the change to the version before and leaves its own version alone."""
    change = BY_NAME[pair["change"]]
    assert change in applicable(just_before(change.version), pair["operation"])
    assert change not in applicable(change.version, pair["operation"])


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair['change']}-{pair['operation']}")
def test_nothing_given_is_changed(pair):
    """At the oldest version, where every change runs, the caller's objects stay as they were, however deep."""
    before = copy.deepcopy(pair)
    if "request" in pair:
        query, body = pair["request"]
        try:
            upgrade_request(MINIMUM, pair["operation"], query, body)
        except InvalidParameter:
            assert "refused" in pair
    else:
        downgrade_response(MINIMUM, pair["operation"], pair["response"])
        downgrade_response(MINIMUM, pair["operation"], [pair["response"]])
    assert pair == before


@pytest.mark.parametrize("operation", [*OPERATIONS, "containers.rename"])
def test_the_current_version_gets_the_very_same_objects(operation):
    query, body = {"a": ["b"]}, {"HostConfig": {}}
    assert upgrade_request(CURRENT, operation, query, body) == (query, body)
    assert upgrade_request(CURRENT, operation, query, body)[1] is body
    assert downgrade_response(CURRENT, operation, body) is body


@pytest.mark.parametrize("version", [MINIMUM, ApiVersion(1, 24), just_before(MAXIMUM), MAXIMUM], ids=str)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "body", [None, {}, [], "text", 5, [None, 3], {"HostConfig": [], "State": 3, "Mounts": {"a": 1}}]
)
def test_odd_bodies_pass_at_every_version(version, operation, body):
    """Bodies of unexpected types reach the resource, which refuses them; none raises here."""
    _, upgraded = upgrade_request(version, operation, {}, body)
    assert upgraded is None or type(upgraded) is type(body)
    downgraded = downgrade_response(version, operation, body)
    assert isinstance(downgraded, type(body))


@pytest.mark.parametrize(
    "broken",
    [
        {"HostConfig": "x"},
        {"HostConfig": {"Mounts": "x"}},
        {"HostConfig": {"Mounts": [1, {"BindOptions": 5}]}},
        {"HostConfig": {"NetworkMode": 7}, "MacAddress": "02:42:0a:e0:00:02"},
        {"NetworkingConfig": [], "MacAddress": "02:42:0a:e0:00:02"},
        {"NetworkingConfig": {"EndpointsConfig": 5}, "MacAddress": "02:42:0a:e0:00:02"},
        {"NetworkingConfig": {"EndpointsConfig": {"a": 5}}, "MacAddress": "02:42:0a:e0:00:02"},
        {"NetworkingConfig": {"EndpointsConfig": {"a": None}}, "MacAddress": "02:42:0a:e0:00:02"},
        {"VolumeDriver": {"a": 1}, "HostConfig": 3},
        {"Healthcheck": 3},
    ],
    ids=str,
)
def test_broken_create_bodies_keep_what_is_broken(broken):
    """A wrong type stays in the body for the policy to refuse; it is neither repaired nor dropped."""
    _, body = upgrade_request(MINIMUM, "containers.create", {}, broken)
    for key, value in broken.items():
        if key != "MacAddress" and not isinstance(value, dict):
            assert body[key] == value


def test_a_create_of_1_20_walks_up_through_every_version():
    """The order counts: the driver moves first, then HostConfig gets the old defaults, then the address moves."""
    query, body = upgrade_request(
        MINIMUM,
        "containers.create",
        {"name": ["web"], "platform": ["x"]},
        {
            "Image": "busybox",
            "VolumeDriver": "nfs",
            "MacAddress": "02:42:0a:e0:00:02",
            "HostConfig": {"AutoRemove": True, "LxcConf": [], "ConsoleSize": [0, 0], "Annotations": {"a": "b"}},
        },
    )
    assert query == {"name": ["web"]}
    assert body == {
        "Image": "busybox",
        "HostConfig": {"AutoRemove": False, "VolumeDriver": "nfs", "IpcMode": "shareable"},
        "NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": "02:42:0a:e0:00:02"}}},
    }


@pytest.mark.parametrize("version", [ApiVersion(1, 20), ApiVersion(1, 21)], ids=str)
def test_the_container_within_an_exec_has_its_own_versions_shape(version):
    answer = downgrade_response(
        version,
        "exec.inspect",
        {
            "ID": "e",
            "ContainerID": "c",
            "ExitCode": None,
            "Pid": 5,
            "Container": {
                "Id": "c",
                "State": {"Status": "running", "Running": True, "Health": {}},
                "NetworkSettings": {"IPAddress": "10.224.0.2", "Networks": {"bridge": {"NetworkID": "n"}}},
            },
        },
    )
    inner = answer.pop("Container")
    assert answer == {"ID": "e", "ExitCode": 0}
    assert inner["ExecDriver"] == "native-0.2"
    assert ("Status" in inner["State"]) == ("Networks" in inner["NetworkSettings"]) == (version == (1, 21))
    assert "Health" not in inner["State"]


def test_a_list_of_a_thousand_is_quick_at_the_oldest_version():
    """The budget of a whole list at 1.20 is some 30 ms; a walk that copied everything would alone take longer."""
    golden = json.loads((Path(__file__).parent / "golden" / "engine-26.1" / "containers.list.json").read_text())
    element = golden["all"][-1]["body"][-1]
    containers = [copy.deepcopy(element) for _ in range(1000)]
    best = min(_seconds(containers) for _ in range(5))
    assert best < 0.05


def _seconds(containers):
    start = time.thread_time()
    downgrade_response(MINIMUM, "containers.list", containers)
    return time.thread_time() - start
