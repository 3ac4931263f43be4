"""What is asked of registries without an image moving: login, distribution, search."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from app.domain import image_reference
from app.domain.account import Account
from app.domain.image_reference import DEFAULT_HOST, DEFAULT_TAG
from app.engine.engine import Engine
from app.engine.fleet import Fleet
from app.engine.registry import Credentials
from app.errors import Error, Internal, InvalidParameter, Unauthorized
from app.services.image_content import ImageContent
from app.services.registries import Registries, without_addresses
from app.stream import image_manifest
from app.stream.image_manifest import INDEXES, MANIFESTS

Json = dict[str, Any]

#: What clients call Docker Hub when they log in.
_HUB_NAMES = frozenset({"", "index.docker.io", "docker.io", "registry-1.docker.io", "registry.hub.docker.com"})


class RegistryQueries:
    def __init__(self, fleet: Fleet, registries: Registries, content: ImageContent) -> None:
        self._fleet = fleet
        self._registries = registries
        self._content = content

    # -- docker login --------------------------------------------------------------------------------------------

    def login(self, auth: Mapping[str, str]) -> Json:
        """The answer of POST /auth. Raises Unauthorized, Forbidden, InvalidParameter, Internal."""
        host = _server(auth.get("serveraddress", ""))
        if self._registries.is_own_name(host):
            # The certificate has said already who this is.
            return {"IdentityToken": "", "Status": "Login Succeeded"}
        try:
            with self._registries.open_host(host, Credentials.of(auth), self._engine()) as registry:
                token = registry.login()
        except Error as error:
            raise type(error)(without_addresses(error.message), retry_after=error.retry_after) from error
        return {"IdentityToken": token, "Status": "Login Succeeded"}

    # -- docker manifest, docker stack ---------------------------------------------------------------------------

    def distribution(self, account: Account, name: str, auth: Mapping[str, str]) -> Json:
        """The answer of GET /distribution/{name}/json. Raises NotFound, Forbidden, InvalidParameter, Internal."""
        if re.fullmatch(r"(?:sha256:)?[0-9a-f]{64}", name):
            raise InvalidParameter("no manifest found for full image ID")
        reference = image_reference.parse(name)
        remote = self._registries.remote(account, reference, auth)
        wanted = reference.digest or reference.tag or DEFAULT_TAG
        try:
            with self._registries.open(remote, self._engine()) as registry:
                found = registry.manifest(remote.path, wanted)
                if found.media_type in INDEXES:
                    platforms = [platform for platform, _ in image_manifest.entries(found.content)]
                elif found.media_type in MANIFESTS:
                    config = image_manifest.manifest(found.content).config
                    platforms = [image_manifest.config(registry.blob(remote.path, config.digest)).platform]
                else:
                    raise InvalidParameter(f"unsupported manifest format {found.media_type[:100]!r}")
        except Unauthorized as error:
            raise Internal(re.sub(r'^Get "', 'Head "', remote.words(error.message))) from error
        except Error as error:
            raise remote.told(error) from error
        size = len(found.content)
        return {
            "Descriptor": {"mediaType": found.media_type, "digest": found.digest, "size": size},
            "Platforms": [
                {"architecture": p.architecture, "os": p.os} | ({"variant": p.variant} if p.variant else {})
                for p in platforms
            ],
        }

    # -- docker search -------------------------------------------------------------------------------------------

    def search(
        self, term: str, *, limit: int | None, filters: Mapping[str, Any], auth: Mapping[str, str]
    ) -> list[Json]:
        """The answer of GET /images/search. A term with a host asks that host's index."""
        first, slash, _ = term.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            self._registries.check(first)
        header = base64.urlsafe_b64encode(json.dumps(dict(auth)).encode()).decode() if auth else ""
        try:
            found = self._engine().search_images(term, limit=limit, filters=filters, auth=header)
        except Error as error:
            raise type(error)(without_addresses(error.message), retry_after=error.retry_after) from error
        return [
            {
                "star_count": int(one.get("star_count") or 0),
                "is_official": bool(one.get("is_official")),
                "name": str(one.get("name") or ""),
                "is_automated": bool(one.get("is_automated")),
                "description": str(one.get("description") or ""),
            }
            for one in found or []
        ]

    def _engine(self) -> Engine:
        return self._fleet.on(self._content.node())


def _server(address: str) -> str:
    """The host of a login's server address: "https://index.docker.io/v1/", "registry.example.com:5000"."""
    text = address.strip()
    if "://" not in text:
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        host, _ = parts.netloc, parts.port
    except ValueError:
        raise InvalidParameter(f"unable to parse server address: {address[:200]!r}") from None
    # A URL's control characters are lost in the splitting.
    if (
        not text.isprintable()
        or parts.scheme not in ("http", "https")
        or "@" in host
        or not re.fullmatch(r"[\w.:\[\]-]*", host, re.ASCII)
    ):
        raise InvalidParameter(f"unable to parse server address: {address[:200]!r}")
    return DEFAULT_HOST if host.lower() in _HUB_NAMES else host
