"""The API over services that record what they are asked and say what a test tells them to."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from app.api.app import create_app
from app.api.router import Route
from app.api.routes import Services, table
from app.domain.account import Account
from app.domain.policy import Rules
from app.services.identity import Credential, Refused
from app.services.system import System
from app.settings import Settings
from tests import factories

with warnings.catch_warnings():
    # It imports `cgi`, which Python 3.13 has no more.
    warnings.simplefilter("ignore", DeprecationWarning)
    from webtest import TestApp


class Stub:
    """Answers every method with `answers[name]` (raised if an exception, called if callable) and records the call."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple, dict]] = []
        self.answers: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **how: Any) -> Any:
            self.asked.append((name, args, how))
            answer = self.answers.get(name)
            if isinstance(answer, BaseException):
                raise answer
            return answer(*args, **how) if callable(answer) else answer

        return call


class Nobody:
    """Whom the identity knows: the account, unless a test says why not."""

    def __init__(self, account: Account) -> None:
        self.known = account
        self.refuse: Refused | None = None

    def account(self, credential: Credential) -> Account:
        if self.refuse:
            raise self.refuse
        return self.known


@dataclass
class Api:
    """`get`, `post` ... with any status accepted; the stubs by the services' names."""

    app: TestApp
    account: Account
    identity: Nobody
    #: What requests left there: `asked` has ("record", (entry,), {}).
    audit: Stub
    routes: list[Route]
    stubs: dict[str, Stub] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Stub:
        if name.startswith("__") or name not in self.stubs:
            raise AttributeError(name)
        return self.stubs[name]

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.app.request(path, method=method, body=body, headers=given, expect_errors=True)


IMAGE_SERVICES = ("image_pull", "image_push", "image_load", "image_save", "image_remove", "registries")
BUILD_SERVICES = ("builds", "build_prune")


def make_api(ca_file: str = "") -> Api:
    account = factories.account()
    identity = Nobody(account)
    names = (
        "create",
        "lifecycle",
        "queries",
        "io",
        "files",
        "stats",
        "update",
        "commit",
        "volumes",
        "container_prune",
        "disk_usage",
        "images",
        "networks",
        "network_create",
        "network_remove",
        "network_connect",
        "events",
        *IMAGE_SERVICES,
        *BUILD_SERVICES,
    )
    stubs = {name: Stub() for name in names}
    audit = Stub()
    system: Any = System(Stub(), Settings(database_url=""))  # type: ignore[arg-type]
    services = Services(
        identity=identity,  # type: ignore[arg-type]
        system=system,
        audit=audit,  # type: ignore[arg-type]
        rules=Rules(),
        ca_file=ca_file,
        collect=lambda make: make,
        **stubs,  # type: ignore[arg-type]
    )
    preamble = SimpleNamespace(certificate="pem", verify="NONE")
    app = TestApp(create_app(services), extra_environ={"sdc.preamble": preamble}, lint=False)  # type: ignore[dict-item]
    return Api(app, account, identity, audit, table(services), stubs)
