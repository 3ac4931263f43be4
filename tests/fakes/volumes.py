"""The volumes of the fake engine, and what containers mount of them."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from app.errors import Conflict, InvalidParameter
from tests.fakes.traps import Traps, recorded

Json = dict[str, Any]


class FakeVolumes(Traps):
    """`containers` and `_changed`, the lock on everything, are the engine's."""

    containers: dict[str, Any]
    _changed: threading.Condition

    def __init__(self) -> None:
        super().__init__()
        #: Name -> Anonymous, Labels, Options, and Size, which a test may set.
        self.volumes: dict[str, Json] = {}
        #: Whether `size` can be kept to.
        self.has_quota = False

    @recorded
    def create_volume(self, name: str, *, labels: Mapping[str, str], options: Mapping[str, str]) -> None:
        with self._changed:
            self._add(name, labels, options)

    def _add(
        self, name: str, labels: Mapping[str, str], options: Mapping[str, str], *, anonymous: bool = False
    ) -> None:
        if name in self.volumes:
            return
        for option in options:
            if option not in ("size", "type", "device", "o"):
                raise InvalidParameter(f'create {name}: invalid option: "{option}"')
        if "size" in options and not self.has_quota:
            raise InvalidParameter(f"create {name}: quota size requested but no quota support")
        about = {"Anonymous": anonymous, "Labels": dict(labels), "Options": dict(options), "Size": 0}
        self.volumes[name] = about | {"CreatedAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}

    @recorded
    def list_volumes(self, labels: Iterable[str]) -> list[Json]:
        wanted = [label.partition("=") for label in labels]
        with self._changed:
            return [
                {
                    "Name": name,
                    "Driver": "local",
                    "Labels": dict(volume["Labels"]) or None,
                    "Options": dict(volume["Options"]) or None,
                    "Scope": "local",
                    "Mountpoint": f"/var/lib/docker/volumes/{name}/_data",
                    "CreatedAt": volume["CreatedAt"],
                }
                for name, volume in self.volumes.items()
                if all(volume["Labels"].get(key) == value for key, _, value in wanted)
            ]

    @recorded
    def volume_sizes(self) -> dict[str, int]:
        with self._changed:
            return {name: volume["Size"] for name, volume in self.volumes.items()}

    @recorded
    def remove_volume(self, name: str) -> None:
        """Like the product's call, with force: a missing volume is fine."""
        with self._changed:
            users = [c.id for c in self.containers.values() if any(m["Name"] == name for m in c.mounts)]
            if users:
                raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
            self.volumes.pop(name, None)

    def _mounts(self, host: Json, config: Json) -> list[Json]:
        """What a new container mounts; its volumes are made. Later ways of asking win over --volumes-from alone."""
        found: dict[str, Json] = {}
        for word in host.get("VolumesFrom") or []:
            name, _, mode = word.partition(":")
            source = self._find(name)  # type: ignore[attr-defined]
            for mount in source.mounts:
                found[mount["Destination"]] = {**mount, "RW": mount["RW"] and mode != "ro"}
        for mount in host.get("Mounts") or []:
            if mount["Type"] == "volume":
                options = mount.get("VolumeOptions") or {}
                driver = (options.get("DriverConfig") or {}).get("Options") or {}
                found[mount["Target"]] = self._mount(
                    mount.get("Source") or "", mount["Target"], not mount.get("ReadOnly"), options.get("Labels"), driver
                )
        for bind in host.get("Binds") or []:
            source, target, *mode = bind.split(":")
            found[target] = self._mount(source, target, mode != ["ro"])
        for target in config.get("Volumes") or {}:
            if target not in found:
                found[target] = self._mount("", target, True)
        return list(found.values())

    def _mount(
        self,
        source: str,
        target: str,
        writable: bool,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Json:
        name = source or secrets.token_hex(32)
        self._add(name, labels or {}, options or {}, anonymous=not source)
        return {
            "Type": "volume",
            "Name": name,
            "Source": f"/var/lib/docker/volumes/{name}/_data",
            "Destination": target,
            "Driver": "local",
            "Mode": "z",
            "RW": writable,
            "Propagation": "",
            "Named": bool(source),
        }

    def _drop_anonymous(self, mounts: Iterable[Json]) -> None:
        """Those of a container that is gone which no other container mounts."""
        used = {mount["Name"] for container in self.containers.values() for mount in container.mounts}
        for mount in mounts:
            if not mount["Named"] and re.fullmatch(r"[0-9a-f]{64}", mount["Name"]) and mount["Name"] not in used:
                self.volumes.pop(mount["Name"], None)
