"""The policy of update and commit."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.policy import Rules, decide_changes, decide_commit, decide_update, settle_update
from app.errors import Error, Forbidden, InvalidParameter

RULES = Rules()
MIB = 1 << 20


def test_what_is_given_is_changed_and_nothing_else() -> None:
    spec = decide_update({"Memory": 64 * MIB, "CpuShares": 0, "Devices": None, "BlkioWeightDevice": []}, RULES)
    assert (spec.resources, spec.restart_policy, spec.warnings) == ({"memory": 64 * MIB}, None, ())
    spec = decide_update({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}, RULES)
    assert spec.restart_policy == {"Name": "always", "MaximumRetryCount": 0} and not spec.resources
    for empty in ({}, {"RestartPolicy": {"Name": "", "MaximumRetryCount": 0}}, {"RestartPolicy": {}}):
        assert decide_update(empty, RULES).restart_policy is None
    assert decide_update({"PidsLimit": 0}, RULES).resources == {"pids_limit": None}
    assert (
        decide_update({"KernelMemory": 5, "Foo": 1}, RULES).warnings
        == (
            "KernelMemory is not supported here and was ignored",
            "Foo is not known here and was ignored",
        )
        or len(decide_update({"KernelMemory": 5, "Foo": 1}, RULES).warnings) == 2
    )


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (None, InvalidParameter),
        ([], InvalidParameter),
        ({"Memory": "1"}, InvalidParameter),
        ({"Memory": True}, InvalidParameter),
        ({"Memory": -1}, InvalidParameter),
        ({"Memory": 1, "memory": 2}, InvalidParameter),
        ({"MemorySwappiness": 5}, InvalidParameter),
        ({"RestartPolicy": {"Name": "x"}}, InvalidParameter),
        ({"RestartPolicy": "always"}, InvalidParameter),
        ({"MemorySwap": -1}, Forbidden),
        ({"OomKillDisable": True}, Forbidden),
        ({"Devices": [{}]}, Forbidden),
        ({"CpusetCpus": "0"}, Forbidden),
        ({"Ulimits": [{"Name": "nofile"}]}, Forbidden),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/sda"}]}, Forbidden),
        ({"PidsLimit": 1 << 40}, Forbidden),
    ],
)
def test_what_is_refused(body: Any, kind: type[Error]) -> None:
    with pytest.raises(kind):
        decide_update(body, RULES)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"MemorySwap": 64 * MIB}, InvalidParameter),
        ({"MemoryReservation": 256 * MIB}, InvalidParameter),
        ({"NanoCpus": 10**9, "CpuQuota": 5000}, InvalidParameter),
    ],
)
def test_what_does_not_fit_the_present_memory(body: dict[str, Any], kind: type[Error]) -> None:
    with pytest.raises(kind):
        settle_update(decide_update(body, RULES), 128 * MIB, RULES)


def test_commit() -> None:
    assert decide_commit(None, RULES) == {} == decide_commit({}, RULES)
    body = {"Env": ["A=1"], "Cmd": ["x"], "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"}, "Tty": False}
    decided = decide_commit(body, RULES)
    assert decided == {"Env": ["A=1"], "Cmd": ["x"], "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"}}
    with pytest.raises(Forbidden):
        decide_commit({"Labels": {"sdc.account": "x"}}, RULES)
    with pytest.raises(InvalidParameter):
        decide_commit({"Env": 5}, RULES)


def test_changes() -> None:
    assert decide_changes(['CMD ["a"]\nENV x=1', "", "label a=b"]) == ['CMD ["a"]', "ENV x=1", "label a=b"]
    for bad in ("RUN x", "FROM x", "COPY a b", "x" * 20_000, "ENV a=\x01"):
        with pytest.raises(InvalidParameter):
            decide_changes([bad])
    for ours in ("LABEL sdc.account=x", 'LABEL a=b "sdc.fleet"=y', "ONBUILD LABEL sdc.op=z"):
        with pytest.raises(Forbidden):
            decide_changes([ours])
    with pytest.raises(InvalidParameter):
        decide_changes(["ENV a=b"] * 200)
