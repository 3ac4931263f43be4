"""The differences that are meant. Each is a row of the README's table "What differs from stock Docker".

A difference covers what two answers differ in where its rule says so, for every pair; one with `named` only for the
pairs that name it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.e2e.divergence.compare import Found
from tests.e2e.divergence.pairs import Ask
from tests.e2e.divergence.sides import Answer


@dataclass(frozen=True)
class Difference:
    #: How the README's row begins.
    row: str
    #: (the stock engine's status, ours): what the answers say is then each side's own.
    statuses: Iterable[tuple[int, int]] = ()
    #: Our message, and with it the status, whatever the stock engine says.
    ours: str = ""
    #: (the stock engine's message, ours) where the status is the same.
    words: Iterable[tuple[str, str]] = ()
    #: Fields of the answer, of requests for such a path.
    fields: Iterable[str] = ()
    path: str = ""
    #: Fields that only the stock engine shows, to clients older than 1.41.
    newer_fields: bool = False
    named: bool = False

    def covers(self, stock: Answer, ours: Answer, found: Found, sent: Ask) -> bool:
        where, left, right = found
        if self.ours and ours.status >= 400 and re.search(self.ours, message(ours)):
            return True
        if stock.status != ours.status:
            return (stock.status, ours.status) in self.statuses
        if self.newer_fields and sent.version < "1.41" and right == "(absent)":
            return True
        if re.search(self.path, sent.path) and any(re.fullmatch(name, where) for name in self.fields):
            return True
        return any(
            isinstance(left, str | dict) and re.search(one, _said(left)) and re.search(other, _said(right))
            for one, other in self.words
        )


def _said(value: Any) -> str:
    return str(value.get("message", "")) if isinstance(value, dict) else str(value)


def message(answer: Answer) -> str:
    return answer.body.decode(errors="replace")


_CONFIGURATION = r"(?:\d+\.)?HostConfig\."
_IMAGE = r"invalid reference format|No such image|repository name"

DIFFERENCES: dict[str, Difference] = {
    "policy": Difference("Host paths", ours="not allowed on this shared host"),
    "networks": Difference(
        "`network create`", ours="the network driver|network of scope|networks of a swarm|IPv6 networks"
    ),
    "absent": Difference("Swarm mode", ours="(is|are) not available here"),
    "ports": Difference("`-p 127.0.0.1", fields=["NetworkSettings.Ports.*", r"0\.Ports.*"]),
    "size": Difference(
        "Size",
        ours="no package supports",
        fields=[_CONFIGURATION + "(Memory|MemorySwap|NanoCpus|PidsLimit)"],
        words=[("Range of CPUs is from", "HostConfig.NanoCpus: -1 is negative")],
    ),
    "unreadable": Difference(
        "Requests that cannot be read",
        statuses=[(500, 400), (500, 404), (500, 409)],
        ours=r'(^|"message":")(invalid JSON: |invalid filter("|$)|unexpected content after JSON)',
        words=[
            ("EOF", "No exec command specified|Path cannot be empty|EOF"),
            ("error reading .* invalid character", "it is not valid JSON"),
            ("cannot unmarshal .* into Go", "invalid JSON"),
        ],
    ),
    "twice": Difference("Requests that cannot be read", ours="is given more than once", named=True),
    "order": Difference("Requests that cannot be read", statuses=[(404, 400)], named=True),
    "late": Difference("Values that make no sense", statuses=[(201, 400), (200, 400)], named=True),
    "network": Difference("An unknown network at `create`", statuses=[(201, 400)], named=True),
    "words": Difference(
        "Some words",
        words=[
            ("no such image: .*: (" + _IMAGE + ")", _IMAGE),
            ("^Config cannot be empty", "^(config cannot be empty|no image specified)"),
            ("[Mm]aximum retry count|invalid restart policy", "^invalid restart policy"),
            ("pathcannot be empty", "path cannot be empty"),
            ("^No such container: <exec>", "^No such exec instance: <exec>"),
            ("^No such image: sha256:0{64}", "^No such image: 0{64}"),
            ("^invalid IPv4 address: ", r"IPv4Address: invalid IP address: "),
            ("^No command specified", r"^no image specified \(Image\)"),
            ("^failed to prune build cache: Invalid", "^Invalid"),
            ("networks with user configured subnets", "no configured subnet|invalid IP address"),
            ("^not websocket protocol", "^bad handshake"),
        ],
    ),
    "fields": Difference("Some words", fields=["Error", "HostConfig.ConsoleSize.*", "Config.ExposedPorts.*",
        r"(Images\.)?\d+\.RepoDigests"]),
    "logs": Difference("Some words", fields=["type"], path="/logs|/attach/ws"),
    "versions": Difference(
        "API versions",
        ours="requires minimum API version|client version .* is too (old|new)|invalid API version",
        newer_fields=True,
        fields=["ExecDriver", "HostConfig.LxcConf", "ExitCode"],
    ),
    "before": Difference("API versions", statuses=[(200, 404)], named=True),
    "copy": Difference("API versions", words=[("^$", "^page not found")], fields=["type"], path="/copy$"),
    "paths": Difference("`.` and `..` in a path", statuses=[(301, 400)], ours='"invalid path"'),
    "inspect": Difference(
        "`inspect`",
        path="/json|^/networks",
        fields=[
            "Driver", "HostConfig.CgroupnsMode", r"HostConfig.LogConfig.Config.(max-file|max-size)",
            "HostConfig.PortBindings", "HostConfig.RestartPolicy.Name", "(Hostname|Hosts|Log|ResolvConf)Path",
            "NetworkSettings.Sandbox(ID|Key)", r"(0\.)?NetworkSettings.Networks\.\w+\.NetworkID",
            r"(0\.)?IPAM.Options", "HostConfig.Tmpfs.*", r"(0\.)?HostConfig.NetworkMode",
        ],
    ),
    "commit": Difference(
        "`commit`",
        fields=["Config.Labels", "Container", "ContainerConfig.*", "Parent", r"1\.(Id|Tags)"],
        named=True,
    ),
    "load": Difference("`images/load`", statuses=[(200, 400)], named=True),
    "twin": Difference("A network's name that is taken", statuses=[(201, 409)], named=True),
}  # fmt: skip

#: Rows of the table that no pair of requests shows, and the test that does.
ELSEWHERE = {
    "Network": "tests/e2e/test_network.py",
    "`--link`": "tests/e2e/test_link.py",
    "`network connect`": "tests/e2e/test_network_connect.py",
    "A HostConfig in `start`, below 1.24": "tests/e2e/test_every_route_at_versions.py",
    "`wait` by id": "tests/integration/test_observer.py",
    "A second start of a running exec": "tests/e2e/test_exec.py",
    "Much at a time": "tests/unit/server/test_turns.py",
    "Execs": "tests/integration/services/test_container_io.py",
    "`top`": "tests/e2e/test_top.py",
    "`update`": "tests/e2e/test_update.py",
    "`cp`": "tests/e2e/test_cp.py",
    "Events that nobody heard": "tests/e2e/test_events_gap.py",
    "Volumes": "tests/e2e/test_volume.py",
    "A volume that is being removed": "tests/integration/services/test_volumes.py",
    "`system df`": "tests/e2e/test_system_df.py",
    "Prunes": "tests/e2e/test_prune.py",
    "A pull of what the node has": "tests/integration/services/images/test_possession.py",
    "`rmi`": "tests/e2e/test_rmi.py",
    "`build`": "tests/e2e/test_build.py",
    "Compose": "tests/e2e/test_compose_file_formats.py",
    "Packer, dockerspawner, Ruby": "tests/unit/domain/test_policy_refusals.py",
    "testcontainers": "tests/e2e/test_testcontainers.py",
    "`registry.DATACENTER": "tests/e2e/test_private_repository.py",
}
