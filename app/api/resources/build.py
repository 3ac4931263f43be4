"""docker build and docker builder prune."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import falcon

from app.api import hijack, params, strict_json, versions
from app.api.body import answer, blocks, drain, upgraded
from app.api.share import Share
from app.domain.account import Account
from app.domain.policy import BuildSpec, Rules, decide_build
from app.errors import InvalidParameter, NotImplemented
from app.services.build import Builds
from app.services.build_prune import BuildPrune
from app.stream.build_context import BuildContext

Json = dict[str, Any]

_TEXTS = ("remote", "target", "platform", "networkmode", "cgroupparent", "isolation", "version")
_NUMBERS = ("memory", "memswap", "cpushares", "cpuperiod", "cpuquota", "shmsize")
_FLAGS = ("q", "nocache", "pull", "squash", "forcerm")
_OBJECTS = ("buildargs", "labels", "ulimits", "cachefrom")
#: Every value of these counts; clients send one parameter for each.
_SEVERAL = ("t", "extrahosts", "securityopt")
#: Builds of one account at a time, in one worker.
MOST_BUILDS = 4


class Build:
    """POST /build. The answer begins when the whole context is there: an error before has a status of its own."""

    def __init__(self, builds: Builds, rules: Rules) -> None:
        self._builds = builds
        self._rules = rules
        self._running = Share(MOST_BUILDS, "builds")

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        body = blocks(req)
        account = req.context.account
        try:
            spec = decide_build(_asked(query), self._rules)
            hijack.require_room(req)
            # Before the context is read, which takes room on the disk that all accounts' have.
            give_back = self._running.take(account.id)
            try:
                context = BuildContext(body, spec.dockerfile)
                self._start(req, account, context, spec, give_back)
            except BaseException:
                give_back()
                raise
        except Exception:
            drain(body)
            raise

    def _start(
        self,
        req: falcon.Request,
        account: Account,
        context: BuildContext,
        spec: BuildSpec,
        give_back: Callable[[], None],
    ) -> None:
        registries = params.registry_config(req.get_header("X-Registry-Config"))
        try:
            opened = self._builds.open(
                account,
                context,
                spec,
                credentials=partial(_credentials, registries),
                walk=partial(versions.downgrade_response, req.context.api_version, req.context.operation),
            )
        except BaseException:
            context.close()
            raise

        def ended() -> None:
            give_back()
            opened.ended()

        hijack.hand_over_collected(req, opened, opened.output, ended=ended)


def _asked(query: params.Query) -> Json:
    """The parameters, typed as they are to be decided. Raises InvalidParameter."""
    asked: Json = {name: params.one(query, name) for name in (*_TEXTS, "cpusetcpus", "cpusetmems")}
    asked |= {name: params.integer(query, name, 0) for name in _NUMBERS}
    asked |= {name: params.boolean(query, name) for name in _FLAGS} | {"rm": params.boolean(query, "rm", True)}
    asked |= {name: _decoded(query, name) for name in _OBJECTS}
    asked |= {name: [value for value in params.several(query, name) if value] for name in _SEVERAL}
    # The SDK for Python sends the name of a Dockerfile from outside the context, and its text as a second value.
    return {**asked, "dockerfile": next(iter(params.several(query, "dockerfile")), "")}


def _decoded(query: params.Query, name: str) -> Any:
    text = params.one(query, name)
    if not text:
        return None
    try:
        return strict_json.loads(text.encode(), data_keys=True)
    except (InvalidParameter, UnicodeEncodeError):
        raise InvalidParameter(f'invalid value for "{name}": it is not valid JSON') from None


def _credentials(registries: Mapping[str, Mapping[str, str]], host: str) -> Mapping[str, str]:
    names = ["https://index.docker.io/v1/", "index.docker.io", host] if host == "docker.io" else [host]
    names += [f"https://{host}", f"https://{host}/v1/", f"https://{host}/v2/", f"http://{host}"]
    return next((registries[name] for name in names if name in registries), {})


class BuildCachePrune:
    """POST /build/prune"""

    def __init__(self, prune: BuildPrune) -> None:
        self._prune = prune

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        params.filters(
            query, known=("until", "unused-for", "id", "parent", "type", "description", "inuse", "shared", "private")
        )
        params.integer(query, "keep-storage", 0)
        answer(req, resp, self._prune.prune(req.context.account))


class BuildCancel:
    """POST /build/cancel, which only BuildKit has: a classic build ends with its connection."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        raise NotImplemented("BuildKit is not available here: set DOCKER_BUILDKIT=0 to use the classic builder")
