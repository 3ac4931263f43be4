"""Registries as an account names them, and as nodes and we reach them: policy and credentials.

The data center's own registry (`SDC_REGISTRY`) is one name for all accounts and a repository of its own for each: what
an account calls `HOST/x` is `ADDRESS/<account>/x` there, and only the service has its password. Whose it is, the
account's certificate says.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.domain import image_reference
from app.domain.account import Account
from app.domain.image_reference import ImageReference
from app.engine.engine import Engine
from app.engine.errors import scrub
from app.engine.registry import Credentials, Registry
from app.errors import Error, Forbidden, Internal, InvalidParameter, NotFound, Unauthorized
from app.services.registry_policy import RegistryPolicy
from app.settings import Settings

Json = dict[str, Any]

#: Where an engine's network errors name its resolver, and its own end of a connection.
_RESOLVER = re.compile(r"(?: on|: dial udp|: read udp) \S+:\d+(?=: )")
_OWN_END = re.compile(r"\S+:\d+->")
#: Of an error; the rest is what a registry wrote.
_LONGEST = 4000
#: What a registry makes an engine fetch may be anything in the node's network: that is not for reading.
_BODY = re.compile(r"(?:error parsing HTTP (\d+) response body|invalid character .* looking for).*", re.DOTALL)


@dataclass(frozen=True)
class OwnRegistry:
    """The data center's own: its name for accounts, where nodes reach it, and what lets the service in."""

    name: str
    address: str
    username: str
    password: str


def own_registry(settings: Settings) -> OwnRegistry | None:
    """The data center's registry, where the operator has set one up. Raises ValueError that names the variable."""
    if not settings.registry:
        return None
    try:
        named = image_reference.parse(f"{settings.registry}/x").host == settings.registry
    except InvalidParameter:
        named = False
    if not named:
        raise ValueError(
            f"SDC_REGISTRY must be the host of an image's name, like registry.example:5000, not {settings.registry!r}"
        )
    try:
        username, colon, password = Path(settings.registry_auth_file).read_text().strip().partition(":")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"SDC_REGISTRY_AUTH_FILE: {error}") from None
    if not colon:
        raise ValueError("SDC_REGISTRY_AUTH_FILE must hold user:password")
    return OwnRegistry(settings.registry, settings.registry_address or settings.registry, username, password)


@dataclass(frozen=True)
class Remote:
    """A repository: as the account calls it, and as engines and registries do."""

    shown: ImageReference
    host: str
    path: str
    #: Fields of an AuthConfig in lower case. Never log them.
    auth: Mapping[str, str]

    @property
    def repository(self) -> str:
        return f"{self.host}/{self.path}"

    @property
    def auth_header(self) -> str:
        """An X-Registry-Auth value, encoded the one way that every engine reads."""
        return base64.urlsafe_b64encode(json.dumps(dict(self.auth)).encode()).decode()

    def words(self, text: str) -> str:
        """What an engine or a registry said, in the account's words."""
        text = without_addresses(text)
        if self.repository != self.shown.repository:
            text = text.replace(self.repository, self.shown.repository).replace(self.path, self.shown.path)
            text = text.replace(self.host, self.shown.host)
        return text

    def told(self, error: Error) -> Error:
        return type(error)(self.words(error.message), retry_after=error.retry_after)


class Registries:
    """`own` is the data center's registry, None where it has none."""

    def __init__(self, hosts: Collection[str], own: OwnRegistry | None = None) -> None:
        self._policy = RegistryPolicy(hosts)
        self._own = own

    def remote(self, account: Account, reference: ImageReference, auth: Mapping[str, str]) -> Remote:
        """Where a reference leads. Raises Forbidden where the account may not go there."""
        own = self._own
        if own is not None and reference.host == own.name:
            path = f"{account.id.hex}/{reference.path}"
            if len(f"{own.address}/{path}") > image_reference.MAX_REPOSITORY:
                raise InvalidParameter("invalid reference format: repository name is too long")
            auth = {"username": own.username, "password": own.password, "serveraddress": own.address}
            return Remote(reference, own.address, path, auth)
        self._policy.check(reference.host)
        return Remote(reference, reference.host, reference.path, dict(auth))

    def open(self, remote: Remote, engine: Engine) -> Registry:
        """A client of ours for it. Close it."""
        return self._open(remote.host, Credentials.of(remote.auth), engine)

    def open_host(self, host: str, credentials: Credentials, engine: Engine) -> Registry:
        """A client for a host that the account may name. Raises Forbidden."""
        self._policy.check(host)
        return self._open(host, credentials, engine)

    def check(self, host: str) -> None:
        """Raises Forbidden where the account may not name the host."""
        self._policy.check(host)

    def is_own_name(self, host: str) -> bool:
        """Whether accounts call the data center's own registry so."""
        return self._own is not None and host == self._own.name

    def _open(self, host: str, credentials: Credentials, engine: Engine) -> Registry:
        return Registry(host, self._addresses, credentials, insecure=self._insecure(engine))

    def _addresses(self, host: str) -> Sequence[str]:
        if not self._policy.resolve(host):
            name = host.rpartition(":")[0] or host
            raise Internal(f'Get "https://{host}/v2/": dial tcp: lookup {name}: no such host')
        return self._policy.resolve(host) if self._is_own(host) else self._policy.addresses(host)

    def _is_own(self, host: str) -> bool:
        return self._own is not None and host == self._own.address

    def _insecure(self, engine: Engine) -> Callable[[str], bool]:
        """Whether the engine takes a host without TLS. Only the operator's are: others it need not be asked about."""
        told: list[Json] = []

        def insecure(host: str) -> bool:
            if not self._policy.listed(host) and not self._is_own(host):
                return False
            if not told:
                told.append(engine.info().get("RegistryConfig") or {})
            entry = (told[0].get("IndexConfigs") or {}).get(host)
            if entry is not None:
                return not entry.get("Secure", True)
            ranges = [ipaddress.ip_network(cidr) for cidr in told[0].get("InsecureRegistryCIDRs") or []]
            addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in self._policy.resolve(host)]
            return any(address in network for address in addresses for network in ranges)

        return insecure


def pull_error(remote: Remote, wanted: str, error: Error) -> Error:
    """What a registry said when a manifest was asked for, as dockerd says it (moby distribution/errors.go)."""
    text = remote.words(error.message)
    shown = ImageReference(remote.shown.host, remote.shown.path)
    joint = "@" if wanted.startswith("sha256:") else ":"
    if isinstance(error, NotFound):
        if text.startswith("name unknown"):
            return NotFound(f"repository {shown} not found: {text}")
        return NotFound(f"manifest for {shown}{joint}{wanted} not found: {text}")
    if isinstance(error, Forbidden) and text.startswith("denied"):
        words = f"pull access denied for {shown}, repository does not exist or may require 'docker login': {text}"
        return NotFound(words)
    if isinstance(error, Unauthorized):
        return Internal(re.sub(r'^Get "', 'Head "', text))
    return type(error)(text, retry_after=error.retry_after)


def without_addresses(text: str) -> str:
    """An engine's words about a registry, without the addresses of the node and its resolver, and without answers."""
    text = _BODY.sub(lambda found: f"received unexpected HTTP status: {found[1] or 'unknown'}", text[:_LONGEST])
    return _OWN_END.sub("", _RESOLVER.sub("", scrub(text, {})))
