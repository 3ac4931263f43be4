from __future__ import annotations

import re
from typing import Any

import pytest

from app.domain.policy import Rules
from app.domain.policy.volume import VolumeSpec, decide_volume
from app.domain.volume import ANONYMOUS_LABEL
from app.errors import Forbidden, InvalidParameter, NotImplemented


def decide(**body: Any) -> VolumeSpec:
    return decide_volume(body, rules=Rules())


def test_what_a_client_sends() -> None:
    body = {"Name": "data", "Driver": "local", "DriverOpts": {"size": "10g"}, "Labels": {"a": "b"}}
    assert decide(**body) == VolumeSpec("data", {"a": "b"}, {"size": "10g"})
    assert decide(Name="data", Driver="", DriverOpts=None, Labels=None, ClusterVolumeSpec=None) == VolumeSpec("data")


def test_without_a_name() -> None:
    one, two = decide(), decide(Labels={"a": "b"})
    assert re.fullmatch("[0-9a-f]{64}", one.name) and one.name != two.name
    assert one.labels == {ANONYMOUS_LABEL: ""} and two.labels == {"a": "b", ANONYMOUS_LABEL: ""}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "invalid JSON: got EOF while reading request body"),
        ([], "cannot unmarshal array into field body of type object"),
        ({"Name": 5}, "cannot unmarshal number into field Name of type string"),
        ({"Name": "a"}, "create a: volume name is too short, names should be at least two alphanumeric characters"),
        ({"Name": "/etc"}, 'create /etc: "/etc" includes invalid characters for a local volume name'),
        ({"Name": "a b"}, "includes invalid characters"),
        ({"Name": "../x"}, "includes invalid characters"),
        ({"Name": "x\0"}, "NUL"),
        ({"Name": "é" * 4}, "includes invalid characters"),
        ({"Name": "x" * 256}, "a volume name has at most 255 characters"),
        ({"Name": "ok", "Driver": "nosuch"}, 'volume driver "nosuch" is not available'),
        ({"Name": "ok", "Driver": "nfs"}, "this data center has no shared volumes"),
        ({"Name": "ok", "Driver": "tritonnfs"}, "this data center has no shared volumes"),
        ({"Name": "ok", "Driver": 1}, "cannot unmarshal number into field Driver"),
        ({"Name": "ok", "DriverOpts": []}, "cannot unmarshal array into field DriverOpts"),
        ({"Name": "ok", "DriverOpts": {"colour": "red"}}, 'create ok: invalid option: "colour"'),
        ({"Name": "ok", "DriverOpts": {"size": "much"}}, "invalid size: 'much'"),
        ({"Name": "ok", "DriverOpts": {"size": "0"}}, "invalid size: '0'"),
        ({"Name": "ok", "DriverOpts": {"size": 5}}, "of type string"),
        ({"Name": "ok", "Labels": ["a"]}, "cannot unmarshal array into field Labels"),
        ({"Name": "ok", "Colour": "red"}, 'unknown field "Colour"'),
    ],
)
def test_refused(body: Any, message: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        decide_volume(body, rules=Rules())
    assert message in refused.value.message


@pytest.mark.parametrize("option", ["type", "device", "o"])
def test_options_that_reach_the_node(option: str) -> None:
    with pytest.raises(Forbidden, match=f'the volume driver option "{option}"'):
        decide(Name="ok", DriverOpts={option: "none"})


def test_other_refusals() -> None:
    with pytest.raises(Forbidden, match="reserved label"):
        decide(Name="ok", Labels={"sdc.account": "x"})
    with pytest.raises(NotImplemented, match="cluster volumes"):
        decide(Name="ok", ClusterVolumeSpec={"Group": "x"})
