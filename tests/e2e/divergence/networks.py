"""Networks and volumes."""

from __future__ import annotations

from typing import Any

from tests.e2e.divergence.pairs import Ask, ask, at, meant

CREATE = "POST /networks/create"


def _pool(**config: Any) -> dict[str, Any]:
    return {"Name": "pool", "IPAM": {"Config": [config]}}


def _networks() -> list[Ask]:
    listed = "GET /networks"
    free = ("IPAM.Config.*", "Containers.*", "Options.*")
    return [
        ask(CREATE),
        ask(CREATE, b"{"),
        ask(CREATE, b"[]"),
        ask(CREATE, b"null"),
        ask(CREATE, {}),
        ask(CREATE, {"Name": ""}),
        ask(CREATE, {"Name": " "}),
        ask(CREATE, {"Name": "a b"}),
        ask(CREATE, {"Name": "a/b"}),
        ask(CREATE, {"Name": 1}),
        ask(CREATE, {"Name": "bridge"}),
        ask(CREATE, {"Name": "host"}),
        ask(CREATE, {"Name": "none"}),
        ask(CREATE, {"Name": "default"}),
        ask(CREATE, {"Name": "bridge", "CheckDuplicate": True}),
        ask(CREATE, {"Name": "x1", "Driver": "host"}),
        ask(CREATE, {"Name": "x1", "Driver": "null"}),
        ask(CREATE, {"Name": "x1", "Driver": "overlay"}),
        ask(CREATE, {"Name": "x1", "Scope": "bogus"}),
        ask(CREATE, {"Name": "x1", "Scope": "swarm"}),
        ask(CREATE, {"Name": "x1", "Labels": ["a"]}),
        ask(CREATE, {"Name": "x1", "ConfigFrom": {"Network": "nosuch"}}),
        ask(CREATE, {"Name": "x1", "Ingress": True}),
        ask(CREATE, b'{"Name":"x1"}', headers={"Content-Type": "text/plain"}),
        ask(CREATE, _pool(Subnet="bogus")),
        ask(CREATE, _pool(Subnet="10.1.2.3")),
        ask(CREATE, _pool(Subnet="10.1.2.0/33")),
        ask(CREATE, _pool(Subnet="10.1.2.3/24", Gateway="10.9.9.9")),
        ask(CREATE, _pool(Subnet="10.1.2.0/24", Gateway="bogus")),
        ask(CREATE, _pool(Subnet="10.1.2.0/24", IPRange="bogus")),
        ask(CREATE, _pool(Gateway="10.1.2.1")),
        ask(CREATE, {"Name": "net", "Labels": {"of": "net"}}, keep="net"),
        ask(CREATE, {"Name": "net", "CheckDuplicate": True}),
        ask("GET /networks/net", free=free),
        ask("GET /networks/{net}", free=free),
        ask("GET /networks/net?verbose=bogus"),
        ask("GET /networks/net?verbose=1", free=free),
        ask("GET /networks/net?scope=swarm"),
        ask("GET /networks/bridge", free=free),
        ask("GET /networks/host", free=free),
        ask("GET /networks/none", free=free),
        ask("DELETE /networks/bridge"),
        ask("DELETE /networks/host"),
        ask("DELETE /networks/none"),
        *(
            ask(listed, filters=filters)
            for filters in (
                "nojson", "[]", {"bogus": ["x"]}, {"driver": ["bogus"]}, {"type": ["bogus"]}, {"scope": ["bogus"]},
                {"dangling": ["maybe"]}, {"name": ["nosuch"]}, {"id": ["zzz"]}, {"label": ["nosuch"]},
                {"scope": ["swarm"]}, {"dangling": ["true", "false"]},
            )
        ),
        ask(listed, filters={"name": ["net"]}, free=tuple(f"0.{one}" for one in free)),
        ask(listed, filters={"label": ["of=net"]}, free=tuple(f"0.{one}" for one in free)),
        ask(f"{listed}/", filters={"type": ["custom"], "name": ["net"]}, free=tuple(f"0.{one}" for one in free)),
        ask("POST /containers/create?name=on", {"Image": "busybox", "Cmd": ["sleep", "900"]}, keep="on"),
        ask("POST /containers/on/start"),
        ask("POST /networks/net/connect"),
        ask("POST /networks/net/connect", b"{"),
        ask("POST /networks/net/connect", b"[]"),
        ask("POST /networks/net/connect", {}),
        ask("POST /networks/net/connect", {"Container": ""}),
        ask("POST /networks/net/connect", {"Container": 1}),
        ask("POST /networks/net/connect", {"Container": "nosuch"}),
        ask("POST /networks/nosuch/connect", {"Container": "on"}),
        ask("POST /networks/nosuch/connect", {}),
        ask("POST /networks/net/connect", {"Container": "on", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "x"}}}),
        ask("POST /networks/net/connect", {"Container": "on", "EndpointConfig": {"IPAMConfig": {
            "IPv4Address": "1.2.3.4"}}}),
        ask("POST /networks/net/connect", {"Container": "on"}, headers={"Content-Type": "text/plain"}),
        ask("POST /networks/net/connect", {"Container": "on", "EndpointConfig": {"Aliases": ["alias"]}}),
        ask("POST /networks/net/connect", {"Container": "on"}),
        ask("POST /networks/host/connect", {"Container": "on"}),
        ask("POST /networks/none/connect", {"Container": "on"}),
        ask("POST /networks/net/connect", {"Container": "on"}),
        ask("GET /networks/net", free=("IPAM.Config.*", "Options.*", "Containers.<on>.EndpointID")),
        ask("DELETE /networks/net"),
        ask("POST /networks/net/disconnect", {}),
        ask("POST /networks/net/disconnect", b"{"),
        ask("POST /networks/net/disconnect", {"Container": "nosuch"}),
        ask("POST /networks/nosuch/disconnect", {"Container": "on"}),
        ask("POST /networks/host/disconnect", {"Container": "on"}),
        ask("POST /networks/net/disconnect", {"Container": "on"}),
        ask("POST /networks/net/disconnect", {"Container": "on"}),
        ask("POST /networks/net/disconnect", {"Container": "on", "Force": True}),
        meant("late", ask("POST /networks/net/connect", {"Container": "on", "EndpointConfig": {
            "Links": ["nosuch:x"]}})),
        ask("DELETE /containers/on?force=1"),
        ask("DELETE /networks/net"),
        ask("DELETE /networks/net"),
        ask("GET /networks/{net}"),
        ask("POST /networks/prune", filters={"bogus": ["x"]}),
        ask("POST /networks/prune", filters={"until": ["bogus"]}),
        ask("POST /networks/prune", filters="x"),
        ask(CREATE, {"Name": "twin", "CheckDuplicate": True}),
        meant("twin", ask(CREATE, {"Name": "twin"})),
        ask("POST /networks/prune", free=("NetworksDeleted",)),
        meant("late", ask(CREATE, _pool(Subnet="10.1.2.0/24", IPRange="10.9.0.0/16"))),
        ask(CREATE, _pool(Subnet="fd00::/64")),
    ]  # fmt: skip


def _volumes() -> list[Ask]:
    create = "POST /volumes/create"
    free = ("Mountpoint",)
    return [
        ask("GET /volumes"),
        ask(create),
        ask(create, b"{"),
        ask(create, b"[]"),
        ask(create, {"Name": "a"}),
        ask(create, {"Name": "a b"}),
        ask(create, {"Name": "a/b"}),
        ask(create, {"Name": "/ab"}),
        ask(create, {"Name": "-ab"}),
        ask(create, {"Name": "ab\u00fc"}),
        ask(create, {"Name": 1}),
        ask(create, {"Name": "vol", "DriverOpts": {"bogus": "1"}}),
        ask(create, {"Name": "vol", "DriverOpts": {"size": "abc"}}),
        ask(create, {"Name": "vol", "DriverOpts": []}),
        ask(create, {"Name": "vol", "Labels": {"a": 1}}),
        ask(create, b'{"Name":"vol"}', headers={"Content-Type": "text/plain"}),
        ask(create, {"Name": "vol", "Labels": {"of": "vol"}}, free=free),
        ask(create, {"Name": "vol"}, free=free),
        ask(create, {"Name": "vol", "Labels": {"other": "1"}}, free=free),
        ask("GET /volumes/vol", free=free),
        ask("GET /volumes/VOL"),
        *(
            ask("GET /volumes", filters=filters, free=("Volumes.0.Mountpoint",))
            for filters in (
                "nojson", "[]", {"bogus": ["x"]}, {"dangling": ["maybe"]},
                {"name": ["vol"]}, {"name": ["nosuch"]}, {"label": ["of=vol"]}, {"label": ["of=other"]},
                {"driver": ["bogus"]}, {"driver": ["local"], "name": ["vol"]}, {"name": ["("]},
            )
        ),
        meant("late", ask("GET /volumes", filters={"dangling": ["true", "false"]})),
        ask("POST /containers/create?name=has", {"Image": "busybox", "HostConfig": {"Binds": ["vol:/x"]}}, keep="has"),
        ask("DELETE /volumes/vol"),
        ask("DELETE /volumes/vol?force=1"),
        ask("GET /containers/has/json", free=("(?!Mounts).*", "Mounts.*Source")),
        ask("DELETE /containers/has"),
        ask("DELETE /volumes/vol"),
        ask("DELETE /volumes/vol"),
        ask("DELETE /volumes/vol?force=1"),
        ask("GET /volumes/vol"),
        ask("POST /volumes/prune", filters={"bogus": ["x"]}),
        ask("POST /volumes/prune", filters="x"),
        ask("POST /volumes/prune", filters={"label": ["nosuch"]}),
        ask("POST /volumes/prune"),
        ask("GET /volumes"),
    ]  # fmt: skip


SEQUENCES = {
    "networks": _networks(),
    "volumes": _volumes(),
    "networks at 1.40": at("1.40", _networks()),
    "volumes at 1.25": at("1.25", _volumes()),
}
