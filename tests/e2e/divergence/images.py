"""Images: list, inspect, history, tag, removal, save, load, import, and what fails without a registry."""

from __future__ import annotations

from tests.e2e.divergence.pairs import Ask, ask, at, meant

_TAR = {"Content-Type": "application/x-tar"}
_EMPTY = b"\0" * 1024


def _asked() -> list[Ask]:
    listed = "GET /images/json"
    return [
        ask(listed),
        ask(f"{listed}?all=1"),
        ask(f"{listed}?digests=1"),
        *(
            ask(listed, filters=filters)
            for filters in (
                "nojson", "[]", "{}", '{"dangling":true}', {"bogus": ["x"]}, {"dangling": ["maybe"]},
                {"dangling": ["true"]}, {"dangling": ["false"]},
                {"before": ["nosuch"]}, {"since": ["nosuch"]}, {"before": ["BAD NAME"]}, {"reference": ["busy*"]},
                {"reference": ["["]}, {"reference": ["nosuch"]}, {"label": ["a=b"]}, {"label": [""]},
                {"until": ["bogus"]}, {"until": ["1h"]}, {"before": ["busybox"]}, {"since": ["busybox"]},
            )
        ),
        meant("late", ask(listed, filters={"dangling": ["true", "false"]})),
        ask("GET /images/busybox/json", free=("GraphDriver.*", "Metadata.LastTagTime")),
        ask("GET /images/busybox:latest/json", free=("GraphDriver.*", "Metadata.LastTagTime")),
        ask("GET /images/docker.io/library/busybox/json", free=("GraphDriver.*", "Metadata.LastTagTime")),
        ask("GET /images/busybox/history"),
        ask("GET /images/busybox:nosuch/json"),
        ask("GET /images/busybox:nosuch/history"),
        ask("GET /images/nosuch/history"),
        ask("GET /images/a/b/c/json"),
        ask("GET /images/BAD/history"),
        ask(f"GET /images/sha256:{'0' * 64}/json"),
        ask(f"GET /images/busybox@sha256:{'0' * 64}/json"),
    ]  # fmt: skip


def _tags() -> list[Ask]:
    tag = "POST /images/busybox/tag"
    return [
        ask("POST /images/nosuch/tag?repo=x"),
        ask(tag),
        ask(f"{tag}?repo="),
        ask(f"{tag}?repo=BAD"),
        ask(f"{tag}?repo=a&tag=b:c"),
        ask(f"{tag}?repo=a&tag=-b"),
        ask(f"{tag}?repo=a&tag={'x' * 129}"),
        ask(f"{tag}?repo=a:b&tag=c"),
        ask(f"{tag}?repo=a%20b"),
        ask(f"{tag}?repo=x@sha256:{'0' * 64}"),
        ask(f"{tag}?repo={'0' * 64}"),
        ask(f"{tag}?repo={'a' * 300}"),
        ask(f"{tag}?repo=mine"),
        ask(f"{tag}?repo=mine&tag=two"),
        ask(f"{tag}?repo=host.example:5000/mine&tag=two"),
        ask("GET /images/json", filters={"reference": ["mine"]}, free=("0.RepoTags.*",)),
        ask("GET /images/mine/json", free=("GraphDriver.*", "RepoTags.*", "Metadata.*")),
        ask("POST /containers/create?name=uses", {"Image": "mine", "Cmd": ["true"]}, keep="uses"),
        ask("DELETE /images/busybox:nosuch"),
        ask("DELETE /images/mine:two"),
        ask("DELETE /images/mine:two"),
        ask("DELETE /images/mine"),
        ask("GET /containers/json?all=1", filters={"name": ["uses"]}, free=("0.Created",)),
        ask("DELETE /images/host.example:5000/mine:two"),
        ask("DELETE /images/busybox"),
        ask("DELETE /images/busybox?noprune=1"),
        ask("POST /images/busybox:1.35/tag?repo=busybox&tag=latest"),
        ask("DELETE /containers/uses"),
        ask("POST /images/prune", filters={"bogus": ["x"]}),
        ask("POST /images/prune", filters={"dangling": ["maybe"]}),
        ask("POST /images/prune", filters={"until": ["bogus"]}),
        ask("POST /images/prune", filters="x"),
        ask("POST /images/prune"),
    ]


def _content() -> list[Ask]:
    return [
        ask("GET /images/nosuch/get"),
        ask("GET /images/get", head_only=True),
        ask("GET /images/get?names="),
        ask("GET /images/get?names=nosuch"),
        ask("GET /images/get?names=busybox&names=nosuch"),
        ask("GET /images/get?names=BAD"),
        ask("GET /images/busybox/get", head_only=True),
        meant("load", ask("POST /images/load", b"", headers=_TAR)),
        meant("load", ask("POST /images/load", b"no tar", headers=_TAR)),
        meant("load", ask("POST /images/load", _EMPTY, headers=_TAR)),
        meant("load", ask("POST /images/load?quiet=0", _EMPTY, headers=_TAR)),
        ask("POST /images/create"),
        ask("POST /images/create?fromImage="),
        ask("POST /images/create?fromImage=BAD"),
        ask("POST /images/create?fromImage=a%20b"),
        ask("POST /images/create?fromImage=a&tag=b%20c"),
        ask("POST /images/create?fromImage=a&platform=a/b/c/d"),
        ask("POST /images/create?fromImage=a&platform=bogus"),
        ask("POST /images/create?fromSrc=-", b"no tar", headers=_TAR),
        ask("POST /images/create?fromSrc=-&repo=BAD", _EMPTY, headers=_TAR),
        ask("POST /images/create?fromSrc=-&repo=a&tag=b:c", _EMPTY, headers=_TAR),
        ask("POST /images/create?fromSrc=-&repo=a&changes=BOGUS", _EMPTY, headers=_TAR),
        ask("POST /images/create?fromSrc=bogus", b"", headers=_TAR),
        ask("POST /images/busybox/push"),
        ask("POST /images/nosuch/push", headers={"X-Registry-Auth": "e30="}),
        ask("POST /images/BAD/push", headers={"X-Registry-Auth": "e30="}),
    ]


SEQUENCES = {
    "images: list and inspect": _asked(),
    "images: tag and rmi": _tags(),
    "images: content": _content(),
    "images: list and inspect at 1.24": at("1.24", _asked()),
    "images: list and inspect at 1.20": at("1.20", _asked()),
    "images: tag and rmi at 1.20": at("1.20", _tags()),
}
