"""Decide a create request: from the client's JSON to a `ContainerSpec`, or a refusal that names the field."""

from __future__ import annotations

import re
from typing import Any

from app.domain.names import check_container_name
from app.domain.policy import labels, log_config, mounts, network, resources
from app.domain.policy.draft import Draft
from app.domain.policy.rules import Rules
from app.domain.policy.table import BODY
from app.domain.policy.values import shown, wrong
from app.domain.spec import ContainerSpec, Resources

DEFAULT_SHM_SIZE = 64 * 1024**2

_PLATFORM = re.compile(r"[a-zA-Z0-9_.-]{1,32}(?:/[a-zA-Z0-9_.-]{1,32}){0,2}")
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "armhf": "arm"}
_KNOWN_ARCHITECTURES = frozenset({"amd64", "arm64", "386", "arm", "ppc64le", "s390x", "riscv64", "loong64"})


def decide_create(body: Any, *, name: str | None, platform: str, rules: Rules) -> ContainerSpec:
    """What container the request asks for.

    `body` is the parsed JSON at API 1.44, `name` and `platform` are the query's ("" is absent). Everything in the spec
    is typed, in range and allowed; what could not be honoured is in its warnings.
    Raises InvalidParameter, Forbidden, NotImplemented.
    """
    if not body and isinstance(body, dict | None):
        wrong("config cannot be empty in order to create a container")
    draft = Draft(rules)
    BODY.decide(draft, "", body)
    if not draft.image:
        wrong("no image specified (Image)")
    _settle(draft)
    return ContainerSpec(
        image=draft.image,
        name=check_container_name(name) if name else None,
        platform=decide_platform(platform),
        config=_config(draft),
        host=_host(draft),
        volumes=tuple(draft.volumes),
        covered=tuple(draft.covered),
        tmpfs=tuple(draft.tmpfs),
        binds=tuple(draft.binds),
        volumes_from=tuple(draft.volumes_from),
        network=draft.network,
        ipc=draft.ipc,
        pid=draft.pid,
        ports=tuple(draft.ports),
        publish_all=draft.publish_all,
        links=tuple(draft.links),
        endpoints=draft.endpoints,
        resources=Resources(**draft.resources),
        written=draft.written,
        warnings=tuple(draft.warnings),
    )


def _settle(draft: Draft) -> None:
    """What one field alone could not decide."""
    mounts.settle(draft)
    network.settle(draft)
    resources.settle(draft)
    if draft.host.get("AutoRemove") and draft.host.get("RestartPolicy", {"Name": "no"})["Name"] != "no":
        wrong("can't create 'AutoRemove' container with restart policy")
    given_labels = draft.config.get("Labels", {})
    if labels.PUBLIC_NETWORK in given_labels and not draft.ports and not draft.publish_all:
        wrong(f"{labels.PUBLIC_NETWORK} label requires a container with published ports")
    if len(draft.exposed) > draft.rules.max_exposed_ports:
        wrong(f"more than {draft.rules.max_exposed_ports} exposed ports")


def _config(draft: Draft) -> dict[str, Any]:
    """The always present fields of `Config` with Docker's zero values, then what was given."""
    config: dict[str, Any] = {
        "Hostname": "",
        "Domainname": "",
        "User": "",
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": [],
        # None takes the image's; an empty list does not.
        "Cmd": None,
        "Entrypoint": None,
        "WorkingDir": "",
        "Labels": {},
    }
    if draft.exposed:
        config["ExposedPorts"] = draft.exposed
    return config | draft.config


def _host(draft: Draft) -> dict[str, Any]:
    """What every container gets, whatever an engine's own defaults are, then what was given."""
    if "LogConfig" not in draft.host:
        log_config.default_log_config(draft)
    return {
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
        "CgroupnsMode": "private",
        "ShmSize": DEFAULT_SHM_SIZE,
    } | draft.host


def decide_platform(platform: str) -> str:
    """`os[/arch[/variant]]` or a known architecture in Docker's spelling; "" stays "". Raises InvalidParameter."""
    if not platform:
        return ""
    if not _PLATFORM.fullmatch(platform):
        wrong(f'"{shown(platform, 64)}": cannot parse platform specifier: invalid argument')
    system, *rest = platform.lower().split("/")
    first = _ARCHITECTURES.get(system, system)
    if first in _KNOWN_ARCHITECTURES and len(rest) <= 1:
        system, rest = "linux", [first, *rest]
    if system != "linux":
        wrong(f'"{shown(platform, 64)}": unknown operating system or architecture: invalid argument')
    return "/".join([system, *(_ARCHITECTURES.get(part, part) for part in rest)])
