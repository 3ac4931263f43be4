"""Routes, methods, versions, media types and ids that are odd, and the calls about the whole."""

from __future__ import annotations

from tests.e2e.divergence.pairs import Ask, ask, meant

_VERBS = (
    "json", "start", "stop", "restart", "kill", "pause", "unpause", "wait", "rename?name=x", "top", "logs?stdout=1",
    "changes", "export", "stats?stream=0", "resize?h=1&w=1", "archive?path=/", "update", "exec", "attach?stdout=1",
)  # fmt: skip
_GETS = frozenset({"json", "top", "logs?stdout=1", "changes", "export", "stats?stream=0", "archive?path=/"})

#: What is no container, image, network or volume.
_ODD = (
    "nosuch", "0" * 64, "0" * 12, "z", "a%20b", "%C3%BC", "..%2f", "%2e%2e", "-", "a" * 300, "a:b", "sha256:abc",
    "%25", "a+b", "UPPER", "a%2fb", "a/b", "~", "a@b", "'", '"',
)  # fmt: skip


def _methods() -> list[Ask]:
    paths = (
        "/containers/json", "/containers/create", "/containers/x", "/containers/x/json", "/images/json",
        "/images/create", "/images/x", "/images/x/json", "/networks/create", "/networks/x", "/volumes", "/volumes/x",
        "/exec/x/json", "/info", "/events", "/system/df", "/_ping",
    )  # fmt: skip
    return [ask(f"{method} {path}") for path in paths for method in ("PUT", "PATCH")] + [
        ask(line)
        for line in (
            "GET /containers/create", "POST /containers/json", "DELETE /containers/json", "GET /containers/x",
            "POST /containers/x", "POST /containers/x/json", "GET /containers/x/start", "DELETE /containers/x/start",
            "POST /images/json", "GET /images/x", "POST /images/x", "GET /images/create", "POST /images/x/history",
            "GET /images/x/tag", "GET /images/load", "POST /volumes", "POST /volumes/x", "GET /networks/create/x",
            "DELETE /networks", "DELETE /volumes", "POST /info", "POST /version", "POST /events", "POST /_ping",
            "DELETE /_ping", "GET /build", "GET /commit", "GET /auth", "POST /system/df", "GET /containers/prune",
            "DELETE /exec/x", "POST /exec/x", "GET /exec/x", "HEAD /info", "HEAD /containers/json", "HEAD /version",
        )
    ]  # fmt: skip


def _paths() -> list[Ask]:
    return [
        ask(f"GET {path}")
        for path in (
            "/nosuch", "/containers", "/containers/", "/containers/json/", "/images", "/images/", "/images/json/",
            "/info/", "/version/", "/events/", "/volumes/", "/exec", "/exec/", "/CONTAINERS/json", "/containers/x/JSON",
            "/containers/x/json/", "/containers/x/y/z", "/system", "/system/", "/system/df/", "/distribution",
            "/_ping/", "/networks/x/y", "/volumes/x/y", "/containers//json", "/", "/images/search/", "/build/",
        )
    ]  # fmt: skip


def _ids() -> list[Ask]:
    bodies = {"exec": {"Cmd": ["true"]}, "update": {}}
    sent = [ask(f"{'GET' if v in _GETS else 'POST'} /containers/nosuch/{v}", bodies.get(v)) for v in _VERBS]
    sent.append(ask("DELETE /containers/nosuch"))
    for odd in _ODD:
        sent += [
            ask(f"GET /containers/{odd}/json"),
            ask(f"POST /containers/{odd}/start"),
            ask(f"DELETE /containers/{odd}?force=1"),
            ask(f"GET /images/{odd}/json"),
            ask(f"DELETE /images/{odd}"),
            ask(f"GET /networks/{odd}"),
            ask(f"DELETE /networks/{odd}"),
            ask(f"GET /volumes/{odd}"),
            ask(f"DELETE /volumes/{odd}"),
        ]
    sent += [ask(f"GET /exec/{odd}/json") for odd in _ODD]
    return sent


def _versions() -> list[Ask]:
    sent = [
        ask("GET /info", version=version, head_only=version in ("",))
        for version in ("0.1", "1.0", "1.11", "1.99", "2.0", "1.", "1..2", "x", "-1.20", "1.x", "1.41x")
    ]
    for version in ("1.20", "1.23", "1.24"):
        sent += [
            ask(line, version=version)
            for line in (
                "GET /containers/nosuch/json", "GET /nosuch", "POST /containers/nosuch/start",
                "GET /images/nosuch/json", "DELETE /containers/nosuch", "GET /volumes/nosuch", "GET /networks/nosuch",
                "POST /containers/create", "GET /swarm", "POST /containers/prune", "GET /system/df", "GET /plugins",
                "POST /containers/x/update", "POST /images/prune", "GET /containers/json?limit=abc",
                "POST /containers/x/copy", "GET /exec/nosuch/json",
            )
        ]  # fmt: skip
    sent += [ask("POST /containers/nosuch/copy", {"Resource": "/"}, version=v) for v in ("1.20", "1.23", "1.24")]
    return sent


def _whole() -> list[Ask]:
    return [
        ask("GET /_ping"),
        ask("HEAD /_ping"),
        ask("GET /version", free=(".*",)),
        ask("GET /info", free=(".*",)),
        ask("GET /events?since=abc"),
        ask("GET /events?until=abc"),
        ask("GET /events?since=5&until=4"),
        ask("GET /events?since=1&until=2"),
        meant("late", ask("GET /events?since=1&until=2", filters={"bogus": ["x"]})),
        ask("GET /events?since=1&until=2", filters="nojson"),
        ask("GET /events?since=1&until=2", filters=["x"]),
        ask("GET /events?since=1&until=2", filters={"type": ["bogus"]}),
        ask("GET /events?since=-1&until=2", filters={"type": {"container": True}}),
        ask("GET /events?since=1.5.5&until=2"),
        ask("GET /events?since=&until=1"),
        ask("GET /events?since=1e3&until=2"),
        ask("GET /events?since=99999999999999999999&until=2"),
        ask("GET /system/df?type=bogus"),
        ask("GET /system/df", free=("LayersSize", "BuilderSize", "Images.*", "BuildCache", "Volumes.*")),
        ask("POST /containers/prune", filters={"bogus": ["x"]}),
        ask("POST /containers/prune", filters={"until": ["bogus"]}),
        ask("POST /containers/prune", filters={"until": ["1", "2"]}),
        ask("POST /containers/prune", filters={"label": [""]}),
        ask("POST /containers/prune", filters="x"),
        ask("POST /containers/prune"),
        ask("POST /build/prune", filters={"bogus": ["x"]}),
        ask("POST /build/prune", filters="x"),
        ask("POST /build/prune?keep-storage=abc"),
        ask("POST /build/prune"),
        ask("POST /session"),
        ask("POST /grpc"),
        ask("POST /auth", b"", headers={"Content-Type": "application/json"}),
        ask("POST /auth", b"{"),
        ask("POST /auth", b"[]"),
        ask("POST /auth", {"username": 5}),
        ask("GET /distribution/BAD/json"),
        ask("GET /distribution/a b/json"),
        ask(f"GET /distribution/sha256:{'0' * 64}/json"),
        ask("GET /images/search?term=x&limit=abc"),
        ask("GET /images/search?term=x&limit=-1"),
        ask("GET /images/search?term=x&limit=101"),
        ask("GET /images/search?term=x", filters={"bogus": ["x"]}),
        ask("GET /images/search?term=x", filters={"stars": ["x"]}),
        ask("GET /images/search?term=x", filters={"is-official": ["maybe"]}),
        ask("GET /images/search?term=x", filters="x"),
        ask("GET /swarm"),
        ask("GET /nodes"),
        ask("GET /services"),
        ask("GET /tasks"),
        ask("GET /secrets"),
        ask("GET /configs"),
        ask("GET /plugins"),
        ask("GET /plugins/nosuch/json"),
        ask("OPTIONS /info"),
        ask("OPTIONS /nosuch"),
    ]


def _build() -> list[Ask]:
    tar = {"Content-Type": "application/x-tar"}
    empty = b"\0" * 1024
    return [
        ask("POST /build", b"", headers=tar),
        ask("POST /build", b"no tar", headers=tar),
        ask("POST /build", empty, headers=tar),
        ask("POST /build?dockerfile=nosuch", empty, headers=tar),
        ask("POST /build?dockerfile=../x", empty, headers=tar),
        ask("POST /build?t=BAD", empty, headers=tar),
        ask("POST /build?t=a:b:c", empty, headers=tar),
        ask(f"POST /build?t=x@sha256:{'0' * 64}", empty, headers=tar),
        ask("POST /build?buildargs=x", empty, headers=tar),
        ask("POST /build?buildargs=[1]", empty, headers=tar),
        ask("POST /build?labels=x", empty, headers=tar),
        ask("POST /build?ulimits=x", empty, headers=tar),
        ask("POST /build?cachefrom=x", empty, headers=tar),
        ask("POST /build?memory=abc", empty, headers=tar),
        ask("POST /build?shmsize=-1", empty, headers=tar),
        ask("POST /build?platform=a/b/c/d", empty, headers=tar),
        ask("POST /build?version=7", empty, headers=tar),
        ask("POST /build?squash=1", empty, headers=tar),
        ask("POST /build", b"{}", headers={"Content-Type": "application/json"}),
        ask("POST /build?remote=nosuch://x", headers=tar),
        ask("POST /build/cancel"),
        ask("POST /build/cancel?id=x"),
    ]


def _queries() -> list[Ask]:
    """Parameters in odd forms."""
    listed, events = "/containers/json", "/events?since=1&until=2"
    return [
        ask(f"GET {path}")
        for path in (
            f"{listed}?all", f"{listed}?all=", f"{listed}?all=%20", f"{listed}?ALL=1",
            f"{listed}?all=1;limit=1", f"{listed}?%61ll=1", f"{listed}?all=%zz", f"{listed}?%zz=1", f"{listed}?=1",
            f"{listed}?&&&", f"{listed}??all=1", f"{listed}?all=1#x", f"{listed}?limit=%31", f"{listed}?limit=+1",
            f"{listed}?limit=%201", f"{listed}?limit=0x1", f"{listed}?limit=1_0", f"{listed}?limit=\u0661",
            f"{listed}?size=true", f"{listed}?size=maybe", f"{listed}?filters=%7B%7D%7B%7D", f"{listed}?filters=%00",
            f"{listed}?filters=%7B%22name%22%3A%5B%22%C3%BC%22%5D%7D", f"{events}&bogus=1",
            f"{events}&filters=%7B%22type%22%3A%7B%22container%22%3Atrue%2C%22x%22%3Afalse%7D%7D",
            "/images/json?all=maybe", "/volumes?bogus=1",
            "/containers/%6Eosuch/json", "/containers/nosuch%20/json", "/containers/%09/json",
            "/containers/nosuch;x/json",
            "/containers/nosuch/json?size=x", "/containers/nosuch/json%20", "/%63ontainers/json", "/info%2f", "/_ping?",
        )
    ] + [
        ask("POST /containers/nosuch/start", headers={"Content-Type": "text/plain"}),
        ask("POST /containers/nosuch/start", b"{}", headers={"Content-Type": "text/plain"}),
        ask("POST /containers/nosuch/start", b"some words that are not JSON"),
        ask("POST /containers/nosuch/kill", b"some words that are not JSON"),
        ask("GET /containers/json", b"{}"),
        ask("DELETE /containers/nosuch", b"{}"),
        ask("POST /images/prune", b"{}"),
        ask("POST /containers/nosuch/stop?t="),
        ask("POST /containers/nosuch/stop?t=-1"),
        ask("POST /containers/nosuch/stop?t=abc"),
        ask("POST /containers/nosuch/stop?signal=BOGUS"),
        ask("POST /containers/nosuch/kill?signal=BOGUS"),
        ask("POST /containers/nosuch/wait?condition=removed"),
        ask("POST /containers/nosuch/resize?h=abc&w=1"),
        meant("order", ask("POST /containers/nosuch/update", {"Memory": 1})),
        meant("twice", ask(f"GET {listed}?all=1&all=0")),
        ask("POST /containers/nosuch/exec", {}),
        ask("GET /containers/nosuch/logs"),
        ask("GET /containers/nosuch/archive"),
        ask("PUT /containers/nosuch/archive?path=/", b"", headers={"Content-Type": "application/x-tar"}),
        meant("order", ask("POST /images/nosuch/tag?repo=BAD")),
        ask("DELETE /images/nosuch?force=maybe"),
        ask("GET /info", headers={"Accept": "text/html"}, free=(".*",)),
        ask("GET /info", headers={"X-Registry-Auth": "nonsense"}, free=(".*",)),
        ask("GET /containers/nosuch/json", headers={"Accept-Encoding": "gzip"}),
        ask("GET /containers/nosuch/json", headers={"User-Agent": "Docker-Client/99.0"}),
        ask("GET /containers/nosuch/json", headers={"Connection": "Upgrade", "Upgrade": "h2c"}),
        ask("GET /containers/nosuch/json", headers={"Host": "elsewhere.example"}),
        ask("GET /containers/nosuch/json", headers={"Origin": "https://elsewhere.example"}),
    ]  # fmt: skip


SEQUENCES = {
    "queries and headers": _queries(),
    "methods": _methods(),
    "paths": _paths(),
    "ids": _ids(),
    "versions": _versions(),
    "the whole": _whole(),
    "build": _build(),
}
