"""docker build: the classic builder of one engine, kept within the account.

`FROM` and `COPY --from` reach images that the account has, or what it pulls with its own credentials: the Dockerfile is
rewritten to their ids (`domain/dockerfile.py`). Cached steps come from images named to the engine as their sources: the
account's own recent ones, or one that cannot exist. Without any an engine takes whatever fits, from any account, built
under any circumstances.

The image comes on the engine under a name of ours, by which it is found again should this process die. What the
account calls it stands in the database alone. The engine's output goes through the worker's relay: a build holds no
thread, but while it pulls.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import structlog

from app.domain import dockerfile, event, image_reference, package
from app.domain.account import Account
from app.domain.dockerfile import Dockerfile, Needed
from app.domain.network import DEFAULT
from app.domain.node import Node
from app.domain.operation import OperationKind
from app.domain.policy import BuildSpec
from app.engine.client import RawStream
from app.engine.engine import Engine
from app.engine.errors import reworded, scrub
from app.engine.fleet import Fleet
from app.errors import Conflict, Error, InvalidParameter, NotFound
from app.services.image_content import ImageContent
from app.services.image_pull import ImagePull
from app.services.networks import Networks
from app.store import build_cache, containers, events, images, networks, packages
from app.store.images import Image
from app.store.session import Store, Transaction
from app.stream import json_stream
from app.stream.build_context import BuildContext
from app.stream.build_output import BuildOutput, Told

log = structlog.get_logger()

Json = dict[str, Any]
#: Registry host -> the fields of its AuthConfig, {} where the caller sent none.
Credentials = Callable[[str], Mapping[str, str]]
#: A message down to the client's version; None where it is told nothing of it.
Walk = Callable[[Json], Json | None]

#: Where builds stand on an engine until they are recorded.
_BUILDS = "sdc.invalid/builds"
_NOTHING = f"sha256:{'0' * 64}"
_BLOCK = 256 * 1024
#: Images that are looked at to learn which ones a build has made.
MOST_LOOKS = 400
_PERIOD = 100_000


@dataclass
class OpenBuild:
    """The relay's side of a build: the engine's output, unframed, and what makes the client's of it."""

    sock: socket.socket
    output: BuildOutput
    #: To be called once when the stream is over, however it ended.
    ended: Callable[[], None]
    leftover: bytes = b""


@dataclass
class _Build:
    account: Account
    spec: BuildSpec
    context: BuildContext
    file: Dockerfile
    node: Node
    #: Name in the Dockerfile -> id.
    ids: dict[str, str] = field(default_factory=dict)
    operation: UUID | None = None
    name: str = ""

    @property
    def words(self) -> dict[str, str]:
        return {image_id: name for name, image_id in self.ids.items()}


@dataclass(frozen=True)
class _Seen:
    """An image on an engine, and what it was made of there."""

    id: str
    parent: str


#: The image of an id, also a short one; None where the engine does not have it.
Look = Callable[[str], _Seen | None]


class Builds:
    def __init__(
        self, store: Store, fleet: Fleet, account_networks: Networks, content: ImageContent, pull: ImagePull
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._networks = account_networks
        self._content = content
        self._pull = pull

    def open(
        self, account: Account, context: BuildContext, spec: BuildSpec, *, credentials: Credentials, walk: Walk
    ) -> OpenBuild:
        """Start a build of a whole context, which belongs to the build from here on.

        Raises InvalidParameter, Forbidden, NotFound, Unavailable, and what the engine refuses before it says anything.
        Later errors are messages.
        """
        try:
            file = dockerfile.parse(context.dockerfile(), spec.arguments, target=spec.target, name=context.name)
            found, missing = self._resolve(account, file.needed, everything=not spec.pull)
            build = _Build(account, spec, context, file, self._content.node([image.id for image in found.values()]))
            output = BuildOutput(
                lambda text: scrub(text, build.words),
                walk,
                lambda told: self._end(build, told),
                quiet=spec.quiet,
                removal=spec.remove,
                removal_after_failure=spec.force_remove,
            )
            if missing:
                return self._open_pulling(build, missing, credentials, output)
            raw = self._begin(build, found, output)
        except BaseException:
            context.close()
            raise
        return OpenBuild(raw.sock, output, lambda: self._give_up(build), raw.leftover)

    def _resolve(
        self, account: Account, needed: list[Needed], *, everything: bool
    ) -> tuple[dict[str, Image], list[Needed]]:
        """The account's images by the names in the Dockerfile, and those that are to be pulled."""
        found: dict[str, Image] = {}
        missing = []
        with self._store.autocommit() as tx:
            for image in needed:
                try:
                    resolved = images.resolve(tx, account.id, image.name)
                except NotFound:
                    missing.append(image)
                    continue
                # What has no name in a registry cannot be pulled again.
                if everything or _is_id(image.name, resolved):
                    found[image.name] = resolved
                else:
                    missing.append(image)
        return found, missing

    # -- the engine's part ---------------------------------------------------------------------------------------

    def _begin(self, build: _Build, found: Mapping[str, Image], output: BuildOutput) -> RawStream:
        for image in found.values():
            for trigger in (image.inspect.get("Config") or {}).get("OnBuild") or []:
                dockerfile.check_trigger(trigger)
        build.ids = {name: image.id for name, image in found.items()}
        output.shown = build.file.shown(build.ids)
        engine = self._fleet.on(build.node)
        word = uuid4().hex
        build.name = f"{_BUILDS}:{word}"
        output.unsaid = f"Successfully tagged {build.name}"
        query = self._query(build)
        detail = {"images": [build.name], "names": [build.name]}
        build.operation = self._content.begin(build.account, build.node, OperationKind.BUILD, build.name, detail)
        try:
            written = build.file.rewritten(build.ids).encode("utf-8", "surrogateescape")
            return engine.build_image(query, build.context.finish(written))
        except BaseException as error:
            self._give_up(build)
            if isinstance(error, Error):
                raise reworded(error, build.words) from error
            raise
        finally:
            build.context.close()

    def _query(self, build: _Build) -> Json:
        """The engine's parameters, made of decided values alone."""
        spec = build.spec
        with self._store.autocommit() as tx:
            sources = self._cache_sources(tx, build)
            chosen = package.choose(packages.list_active(tx), label="", memory=spec.memory, nano_cpus=0, disk=0)
        package.check_swap(chosen, spec.memory, spec.memory_swap)
        cpus = min(chosen.nano_cpus, build.node.cpus * 10**9)
        period = spec.cpu_period or _PERIOD
        return {
            "dockerfile": build.context.name,
            "t": build.name,
            "nocache": "1" if spec.no_cache else None,
            "rm": "1",
            "forcerm": "1",
            "buildargs": json.dumps(dict(spec.arguments)),
            "labels": json.dumps(dict(spec.labels)),
            "cachefrom": json.dumps(sources),
            "target": spec.target or None,
            "platform": spec.platform or None,
            "networkmode": self._network(build),
            "extrahosts": list(spec.extra_hosts),
            "memory": spec.memory or chosen.memory,
            "memswap": spec.memory_swap or (spec.memory or chosen.memory + chosen.swap),
            "cpushares": spec.cpu_shares or None,
            "cpuperiod": period,
            "cpuquota": spec.cpu_quota or cpus * period // 10**9,
            "shmsize": spec.shm_size or None,
            "ulimits": json.dumps([dict(limit) for limit in spec.ulimits]) if spec.ulimits else None,
        }

    def _cache_sources(self, tx: Transaction, build: _Build) -> list[str]:
        account = build.account
        asked = build.spec.cache_from
        if asked is None:
            found = build_cache.recent(tx, account.id, build.node.id)
        else:
            found = []
            for name in asked:
                # Like dockerd, which builds without what it cannot find.
                with contextlib.suppress(NotFound, InvalidParameter):
                    found.append(images.resolve(tx, account.id, name).id)
        return found or [_NOTHING]

    def _network(self, build: _Build) -> str:
        wanted = build.spec.network
        if wanted.kind == "none":
            return "none"
        if wanted.kind == "container":
            with self._store.autocommit() as tx:
                container, node = containers.get_placed(tx, build.account.id, wanted.ref)
            if node.id != build.node.id:
                raise InvalidParameter(f"container {wanted.ref} is on another node than the build")
            return f"container:{container.engine_name}"
        name = wanted.ref if wanted.kind == "network" else DEFAULT
        if name == DEFAULT:
            network = self._networks.default_row(build.account)
        else:
            with self._store.autocommit() as tx:
                found = networks.find(tx, build.account.id, name)
            if found is None:
                raise NotFound(f"network {name} not found")
            network = found
        ready = self._networks.ready(network, build.node)
        # Somebody may have removed it on the engine, and a build learns that only in its middle.
        return self._networks.make(ready, build.node).engine_name

    # -- the end -------------------------------------------------------------------------------------------------

    def _end(self, build: _Build, told: Told) -> list[Json]:
        """Record what was built. Runs at the end of the engine's output; the last messages."""
        engine, operation = self._fleet.on(build.node), build.operation
        try:
            leaves = self._own(build, engine, told.leaves)
            # Without an operation it has been given up: its client has gone.
            seen = None if told.failed or operation is None else self._content.find(engine, build.name)
            if seen is None:
                with self._store.begin() as tx:
                    build_cache.put(tx, build.account.id, build.node.id, leaves)
                return [] if told.failed else [json_stream.error("the build was broken off")]
            self._content.keep(engine, seen["Id"])
            self._content.record(
                build.account, build.node, seen, operation, lambda tx: self._name(tx, build, seen, leaves)
            )
            build.operation = None
            self._content.unname(engine, [build.name])
        except Error as error:
            return [json_stream.error(reworded(error, build.words).message)]
        if build.spec.quiet:
            return [{"stream": f"{seen['Id']}\n"}]
        return [{"stream": f"Successfully tagged {tag}\n"} for tag in build.spec.tags]

    def _name(self, tx: Transaction, build: _Build, seen: Json, leaves: list[str]) -> None:
        account_id, image_id = build.account.id, seen["Id"]
        build_cache.put(tx, account_id, build.node.id, [*leaves, image_id])
        for tag in build.spec.tags:
            images.set_name(tx, account_id, tag.repository, tag.tag, image_id)
        for tag in build.spec.tags:
            events.append(tx, event.of_image(account_id, "tag", seen, image_id, str(tag)))

    def _own(self, build: _Build, engine: Engine, candidates: list[str]) -> list[str]:
        """Of the images that the text of the steps tells of, those that this build can have made: full ids.

        A `RUN` can print whatever looks like such a line. So only what stands on the build's own base images is taken,
        and nothing that an account has or has built.
        """
        found: list[str] = []
        bases = set(build.ids.values())
        look = self._looking(engine)
        for candidate in dict.fromkeys(candidates):
            seen = look(candidate)
            if seen is None or seen.id in bases or not _stands_on(look, seen, bases):
                continue
            found.append(seen.id)
        with self._store.autocommit() as tx:
            return [image_id for image_id in found if not build_cache.is_others(tx, build.account.id, image_id)]

    def _looking(self, engine: Engine) -> Look:
        """Looks each image up once, and MOST_LOOKS at all: a `RUN` can name as many as there are."""
        looked: dict[str, _Seen | None] = {}

        def look(image_id: str) -> _Seen | None:
            if image_id not in looked and len(looked) < MOST_LOOKS:
                seen = self._content.find(engine, image_id)
                looked[image_id] = _Seen(seen["Id"], seen.get("Parent") or "") if seen else None
            return looked.get(image_id)

        return look

    def _give_up(self, build: _Build) -> None:
        """End the operation of a build that brought nothing; nothing where it is ended."""
        operation, build.operation = build.operation, None
        if operation is not None:
            self._content.give_up(operation, build.node, [build.name], [build.name])

    # -- with a pull before --------------------------------------------------------------------------------------

    def _open_pulling(
        self, build: _Build, missing: list[Needed], credentials: Credentials, output: BuildOutput
    ) -> OpenBuild:
        """A build that begins with pulls: a thread passes their messages on, and then the engine's output."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)

        def run() -> None:
            with ours:
                try:
                    self._pull_and_build(build, missing, credentials, output, ours)
                except Error as error:
                    _say(ours, json_stream.error(error.message))
                except Exception:
                    log.exception("a build failed")
                    _say(ours, json_stream.error("the build failed"))
                finally:
                    build.context.close()

        threading.Thread(target=run, name="build", daemon=True).start()
        return OpenBuild(theirs, output, lambda: self._give_up(build))

    def _pull_and_build(
        self,
        build: _Build,
        missing: list[Needed],
        credentials: Credentials,
        output: BuildOutput,
        to: socket.socket,
    ) -> None:
        for image in missing:
            reference = image_reference.parse(image.name)
            tag = reference.digest or reference.tag or image_reference.DEFAULT_TAG
            pulling = self._pull.pull(
                build.account,
                reference.repository,
                tag,
                platform=image.platform or build.spec.platform,
                auth=credentials(reference.host),
            )
            try:
                for message in pulling:
                    if not _say(to, message) or "error" in message:
                        return
            finally:
                pulling.close()
        found, left = self._resolve(build.account, build.file.needed, everything=True)
        if left:
            raise Conflict(f"the image {left[0].name} was removed while it was wanted")
        raw = self._begin(build, found, output)
        with contextlib.closing(raw):
            if not _copy(raw, to):
                # It may have left before there was anything to be given up.
                self._give_up(build)


def _stands_on(look: Look, seen: _Seen, bases: set[str]) -> bool:
    for _ in range(200):
        if seen.parent in bases:
            return True
        above = look(seen.parent) if seen.parent else None
        if above is None:
            return False
        seen = above
    return False


def _is_id(name: str, image: Image) -> bool:
    return image.id.removeprefix("sha256:").startswith(name.removeprefix("sha256:"))


def _say(to: socket.socket, message: Json) -> bool:
    """False where nobody listens any more."""
    try:
        to.sendall(json_stream.encode(message))
    except OSError:
        return False
    return True


def _copy(source: RawStream, to: socket.socket) -> bool:
    """All of the engine's output. False when the other side has gone, or the node: the build is not to be kept."""
    poll = select.poll()
    poll.register(source.sock, select.POLLIN)
    poll.register(to, 0)
    data = source.leftover
    try:
        while True:
            if data:
                to.sendall(data)
            ready = dict(poll.poll())
            if to.fileno() in ready:
                return False
            data = source.sock.recv(_BLOCK)
            if not data:
                return True
    except OSError:
        return False
