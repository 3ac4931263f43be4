"""What a client of the oldest version costs."""

from __future__ import annotations

import contextlib
from typing import Any

from app.api import versions
from tests.bench.measures.turns import LABEL, in_turn, typical
from tests.bench.report import Limit, Row, compared
from tests.bench.sides import Side, Sides

LIMIT: Limit = ("<=", 0.05)
#: A walk takes some microseconds.
WALKS = 500
OPERATION = "containers.create"


def ages(sides: Sides, rounds: int) -> list[Row]:
    """A create at the oldest version through the service; beside it, in this process, the steps that a version adds.

    Then the same container is created at the newest version, for whatever else an old client may cost.
    """
    old, new = sides.ours.at(sides.oldest), sides.ours
    written = sides.oldest.removeprefix("/v")
    _, walked_up = versions.upgrade_request(versions.parse(written), OPERATION, {}, _create_body(old))
    bodies = {old: _create_body(old), new: walked_up}
    with contextlib.ExitStack() as stack:
        clients = {side: stack.enter_context(side.client()) for side in (old, new)}

        def create(side: Side) -> dict[str, Any]:
            answer: dict[str, Any] = clients[side].call("POST", "/containers/create", bodies[side])
            return answer

        def turn(side: Side) -> dict[str, float]:
            made: list[dict[str, Any]] = []
            try:
                took = {"create": typical(lambda: made.append(create(side))) * 1000}
                if side is old:
                    took["walk"] = typical(lambda: _walk(written, bodies[side], made[0]), WALKS) * 1000
            finally:
                for answer in made:
                    clients[side].call("DELETE", f"/containers/{answer['Id']}")
            return took

        found = in_turn((old, new), rounds, turn)
    at_old, at_new = found["create"]
    return [
        compared(f"version handling of a create at {written}", "ms", found["walk"][0], at_old, "the create", LIMIT),
        compared(f"  create at {written}", "ms", at_old, at_new, "the service at its newest"),
    ]


def _walk(written: str, body: dict[str, Any], answer: dict[str, Any]) -> None:
    """What the service does for the version of one create, from the path's word to the answer."""
    version = versions.parse(written)
    versions.check(version)
    if versions.has_route(version, ""):
        versions.check_route(version, "", "POST /containers/create")
    versions.upgrade_request(version, OPERATION, {}, body)
    versions.downgrade_response(version, OPERATION, answer)


def _create_body(side: Side) -> dict[str, Any]:
    """What Docker's own client of that age writes for `docker create busybox true`: every field, set or not."""
    return {
        "Hostname": "",
        "Domainname": "",
        "User": "",
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "ExposedPorts": {},
        "PublishService": "",
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": [],
        "Cmd": ["true"],
        "Image": side.image,
        "Volumes": {},
        "VolumeDriver": "",
        "WorkingDir": "",
        "Entrypoint": None,
        "NetworkDisabled": False,
        "MacAddress": "",
        "OnBuild": None,
        "Labels": dict(LABEL),
        "HostConfig": {
            "Binds": None,
            "ContainerIDFile": "",
            "LxcConf": [],
            "Memory": 0,
            "MemorySwap": 0,
            "CpuShares": 0,
            "CpuPeriod": 0,
            "CpusetCpus": "",
            "CpusetMems": "",
            "CpuQuota": 0,
            "BlkioWeight": 0,
            "OomKillDisable": False,
            "MemorySwappiness": -1,
            "Privileged": False,
            "PortBindings": {},
            "Links": None,
            "PublishAllPorts": False,
            "Dns": None,
            "DnsSearch": None,
            "ExtraHosts": None,
            "VolumesFrom": None,
            "Devices": [],
            "NetworkMode": "default",
            "IpcMode": "",
            "PidMode": "",
            "UTSMode": "",
            "CapAdd": None,
            "CapDrop": None,
            "GroupAdd": None,
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "SecurityOpt": None,
            "ReadonlyRootfs": False,
            "Ulimits": None,
            "LogConfig": {"Type": "", "Config": {}},
            "CgroupParent": "",
            "ConsoleSize": [0, 0],
        },
    }
