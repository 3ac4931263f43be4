"""A registry, as a client of ours sees it: manifests, blobs, tags and logins.

Engines pull and push; this one looks at what they are going to get, with the same credentials. A tenant chooses the
host, and the host chooses where its tokens come from and where its blobs are. So every host that is spoken to, a
redirect's and a token server's too, is given by `addresses_of`, which refuses what may not be spoken to, and is
connected to at just these addresses: a name cannot mean something else a moment later. Sizes and times are limited.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urljoin, urlsplit

from app.engine.registry_answers import (
    MAX_ANSWER,
    READ_TIMEOUT,
    challenge,
    next_page,
    read,
    read_json,
    refused,
    told_by,
    words_of,
)
from app.errors import Error, Forbidden, Internal, Unauthorized
from app.stream.image_manifest import ACCEPTED

CONNECT_TIMEOUT = 10.0
MAX_MANIFEST = 4 << 20
MAX_TAGS = 10_000
_REDIRECTS = 5
_BLOCK = 256 * 1024

#: Docker Hub's registry has another name than its images.
_HUB = {"docker.io": "registry-1.docker.io"}


@dataclass(frozen=True)
class Credentials:
    """Of one registry; all empty for none. Never log one."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    @classmethod
    def of(cls, found: Mapping[str, str]) -> Credentials:
        """From the fields of an AuthConfig in lower case."""
        username, password = found.get("username", ""), found.get("password", "")
        if not username and (auth := found.get("auth")):
            try:
                username, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
            except ValueError:
                username = password = ""
        return cls(username, password, found.get("identitytoken", ""), found.get("registrytoken", ""))

    def __repr__(self) -> str:
        return f"Credentials({self.username!r}, ...)"


@dataclass(frozen=True)
class Fetched:
    """A manifest or an index."""

    media_type: str
    digest: str
    content: bytes


class _Connection(http.client.HTTPConnection):
    """To the first of `addresses` that answers, whatever `host` resolves to by now."""

    def __init__(self, host: str, port: int, addresses: Sequence[str], tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=READ_TIMEOUT)
        self._addresses = addresses
        self._tls = tls

    def connect(self) -> None:
        failure: OSError = OSError("no such host")
        for address in self._addresses:
            try:
                sock = socket.create_connection((address, self.port), CONNECT_TIMEOUT)
            except OSError as error:
                failure = error
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                if self._tls:
                    sock = self._tls.wrap_socket(sock, server_hostname=self.host.strip("[]"))
            except BaseException:
                sock.close()
                raise
            sock.settimeout(READ_TIMEOUT)
            self.sock = sock
            return
        raise failure


class Registry:
    """`host` is a reference's host part. `insecure` says of one ("host:port") that it may be spoken to without TLS, or
    with any certificate. Close it in the end.
    """

    def __init__(
        self,
        host: str,
        addresses_of: Callable[[str], Sequence[str]],
        credentials: Credentials,
        insecure: Callable[[str], bool],
    ) -> None:
        self._host = _HUB.get(host, host)
        self._addresses_of = addresses_of
        self._credentials = credentials
        self._insecure = insecure
        self._base = ""
        self._authorization: dict[str, str] = {}
        self._connections: dict[tuple[str, str], _Connection] = {}

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what it has ---------------------------------------------------------------------------------------------

    def manifest(self, path: str, reference: str) -> Fetched:
        """`reference` is a tag or a digest; what comes for a digest is what it says. Raises NotFound and others."""
        headers = {"Accept": ", ".join(ACCEPTED)}
        response = self._get(f"/v2/{path}/manifests/{reference}", f"repository:{path}:pull", headers)
        content = read(response, MAX_MANIFEST)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if reference.startswith("sha256:") and digest != reference:
            raise Internal(f"manifest verification failed for digest {reference}")
        return Fetched((response.getheader("Content-Type") or "").partition(";")[0].strip(), digest, content)

    def blob(self, path: str, digest: str, limit: int = MAX_MANIFEST) -> bytes:
        """A small blob, whole and checked."""
        content = read(self._get_blob(path, digest), limit)
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            raise Internal(f"filesystem layer verification failed for digest {digest}")
        return content

    def blocks(self, path: str, digest: str) -> Iterator[bytes]:
        """A blob as it comes. Who reads it checks it."""
        response = self._get_blob(path, digest)
        try:
            while block := response.read1(_BLOCK):
                yield block
        except (OSError, http.client.HTTPException) as error:
            raise Internal("the connection to the registry was lost") from error
        finally:
            whole = response.isclosed() or response.length == 0
            response.close()
            if not whole:
                # The rest is not wanted, and a connection with a rest on it is of no use.
                self.close()

    def tags(self, path: str) -> list[str]:
        """The tags of a repository. Raises NotFound."""
        found: list[str] = []
        target: str | None = f"/v2/{path}/tags/list"
        while target is not None and len(found) < MAX_TAGS:
            response = self._get(target, f"repository:{path}:pull", {})
            listed = read_json(read(response, MAX_ANSWER)).get("tags") or []
            if not isinstance(listed, list) or not all(isinstance(tag, str) for tag in listed):
                raise Internal("the registry sent a malformed answer")
            found += listed
            target = next_page(response.getheader("Link"), target)
        return found

    def login(self) -> str:
        """Try the credentials. An identity token to use from now on, or "". Raises Unauthorized."""
        response = self._request("GET", "/v2/", {})
        if response.status == 401:
            scheme, told = challenge(response)
            read(response, MAX_ANSWER)
            if scheme == "bearer":
                # A token says whether the password is right; the registry is asked with it, as dockerd does.
                token, refresh = self._token(told, "", offline=True)
                self._authorization[""] = f"Bearer {token}"
                response = self._request("GET", "/v2/", {"Authorization": f"Bearer {token}"})
                read(response, MAX_ANSWER)
                if response.status == 200:
                    return refresh
            elif self._credentials.username:
                response = self._request("GET", "/v2/", {"Authorization": self._basic()})
                read(response, MAX_ANSWER)
        else:
            read(response, MAX_ANSWER)
        if response.status != 200:
            text = f"{response.status} {response.reason}"
            raise Unauthorized(f"login attempt to {self._base}/v2/ failed with status: {text}")
        return ""

    # -- requests ------------------------------------------------------------------------------------------------

    def _get(self, target: str, scope: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """The answer to a GET, with credentials once they are asked for. Raises our kind of what is refused."""
        for attempt in (1, 2):
            authorization = {"Authorization": self._authorization[scope]} if scope in self._authorization else {}
            response = self._request("GET", target, {**headers, **authorization})
            if response.status == 401 and attempt == 1:
                scheme, told = challenge(response)
                read(response, MAX_ANSWER)
                if scheme == "bearer":
                    self._authorization[scope] = f"Bearer {self._token(told, told.get('scope') or scope)[0]}"
                elif scheme == "basic" and self._credentials.username:
                    self._authorization[scope] = self._basic()
                else:
                    raise Unauthorized(f'Get "{self._base}{target}": no basic auth credentials')
                continue
            if response.status >= 400:
                raise refused(response)
            return response
        raise AssertionError("unreachable")

    def _get_blob(self, path: str, digest: str) -> http.client.HTTPResponse:
        return self._get(f"/v2/{path}/blobs/{digest}", f"repository:{path}:pull", {})

    def _request(self, method: str, target: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """One request to the registry, over redirects. The first one finds out how it is spoken to."""
        if self._base:
            return self._follow(method, self._base + quote(target, safe="/:@?=&%+"), headers)
        schemes = ("https", "http") if self._insecure(self._host) else ("https",)
        failure: Error = Internal("")
        for scheme in schemes:
            base = f"{scheme}://{self._host}"
            try:
                response = self._follow(method, base + quote(target, safe="/:@?=&%+"), headers)
            except _NoConnection as error:
                failure = Internal(f'Get "{base}/v2/": {error}')
                if "timeout" in str(error):
                    break
                continue
            self._base = base
            return response
        raise failure

    def _follow(self, method: str, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        origin = urlsplit(url).netloc
        sent = dict(headers)
        for _ in range(_REDIRECTS):
            response = self._send(method, url, sent)
            location = response.getheader("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                return response
            read(response, MAX_ANSWER)
            before, url = urlsplit(url), urljoin(url, location)
            after = urlsplit(url)
            if before.scheme == "https" and after.scheme != "https":
                raise Forbidden("the registry redirects to a place without TLS")
            if after.netloc != origin:
                sent.pop("Authorization", None)
        raise Internal("the registry redirects too often")

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise Internal("the registry names an address that is none") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise Internal("the registry names an address that is none")
        if parts.scheme == "http" and not self._insecure(parts.netloc):
            raise Forbidden("the registry names a place without TLS")
        key = (parts.scheme, parts.netloc)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = {"User-Agent": "sdc-docker", "Host": parts.netloc, **headers}
        while True:
            kept = key in self._connections
            if not kept:
                self._connections[key] = self._connect(parts.scheme, parts.netloc, parts.hostname, port)
            connection = self._connections[key]
            try:
                connection.request(method, target, body=body, headers=sent)
                return connection.getresponse()
            except ssl.SSLError as error:
                self._drop(key)
                raise _NoConnection(f"tls: {error.reason or 'failed'}".lower().replace("_", " ")) from error
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._drop(key)
                # One that was kept may have been closed meanwhile: then a new one is tried, once.
                if not kept:
                    raise _NoConnection(words_of(error)) from error

    def _connect(self, scheme: str, netloc: str, hostname: str, port: int | None) -> _Connection:
        addresses = self._addresses_of(netloc)
        context = None
        if scheme == "https":
            context = ssl.create_default_context()
            if self._insecure(netloc):
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
        return _Connection(hostname, port or (443 if scheme == "https" else 80), addresses, context)

    def _drop(self, key: tuple[str, str]) -> None:
        connection = self._connections.pop(key, None)
        if connection is not None:
            connection.close()

    # -- credentials ---------------------------------------------------------------------------------------------

    def _basic(self) -> str:
        pair = f"{self._credentials.username}:{self._credentials.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def _token(self, told: Mapping[str, str], scope: str, *, offline: bool = False) -> tuple[str, str]:
        """(access token, refresh token) of the realm that a challenge names. Raises Unauthorized."""
        own = self._credentials
        if own.registry_token:
            return own.registry_token, ""
        realm, service = told.get("realm", ""), told.get("service", "")
        if own.identity_token:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": own.identity_token,
                "service": service,
                "scope": scope,
                "client_id": "docker",
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            response = self._to_realm("POST", realm, headers, urlencode(form).encode())
        else:
            query = {"service": service, "scope": scope, "account": own.username}
            query |= {"offline_token": "true", "client_id": "docker"} if offline else {}
            joint = "&" if "?" in realm else "?"
            url = f"{realm}{joint}{urlencode({k: v for k, v in query.items() if v})}"
            response = self._to_realm("GET", url, {"Authorization": self._basic()} if own.username else {}, None)
        content = read(response, MAX_ANSWER)
        if response.status in (401, 403):
            raise Unauthorized(
                told_by(content) or f'Get "{self._base}/v2/": unauthorized: incorrect username or password'
            )
        if response.status != 200:
            raise Internal(f"the token server answered with status {response.status}")
        found = read_json(content)
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not token or not token.isprintable():
            raise Internal("authorization server did not include a token in the response")
        refresh = found.get("refresh_token")
        return token, refresh if isinstance(refresh, str) else ""

    def _to_realm(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> http.client.HTTPResponse:
        try:
            return self._send(method, url, headers, body)
        except _NoConnection as error:
            raise Internal(f'Get "{url.partition("?")[0]}": {error}') from error


class _NoConnection(Exception):
    """Nobody answers there; the words are Go's."""
