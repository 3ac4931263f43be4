"""Every node's engine: that it answers, is one that we can use, and has what the database says."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.domain.durations import parse_go_time
from app.domain.node import Node
from app.errors import Error
from app.services.doctor.database import clock, disk
from app.services.doctor.finding import Finding, bad, ok, warn
from app.services.doctor.look import Look
from app.store import health, inventory, nodes
from app.store.session import Store

Json = Mapping[str, Any]

#: Docker releases that the service was made for.
OLDEST, NEWEST = (20, 10), (29, 999)
#: Seconds that an engine gets: a call that hangs takes 10.
PATIENCE = 15.0
#: States in which a row and the engine may differ for a moment.
CHANGING = ("creating", "removing")

#: From these on runc looks at what it mounts and opens in a container (CVE-2025-31133, -52565 and -52881): of 1.2, and
#: of all later ones. Before, a volume at a link that leads to /dev lets a container write the kernel's settings.
SAFE_RUNC, SAFE_LATER_RUNC = (1, 2, 8), (1, 3, 3)
#: What a node may have against that. The last of the three escapes gets around the first two.
_FENCES = ("name=apparmor", "name=selinux", "name=userns", "name=rootless")

_LIMITLESS = re.compile(r"No (memory|swap|cpu|cpuset|kernel memory|oom|pids)\b.*", re.IGNORECASE)


def check(look: Look, store: Store) -> Iterator[Finding]:
    with store.autocommit() as tx:
        rows = inventory.list_nodes(tx)
        found = {node.id: node for node in nodes.list_all(tx)}
    if problem := several(rows):
        yield problem
    told: dict[str, list[Finding]] = {}

    def examine(row: Json) -> None:
        told[row["name"]] = list(_node(look, store, found[row["id"]], row))

    threads = [threading.Thread(target=examine, args=(row,), daemon=True) for row in rows]
    for thread in threads:
        thread.start()
    for thread, row in zip(threads, rows, strict=True):
        thread.join(PATIENCE)
        yield from told.get(row["name"], [_away(row, f"no answer within {PATIENCE:.0f} seconds")])


def _away(row: Json, why: str) -> Finding:
    name = f"node {row['name']}"
    return bad(name, f"its engine does not answer: {why}", f"start Docker there, or correct its url ({row['url']})")


def _node(look: Look, store: Store, node: Node, row: Json) -> Iterator[Finding]:
    name = f"node {node.name}"
    try:
        engine = look.fleet.on(node)
        version = engine.version()
        before = time.time()
        info = engine.info()
        between = (before + time.time()) / 2
        fleet = look.settings.fleet if look.settings else ""
        listed = engine.list_containers([f"sdc.fleet={fleet}"])
    except (Error, OSError, ValueError) as error:
        yield _away(row, str(error.__cause__ or error))
        return
    yield identity(name, node, info, version)
    if row["state"] == "down":
        yield bad(f"{name} state", "answers, but is marked down: nothing is placed there", "see the observer's log")
    if problem := fitness(name, info):
        yield problem
    if problem := isolation(name, info, version):
        yield problem
    if row["cordoned"]:
        why = f": {row['cordon_reason']}" if row["cordon_reason"] else ""
        yield warn(name, f"gets no new containers, it is cordoned{why}", f"sdc-docker node uncordon {node.name}")
    said = parse_go_time(info.get("SystemTime", ""))
    if said is not None:
        yield clock(f"{name} clock", said.timestamp() - between)
    if node.url.startswith("unix://") and Path(info.get("DockerRootDir", "")).is_dir():
        used = shutil.disk_usage(info["DockerRootDir"])
        yield disk(f"{name} disk", info["DockerRootDir"], used.free, used.total)
    with store.autocommit() as tx:
        wanted = health.containers_on(tx, node.id)
    yield rows(name, wanted, {c["Names"][0].lstrip("/"): c["State"] for c in listed})


def identity(name: str, node: Node, info: Json, version: Json) -> Finding:
    """Whether it is the engine that was enrolled, and of a version that we can use."""
    if info["ID"] != node.engine_id:
        advice = (
            "another machine has its address, or its data is gone: bring the old one back, or node remove and node add"
        )
        return bad(name, "another engine answers at its url", advice)
    said = str(version["Version"])
    again = f"sdc-docker node add {node.name} {node.url} again brings its row up to date"
    numbers = re.match(r"(\d+)\.(\d+)", said)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        return bad(name, f"Docker {said} is older than 20.10", "upgrade it")
    if numbers and (int(numbers[1]), int(numbers[2])) > NEWEST:
        return warn(name, f"Docker {said} is newer than what was tried (29)", "watch it, or upgrade this service")
    speaks, least = _pair(version["ApiVersion"]), _pair(version.get("MinAPIVersion") or "1.12")
    ours = _pair(node.api_version)
    if not least <= ours <= speaks:
        return bad(
            name, f"it speaks API {least[0]}.{least[1]} to {version['ApiVersion']}, not {node.api_version}", again
        )
    changed = [
        word
        for word, differs in (
            (f"version {said}", said != node.engine_version),
            (f"{info['NCPU']} CPUs", info["NCPU"] != node.cpus),
            ("memory", info["MemTotal"] != node.memory),
        )
        if differs
    ]
    if changed:
        return warn(name, f"Docker {said} answers; changed since it was enrolled: {', '.join(changed)}", again)
    return ok(name, f"Docker {said} answers, API {node.api_version}")


def several(rows: Sequence[Json]) -> Finding | None:
    """Whether an account's containers may come to be on nodes of which each has bridges of its own."""
    if sum(not row["cordoned"] for row in rows) < 2:
        return None
    return warn(
        "nodes",
        "several get containers, and networks do not span them: what is on different nodes cannot reach each other",
        "one node for now: sdc-docker node cordon NAME for the others",
    )


def fitness(name: str, info: Json) -> Finding | None:
    """Settings of an engine that do not go with the service."""
    if info.get("LiveRestoreEnabled"):
        return bad(f"{name} engine", "live-restore is on, which swarm mode excludes", "turn it off in its daemon.json")
    swarm = (info.get("Swarm") or {}).get("LocalNodeState", "inactive")
    if swarm in ("error", "locked", "pending"):
        return bad(
            f"{name} engine", f"its swarm mode is in the state {swarm}", "docker info and docker swarm on that node"
        )
    weak = [w.removeprefix("WARNING: ") for w in info.get("Warnings") or [] if _LIMITLESS.search(w)]
    if weak:
        return warn(
            f"{name} engine", f"limits do not hold: {'; '.join(weak)}", "turn the kernel's cgroup controllers on"
        )
    return None


def isolation(name: str, info: Json, version: Json) -> Finding | None:
    """Whether containers stay inside, by the version of what starts them."""
    said = next((part["Version"] for part in version.get("Components") or [] if part["Name"] == "runc"), "")
    numbers = tuple(map(int, found.groups())) if (found := re.match(r"(\d+)\.(\d+)\.(\d+)", said)) else SAFE_LATER_RUNC
    if numbers >= (SAFE_RUNC if numbers < (1, 3) else SAFE_LATER_RUNC):
        return None
    fenced = any(option.startswith(_FENCES) for option in info.get("SecurityOptions") or [])
    none = "" if fenced else ", and there is neither AppArmor, SELinux nor a user namespace against it"
    return warn(
        f"{name} runc",
        f"runc {said}: an account's container can become root of the node (CVE-2025-31133){none}",
        "runc 1.2.8, 1.3.3 or one that the distribution has mended, and userns-remap; until then let in whom you trust",
    )


def rows(name: str, wanted: Mapping[str, str], there: Mapping[str, str]) -> Finding:
    """The database's containers beside the engine's."""
    name = f"{name} rows"
    settled = {c for c, state in wanted.items() if state not in CHANGING}
    lost, strange = settled - there.keys(), there.keys() - wanted.keys()
    differ = [c for c in settled & there.keys() if wanted[c] != there[c]]
    if not (lost or strange or differ):
        return ok(name, f"{len(wanted)} containers, as on the engine")
    words = [
        f"{len(found)} {what}"
        for found, what in (
            (lost, "not on the engine"),
            (strange, "only on the engine"),
            (differ, "in another state there"),
        )
        if found
    ]
    advice = "the observer puts this right within seconds; where it stays, see its log"
    return warn(name, f"of {len(wanted)} containers {', '.join(words)}", advice)


def _pair(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)
