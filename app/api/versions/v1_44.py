"""Changes made in API 1.44 (Docker 25.0).

Read-only binds are recursive since 1.44; that concerns binds of host paths alone, which no account has.
"""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, Query, drop, own
from app.errors import InvalidParameter

V1_44 = ApiVersion(1, 44)

#: How Go prints the zero time, which old versions show where a time is unknown.
_ZERO_TIME = "0001-01-01T00:00:00Z"


class SeveralNetworksAtCreate(Change):
    """Create may connect several networks; before, more than one endpoint was refused."""

    version = V1_44
    operations = frozenset({"containers.create"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        networking = body.get("NetworkingConfig")
        endpoints = networking.get("EndpointsConfig") if isinstance(networking, dict) else None
        if isinstance(endpoints, dict) and len(endpoints) > 1:
            names = ", ".join(sorted(endpoints))
            raise InvalidParameter(f"Container cannot be connected to network endpoints: {names}")


class EndpointMacAddress(Change):
    """A MAC address belongs to an endpoint; before, it was the container's and an endpoint's own was not read."""

    version = V1_44
    operations = frozenset({"containers.create"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        address = body.pop("MacAddress", None)
        networking = own(body, "NetworkingConfig")
        endpoints = own(networking, "EndpointsConfig") if networking is not None else None
        for name in endpoints or {}:
            if endpoints is not None and (endpoint := own(endpoints, name)) is not None:
                drop(endpoint, "MacAddress")
        if not address:
            return
        mode = _network_mode(body)
        if mode in {"none", "host"} or mode.startswith("container:"):
            raise InvalidParameter("conflicting options: mac-address and the network mode")
        if networking is None:
            if body.get("NetworkingConfig") is not None:
                return
            body["NetworkingConfig"] = networking = {}
        if endpoints is None:
            if networking.get("EndpointsConfig") is not None:
                return
            networking["EndpointsConfig"] = endpoints = {}
        name = next(iter(endpoints), mode)
        if endpoints.get(name) is None:
            endpoints[name] = {}
        if isinstance(endpoints[name], dict):
            endpoints[name]["MacAddress"] = address


class HealthStartInterval(Change):
    """A health check has a StartInterval; before, it was not read and not shown."""

    version = V1_44
    operations = frozenset({"containers.create", "containers.inspect"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        if (check := own(body, "Healthcheck")) is not None:
            drop(check, "StartInterval")

    def downgrade_response(self, body: Body) -> None:
        if (check := own(own(body, "Config") or {}, "Healthcheck")) is not None:
            drop(check, "StartInterval")


class EndpointDnsNames(Change):
    """An endpoint shows the names that its container answers to, DNSNames."""

    version = V1_44
    operations = frozenset({"containers.inspect", "containers.list"})

    def downgrade_response(self, body: Body) -> None:
        networks = own(own(body, "NetworkSettings") or {}, "Networks") or {}
        for name in networks:
            if (endpoint := own(networks, name)) is not None:
                drop(endpoint, "DNSNames")


class VirtualSizeRemoved(Change):
    """Images have no VirtualSize any more, which was the same as Size."""

    version = V1_44
    operations = frozenset({"images.inspect", "images.list"})

    def downgrade_response(self, body: Body) -> None:
        body["VirtualSize"] = body.get("Size", 0)


class ImageWithoutTime(Change):
    """Inspect of an image without a time of creation leaves Created out; before, it showed the year 1."""

    version = V1_44
    operations = frozenset({"images.inspect"})

    def downgrade_response(self, body: Body) -> None:
        if not body.get("Created"):
            body["Created"] = _ZERO_TIME


class InfoOf144(Change):
    """Info shows the status of each runtime and the folders of CDI specifications."""

    version = V1_44
    operations = frozenset({"system.info"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "CDISpecDirs")
        runtimes = own(body, "Runtimes") or {}
        for name in runtimes:
            if (runtime := own(runtimes, name)) is not None:
                drop(runtime, "status")


def _network_mode(body: Body) -> str:
    host = body.get("HostConfig")
    mode = host.get("NetworkMode") if isinstance(host, dict) else ""
    return mode if isinstance(mode, str) and mode not in {"", "default"} else "bridge"


CHANGES = (
    SeveralNetworksAtCreate,
    EndpointMacAddress,
    HealthStartInterval,
    EndpointDnsNames,
    VirtualSizeRemoved,
    ImageWithoutTime,
    InfoOf144,
)
