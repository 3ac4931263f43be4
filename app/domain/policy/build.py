"""Decide a build: every parameter of POST /build. References to images stay the tenant's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain import image_reference
from app.domain.image_reference import DEFAULT_TAG, ImageReference
from app.domain.policy import labels, network, resources
from app.domain.policy.create import decide_platform
from app.domain.policy.draft import Draft
from app.domain.policy.rules import Rules
from app.domain.policy.values import forbid, line, list_of, mapping, shown, text, wrong
from app.domain.spec import Namespace
from app.errors import InvalidParameter, NotImplemented

MOST_TAGS = 16
MOST_ARGUMENT_BYTES = 128 * 1024
MOST_CACHE_SOURCES = 32
#: What loads a foreign frontend into a builder.
_FRONTEND = "BUILDKIT_SYNTAX"


@dataclass(frozen=True)
class BuildSpec:
    """A decided build. Sizes in bytes, CPU times in microseconds; 0 is "as the package says"."""

    dockerfile: str = "Dockerfile"
    tags: tuple[ImageReference, ...] = ()
    quiet: bool = False
    no_cache: bool = False
    pull: bool = False
    #: What the steps leave is always removed; these say whether it is told, after a step and after one that failed.
    remove: bool = True
    force_remove: bool = False
    #: None is an argument that is declared without a value.
    arguments: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    #: None where the account's own recent images are to be it.
    cache_from: tuple[str, ...] | None = None
    target: str = ""
    platform: str = ""
    network: Namespace = field(default_factory=Namespace)
    extra_hosts: tuple[str, ...] = ()
    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    shm_size: int = 0
    ulimits: tuple[Mapping[str, Any], ...] = ()


def decide_build(asked: Mapping[str, Any], rules: Rules) -> BuildSpec:
    """`asked` has the parameters by their names in the query, typed: texts, numbers, booleans, lists, decoded JSON.

    Raises InvalidParameter, Forbidden, NotImplemented.
    """
    _refuse(asked)
    draft = Draft(rules=rules)
    # A limit that other fields are held to has to be known first.
    draft.resources["memory"] = resources.memory("limit")("memory", asked["memory"])
    draft.resources["memory_swap"] = resources.memory_swap("memswap", max(asked["memswap"], 0))
    resources.shm_size(draft, "shmsize", asked["shmsize"])
    resources.ulimits(draft, "ulimits", _given(asked["ulimits"], []))
    resources.settle(draft)
    network.network_mode(draft, "networkmode", asked["networkmode"])
    return BuildSpec(
        dockerfile=_dockerfile(asked["dockerfile"]),
        tags=_tags(asked["t"]),
        quiet=asked["q"],
        no_cache=asked["nocache"],
        pull=asked["pull"],
        remove=asked["rm"],
        force_remove=asked["forcerm"],
        arguments=_arguments(_given(asked["buildargs"], {})),
        labels=labels.read(draft, "labels", _given(asked["labels"], {})),
        cache_from=_cache_from(asked["cachefrom"]),
        target=line(128)("target", asked["target"]),
        platform=decide_platform(asked["platform"]),
        network=draft.network,
        extra_hosts=tuple(network.extra_hosts("extrahosts", asked["extrahosts"])),
        memory=draft.resources["memory"],
        memory_swap=draft.resources["memory_swap"],
        cpu_shares=resources.cpu_shares("cpushares", asked["cpushares"]),
        cpu_period=resources.cpu_period("cpuperiod", asked["cpuperiod"]),
        cpu_quota=resources.cpu_quota("cpuquota", asked["cpuquota"]),
        shm_size=draft.host.get("ShmSize", 0),
        ulimits=tuple(draft.host.get("Ulimits", [])),
    )


def _given(value: Any, default: Any) -> Any:
    """Decoded JSON; something empty of a wrong type is not nothing."""
    return default if value is None else value


def _refuse(asked: Mapping[str, Any]) -> None:
    if asked["version"] not in ("", "1"):
        raise NotImplemented("BuildKit is not available here: set DOCKER_BUILDKIT=0 to use the classic builder")
    if asked["remote"]:
        raise NotImplemented("building from a URL is not available here: fetch it and send it as the build context")
    if asked["squash"]:
        raise NotImplemented("squashing a build is not available here")
    for name, what in (
        ("cpusetcpus", "a choice of CPUs"),
        ("cpusetmems", "a choice of memory nodes"),
        ("cgroupparent", "a control group of one's own"),
        ("securityopt", "security options"),
    ):
        if asked[name]:
            forbid(what, name)
    if asked["isolation"] not in ("", "default"):
        wrong(f'invalid isolation: "{shown(asked["isolation"], 64)}" is not supported on linux')


def _dockerfile(value: str) -> str:
    name = line(4096)("dockerfile", value) or "Dockerfile"
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        wrong("Forbidden path outside the build context: " + shown(name))
    return "/".join(part for part in parts if part not in ("", ".")) or "Dockerfile"


def _tags(values: Sequence[str]) -> tuple[ImageReference, ...]:
    if len(values) > MOST_TAGS:
        wrong(f"more than {MOST_TAGS} tags")
    found: dict[str, ImageReference] = {}
    for value in filter(None, values):
        try:
            reference = image_reference.parse(value)
        except InvalidParameter as error:
            raise InvalidParameter(
                f'Error checking context: invalid argument "{shown(value)}" for "-t, --tag" flag: {error.message}'
            ) from error
        if reference.digest:
            wrong("build tag cannot contain a digest")
        tagged = ImageReference(reference.host, reference.path, reference.tag or DEFAULT_TAG)
        found[str(tagged)] = tagged
    return tuple(found.values())


def _arguments(value: Any) -> dict[str, str | None]:
    found = mapping("buildargs", value, 1000)
    size = 0
    for name, item in found.items():
        if item is not None:
            size += len(text(f"buildargs.{shown(name, 64)}", item).encode())
        size += len(name.encode())
        if name == _FRONTEND:
            forbid("a frontend of one's own", name)
    if size > MOST_ARGUMENT_BYTES:
        wrong(f"build arguments have more than {MOST_ARGUMENT_BYTES} bytes")
    return found


def _cache_from(value: Any) -> tuple[str, ...] | None:
    if value is None or value == []:
        return None
    return tuple(list_of(line(512), MOST_CACHE_SOURCES)("cachefrom", value))
