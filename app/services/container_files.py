"""The files of containers: docker cp both ways, diff and export.

What goes in is a plain tar whose entries have been looked at (`stream/tar_check.py`); what comes out is the engine's
own stream. Engines below 29.5.1 mount a container's volumes for a copy where its processes may move the mount points
meanwhile, out of the container: on those a container that runs and has volumes is refused, unless the operator says
otherwise.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from app.domain.account import Account
from app.domain.container import Container
from app.domain.container_state import ACTIVE, ContainerState
from app.domain.node import Node
from app.engine.client import RawStream
from app.engine.fleet import Fleet
from app.errors import Conflict, Error, Forbidden, Internal, InvalidParameter
from app.services.container_call import find, in_tenant_words
from app.store.session import Store

#: From this version on an engine keeps a copy inside of the container (CVE-2026-41568, CVE-2026-42306).
_SAFE_ENGINE = (29, 5, 1)
_LONGEST_PATH = 4096
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class PathStat:
    """What is at a path of a container, as `X-Docker-Container-Path-Stat` tells it."""

    name: str
    size: int
    #: Go's file mode: the permissions, and bits for folder, symlink and so on.
    mode: int
    mtime: str
    link_target: str

    def header(self) -> str:
        told = {
            "name": self.name,
            "size": self.size,
            "mode": self.mode,
            "mtime": self.mtime,
            "linkTarget": self.link_target,
        }
        return base64.b64encode(orjson.dumps(told)).decode()


@dataclass(frozen=True)
class OpenArchive:
    """A path's tar, as the engine frames it."""

    upstream: RawStream
    stat: PathStat


class ContainerFiles:
    def __init__(self, store: Store, fleet: Fleet, *, copy_on_old_engines: bool) -> None:
        self._store = store
        self._fleet = fleet
        self._copy_on_old_engines = copy_on_old_engines

    # -- cp ------------------------------------------------------------------------------------------------------

    def stat(self, account: Account, id_or_name: str, path: str) -> PathStat:
        """What is at `path`. Raises NotFound, InvalidParameter, Conflict."""
        container, node, path = self._find(account, id_or_name, path)
        with in_tenant_words(container, id_or_name):
            return _stat(self._fleet.on(node).stat_path(container.engine_name, path))

    def read(self, account: Account, id_or_name: str, path: str) -> OpenArchive:
        """A tar of what is at `path`. Raises as `stat` does."""
        container, node, path = self._find(account, id_or_name, path)
        with in_tenant_words(container, id_or_name):
            upstream = self._fleet.on(node).read_archive(container.engine_name, path)
        try:
            return OpenArchive(upstream, _stat(upstream.headers["X-Docker-Container-Path-Stat"]))
        except BaseException:
            upstream.close()
            raise

    def write(
        self,
        account: Account,
        id_or_name: str,
        path: str,
        chunks: Iterable[bytes],
        *,
        keep_kinds: bool,
        copy_owner: bool,
    ) -> None:
        """Unpack a plain tar below the folder `path`.

        `keep_kinds`: a folder does not replace what is none, nor the other way round. `copy_owner`: the files get the
        owner of the container's user. Raises as `stat` does, and Forbidden where the file system is read-only.
        """
        container, node, path = self._find(account, id_or_name, path)
        with in_tenant_words(container, id_or_name):
            try:
                self._fleet.on(node).write_archive(
                    container.engine_name, path, chunks, keep_kinds=keep_kinds, copy_owner=copy_owner
                )
            except Internal as error:
                raise _kind(error) from error

    def _find(self, account: Account, id_or_name: str, path: str) -> tuple[Container, Node, str]:
        if not path:
            raise InvalidParameter("bad parameter: path cannot be empty")
        if len(path) > _LONGEST_PATH or _CONTROL.search(path):
            raise InvalidParameter("bad parameter: path is too long or has control characters")
        container, node = find(self._store, account, id_or_name)
        mounts = any(mount["Type"] == "volume" for mount in (container.inspect or {}).get("Mounts") or [])
        if container.state in ACTIVE and mounts and not (self._copy_on_old_engines or node.runs(*_SAFE_ENGINE)):
            raise Conflict(
                f"Container {container.id} runs and has volumes: stop the container first, "
                "for its node's engine cannot copy safely meanwhile"
            )
        return container, node, path if path.startswith("/") else f"/{path}"

    # -- diff and export -----------------------------------------------------------------------------------------

    def changes(self, account: Account, id_or_name: str) -> RawStream:
        """What differs from the image, as JSON: `Path` and `Kind` (0 modified, 1 added, 2 deleted); null for nothing.

        All versions have it alike, and there may be millions: nobody but the client keeps it whole.
        """
        container, node = find(self._store, account, id_or_name)
        with in_tenant_words(container):
            return self._fleet.on(node).changes(container.engine_name)

    def export(self, account: Account, id_or_name: str) -> RawStream:
        """The whole file system as a tar. Raises Conflict for a container that is being removed."""
        container, node = find(self._store, account, id_or_name)
        if container.state is ContainerState.DEAD:
            raise Conflict(f"You cannot export container {container.id} which is dead")
        with in_tenant_words(container):
            return self._fleet.on(node).export_container(container.engine_name)


def _kind(error: Internal) -> Error:
    """Engines below 23.0 have one status for all that can be wrong with the place of a copy."""
    if "read-only" in error.message:
        return Forbidden(error.message)
    if any(words in error.message for words in ("not a directory", "cannot overwrite")):
        return InvalidParameter(error.message)
    return error


def _stat(header: str | None) -> PathStat:
    try:
        told = orjson.loads(base64.b64decode(header or ""))
        return PathStat(
            str(told["name"]), int(told["size"]), int(told["mode"]), str(told["mtime"]), str(told["linkTarget"])
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Internal("the node sent a malformed answer") from error
