from __future__ import annotations

import pytest

from app.domain.event import check_filters, message, passes
from app.errors import InvalidParameter
from tests.factories import event

WEB = event(
    "exec_start: sh -c 'a: b'",
    actor_id="ab" * 32,
    attributes={"name": "web", "image": "reg.example.com:5000/team/app:2", "tier": "front", "empty": ""},
)


def test_message_has_old_and_new_fields() -> None:
    shown = message(event("die", time_nano=1_700_000_000_999_999_999, attributes={"image": "busybox", "exitCode": "3"}))
    assert shown == {
        "status": "die",
        "id": "ab" * 32,
        "from": "busybox",
        "Type": "container",
        "Action": "die",
        "Actor": {"ID": "ab" * 32, "Attributes": {"image": "busybox", "exitCode": "3"}},
        "scope": "local",
        "time": 1_700_000_000,
        "timeNano": 1_700_000_000_999_999_999,
    }


def test_only_containers_have_the_old_fields() -> None:
    assert message(event(type="network")).keys().isdisjoint({"status", "id", "from"})


@pytest.mark.parametrize(
    ("filters", "result"),
    [
        ({}, True),
        ({"type": []}, True),
        ({"type": ["container"]}, True),
        ({"type": ["image"]}, False),
        ({"type": ["image", "container"]}, True),
        ({"event": ["exec_start"]}, True),
        ({"event": ["exec_start: sh -c 'a: b'"]}, True),
        ({"event": ["exec"]}, False),
        ({"event": ["die", "exec_start"]}, True),
        ({"container": ["web"]}, True),
        ({"container": ["/web"]}, True),
        ({"container": ["abab"]}, True),
        ({"container": ["other"]}, False),
        ({"label": ["tier"]}, True),
        ({"label": ["tier=front"]}, True),
        ({"label": ["tier=back"]}, False),
        ({"label": ["tier", "absent"]}, False),
        ({"label": ["empty="]}, True),
        ({"label": ["empty=x"]}, False),
        ({"image": ["reg.example.com:5000/team/app:2"]}, True),
        ({"image": ["reg.example.com:5000/team/app"]}, True),
        ({"image": ["app"]}, False),
        ({"scope": ["local"]}, True),
        ({"scope": ["swarm"]}, False),
        ({"network": ["web"]}, False),
        ({"volume": ["web"]}, False),
        ({"type": ["container"], "event": ["die"]}, False),
    ],
)
def test_filters(filters: dict, result: bool) -> None:
    assert passes(WEB, filters) is result


@pytest.mark.parametrize("image", ["busybox", "busybox:1", f"busybox@sha256:{'1' * 64}", "busybox:1@sha256:2"])
def test_an_image_without_tag_is_any_of_its_tags(image: str) -> None:
    assert passes(event(attributes={"image": image}), {"image": ["busybox"]})
    assert passes(event(attributes={"image": image}), {"image": [image]})
    assert not passes(event(attributes={"image": image}), {"image": ["busy"]})


def test_check_filters() -> None:
    check_filters({"type": [], "daemon": ["x"]})
    with pytest.raises(InvalidParameter) as refused:
        check_filters({"colour": ["red"]})
    assert refused.value.message == "invalid filter 'colour'"
