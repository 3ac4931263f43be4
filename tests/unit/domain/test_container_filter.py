from __future__ import annotations

import pytest

from app.domain.container_filter import HEALTH, STATES, Filters, select
from app.errors import InvalidParameter, NotFound
from tests.factories import candidate

#: Newest first, as the database gives them.
ALL = [
    candidate(5, name="web", labels={"tier": "front", "a": ""}, health="healthy"),
    candidate(4, name="db", state="exited", exit_code=3, labels={"tier": "back"}),
    candidate(3, name="web-2", state="created", started_at=None, ports={"80/tcp": None}, exposed={"80/tcp": {}}),
    candidate(2, name="cache", state="paused", health="starting", networks={"bridge": {"NetworkID": "ab" * 32}}),
    candidate(
        1,
        name="old",
        state="dead",
        exit_code=0,
        image_id="sha256:x",
        ports={"53/udp": [{"HostIp": "0.0.0.0", "HostPort": "5300"}], "80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
        mounts=[{"Name": "data", "Destination": "/data"}, {"Destination": "/tmp"}],
    ),
]


def names(filters: Filters | None = None, *, everything: bool = True, limit: int = 0) -> list[str]:
    ancestors = frozenset({"sha256:x"}) if filters and "ancestor" in filters else None
    return [c.name for c in select(ALL, filters or {}, everything=everything, limit=limit, ancestors=ancestors)]


def test_without_filters() -> None:
    assert names() == ["web", "db", "web-2", "cache", "old"]
    assert names(everything=False) == ["web", "cache"]
    assert names(everything=False, limit=3) == ["web", "db", "web-2"]
    assert names(limit=-1) == names()


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"name": ["web"]}, ["web", "web-2"]),
        ({"name": ["^web$"]}, ["web"]),
        ({"name": ["^/web$"]}, ["web"]),
        ({"name": ["(web"]}, []),  # No expression: text.
        ({"name": ["WEB"]}, []),
        ({"name": ["(?i)WEB$"]}, ["web"]),
        ({"name": ["old", "db"]}, ["db", "old"]),
        ({"id": [f"{5:064x}"]}, ["web"]),
        ({"id": ["5$"]}, ["web"]),
        ({"label": ["tier"]}, ["web", "db"]),
        ({"label": ["tier=back"]}, ["db"]),
        ({"label": ["a="]}, ["web"]),
        ({"label": ["a", "tier=back"]}, []),
        ({"status": ["exited", "dead"]}, ["db", "old"]),
        ({"health": ["none"]}, ["db", "web-2", "old"]),
        ({"health": ["starting", "healthy"]}, ["web", "cache"]),
        ({"exited": ["3"]}, ["db"]),
        ({"exited": ["0"]}, ["old"]),
        ({"network": ["bridge"]}, ["cache"]),
        ({"network": ["ab" * 32]}, ["cache"]),
        ({"network": ["abab"]}, []),
        ({"volume": ["data"]}, ["old"]),
        ({"volume": ["/tmp"]}, ["old"]),
        ({"publish": ["8080"]}, ["old"]),
        ({"publish": ["8080/udp"]}, []),
        ({"publish": ["5000-6000/udp"]}, ["old"]),
        ({"expose": ["80"]}, ["web-2", "old"]),
        ({"expose": ["53/udp", "81"]}, ["old"]),
        ({"ancestor": ["x"]}, ["old"]),
        ({"before": ["db"]}, ["web-2", "cache", "old"]),
        ({"since": ["/cache"]}, ["web", "db", "web-2"]),
        ({"before": ["web"], "since": ["old"]}, ["db", "web-2", "cache"]),
        ({"is-task": ["true"]}, []),
        ({"is-task": ["0"]}, ["web", "db", "web-2", "cache", "old"]),
        ({"name": []}, ["web", "db", "web-2", "cache", "old"]),
        ({"isolation": ["default"]}, ["web", "db", "web-2", "cache", "old"]),
    ],
)
def test_filters(filters: Filters, wanted: list[str]) -> None:
    assert names(filters) == wanted


def test_a_status_asks_for_all_states_but_other_filters_do_not() -> None:
    assert names({"status": ["exited"]}, everything=False) == ["db"]
    assert names({"exited": ["3"]}, everything=False) == []
    assert names({"name": ["web"]}, everything=False) == ["web"]
    assert names({"name": ["web"]}, everything=False, limit=9) == ["web", "web-2"]


@pytest.mark.parametrize(
    "filters",
    [
        {"colour": ["red"]},
        {"status": ["up"]},
        {"health": [""]},
        {"exited": ["1.5"]},
        {"is-task": ["maybe"]},
        {"publish": ["80-"]},
        {"publish": ["90-80"]},
        {"publish": ["65536"]},
        {"expose": ["http"]},
        {"expose": ["80/"], "publish": ["x"]},
    ],
)
def test_refusals(filters: Filters) -> None:
    with pytest.raises(InvalidParameter):
        names(filters)


def test_before_and_since_take_a_link_for_a_name() -> None:
    head = '{"Id":"x","Names":["/db","/web/store"],"Image":"busybox","Command":"/web/other"'
    rows = [candidate(3), candidate(2, list_head=head), candidate(1)]
    for word, found in (("web/store", ["c1"]), ("/web/store", ["c1"])):
        chosen = select(rows, {"before": [word]}, everything=True, limit=0, ancestors=None)
        assert [c.name for c in chosen] == found
    with pytest.raises(NotFound):
        select(rows, {"before": ["web/other"]}, everything=True, limit=0, ancestors=None)


@pytest.mark.parametrize("word", ["nonsense", "", "0", "/"])
def test_before_and_since_need_one_container(word: str) -> None:
    for key in ("before", "since"):
        with pytest.raises(NotFound) as refused:
            names({key: [word]})
        assert refused.value.message == f"No such container: {word}"


def test_an_expression_cannot_run_away() -> None:
    everyone = [candidate(1, name="a" * 200)]
    chosen = select(everyone, {"name": ["(a*)*b"]}, everything=True, limit=0, ancestors=None)
    assert chosen == []


def test_words() -> None:
    assert "creating" not in STATES and "none" in HEALTH
