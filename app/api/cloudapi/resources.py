"""What CloudAPI answers, field by field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import falcon
import orjson

from app.api import strict_json
from app.api.cloudapi import VERSION
from app.api.cloudapi.errors import write
from app.api.cloudapi.middleware import who
from app.domain import ssh_key
from app.domain.account import AccountKey
from app.domain.network import Network
from app.domain.package import Package
from app.errors import InvalidParameter
from app.services.account_keys import AccountKeys
from app.services.offers import Offers

_MIB = 1 << 20


def answer(resp: falcon.Response, body: Any, status: int = 200) -> None:
    resp.status = status
    resp.content_type = "application/json"
    resp.data = orjson.dumps(body)


class Ping:
    """GET /--ping"""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        answer(resp, {"ping": "pong", "cloudapi": {"versions": [VERSION]}})

    on_head = on_get


class GetAccount:
    """GET /{account}"""

    def __init__(self, offers: Offers) -> None:
        self._offers = offers

    def on_get(self, req: falcon.Request, resp: falcon.Response, account: str) -> None:
        since = _time(self._offers.since(req.context.account))
        mine = req.context.account
        answer(resp, {"id": str(mine.id), "login": mine.login, "email": "", "created": since, "updated": since})

    on_head = on_get


class Services:
    """GET /{account}/services"""

    def __init__(self, offers: Offers) -> None:
        self._offers = offers

    def on_get(self, _req: falcon.Request, resp: falcon.Response, account: str) -> None:
        answer(resp, self._offers.services())

    on_head = on_get


class Datacenters:
    """GET /{account}/datacenters"""

    def __init__(self, offers: Offers) -> None:
        self._offers = offers

    def on_get(self, _req: falcon.Request, resp: falcon.Response, account: str) -> None:
        answer(resp, self._offers.datacenters())

    on_head = on_get


class Datacenter:
    """GET /{account}/datacenters/{name}: leads to its CloudAPI"""

    def __init__(self, offers: Offers) -> None:
        self._offers = offers

    def on_get(self, _req: falcon.Request, resp: falcon.Response, account: str, name: str) -> None:
        url = self._offers.datacenters().get(name)
        if not url:
            write(resp, 404, "ResourceNotFound", f"{name} is not an available datacenter")
            return
        resp.set_header("Location", url)
        write(resp, 302, "ResourceMoved", f"{name} is at {url}")

    on_head = on_get


class KeyList:
    """GET and POST /{account}/keys"""

    def __init__(self, keys: AccountKeys) -> None:
        self._keys = keys

    def on_get(self, req: falcon.Request, resp: falcon.Response, account: str) -> None:
        answer(resp, [_key(key) for key in self._keys.list(req.context.account)])

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response, account: str) -> None:
        mine = req.context.account
        text, name = _new_key(req)
        if text is None:
            write(resp, 409, "MissingParameter", "key is a required argument")
            return
        key = _key(self._keys.add(mine, who(req), text, name))
        resp.set_header("Location", f"/{mine.login}/keys/{quote(key['fingerprint'], safe='')}")
        answer(resp, key, 201)


class Key:
    """GET and DELETE /{account}/keys/{wanted}, by fingerprint or name"""

    def __init__(self, keys: AccountKeys) -> None:
        self._keys = keys

    def on_get(self, req: falcon.Request, resp: falcon.Response, account: str, wanted: str) -> None:
        answer(resp, _key(self._keys.get(req.context.account, wanted)))

    on_head = on_get

    def on_delete(self, req: falcon.Request, resp: falcon.Response, account: str, wanted: str) -> None:
        self._keys.delete(req.context.account, who(req), wanted)
        resp.status = 204


class Packages:
    """GET /{account}/packages"""

    FILTERS = ("name", "memory", "disk", "swap", "lwps", "vcpus", "version", "group")

    def __init__(self, offers: Offers) -> None:
        self._offers = offers

    def on_get(self, req: falcon.Request, resp: falcon.Response, account: str) -> None:
        wanted = {name: value for name in self.FILTERS if (value := req.get_param(name)) is not None}
        found = [_package(package) for package in self._offers.packages()]
        answer(resp, [p for p in found if all(str(p[name]) == value for name, value in wanted.items())])

    on_head = on_get


class GetPackage:
    """GET /{account}/packages/{wanted}, by id or name"""

    def __init__(self, offers: Offers) -> None:
        self._offers = offers

    def on_get(self, _req: falcon.Request, resp: falcon.Response, account: str, wanted: str) -> None:
        answer(resp, _package(self._offers.package(wanted)))

    on_head = on_get


class Networks:
    """GET /{account}/networks"""

    def __init__(self, offers: Offers) -> None:
        self._offers = offers

    def on_get(self, req: falcon.Request, resp: falcon.Response, account: str) -> None:
        answer(resp, [_network(network) for network in self._offers.networks(req.context.account)])

    on_head = on_get


class GetNetwork:
    """GET /{account}/networks/{wanted}"""

    def __init__(self, offers: Offers) -> None:
        self._offers = offers

    def on_get(self, req: falcon.Request, resp: falcon.Response, account: str, wanted: str) -> None:
        answer(resp, _network(self._offers.network(req.context.account, wanted)))

    on_head = on_get


def _new_key(req: falcon.Request) -> tuple[str | None, str]:
    """The key and the name that a POST carries. Raises InvalidParameter."""
    media_type = (req.content_type or "").partition(";")[0].strip().lower()
    if req.context.body and media_type != "application/json":
        raise falcon.HTTPUnsupportedMediaType(title=f"send application/json, not {media_type or 'nothing'}")
    body = strict_json.loads(req.context.body) if req.context.body else {}
    if not isinstance(body, dict):
        raise InvalidParameter("the body must be a JSON object")
    for name, value in body.items():
        if name not in ("key", "name"):
            raise InvalidParameter(f"{name} is not an argument of CreateKey")
        if not isinstance(value, str):
            raise InvalidParameter(f"{name} must be a string")
    return body.get("key") or None, body.get("name", "")


def _key(key: AccountKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "fingerprint": ssh_key.md5_of_line(key.public_key),
        "key": key.public_key,
        "created": _time(key.created_at),
        "updated": _time(key.created_at),
    }


def _package(package: Package) -> dict[str, Any]:
    """Sizes in MiB; swap as the limit of memory and swap together, as CloudAPI counts it."""
    cpus = package.nano_cpus / 10**9
    return {
        "id": str(package.id),
        "name": package.name,
        "memory": package.memory // _MIB,
        "disk": package.disk // _MIB,
        "swap": (package.memory + package.swap) // _MIB,
        "vcpus": int(cpus) if cpus.is_integer() else cpus,
        "lwps": package.pids,
        "version": "1.0.0",
        "group": "",
        "default": False,
    }


def _network(network: Network) -> dict[str, Any]:
    return {
        "id": str(network.uuid),
        "name": network.name,
        "public": False,
        "fabric": True,
        "subnet": network.subnet,
        "gateway": network.gateway,
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
