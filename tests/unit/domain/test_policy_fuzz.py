"""Whatever JSON comes in, the gate says yes with a safe spec or no with one of our kinds; it never falls over."""

import dataclasses
import json
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.policy import Rules, decide_create, decide_exec
from app.domain.policy.execs import EXEC
from app.domain.policy.rules import DEFAULT_CAPABILITIES
from app.domain.policy.table import BODY, ENDPOINT, HOST_CONFIG, IPAM
from app.domain.spec import ContainerSpec
from app.errors import Error

NASTY = st.sampled_from(
    [
        "",
        "host",
        "container:x",
        "/etc:/h",
        "v:/x:ro",
        "v:/proc",
        "bind",
        "volume",
        "tmpfs",
        "/",
        "/proc/self/fd/1",
        "80/tcp",
        "8000-9000",
        "seccomp=unconfined",
        "SYS_ADMIN",
        "ALL",
        "no-new-privileges",
        "127.0.0.1",
        "::ffff:127.0.0.1",
        "name:host-gateway",
        "always",
        "journald",
        "json-file",
        "\ud800",
        "\0",
        "\n",
        "A=b",
        "local",
        "size",
        "o",
        "10g",
        "99999999999999999999",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([-1, 0, 1, 1000, 2**20, 2**30])
    | st.floats()
    | NASTY
    | st.text(max_size=20)
)
JSON = st.recursive(
    SCALARS,
    lambda child: st.lists(child, max_size=4) | st.dictionaries(NASTY | st.text(max_size=10), child, max_size=4),
    max_leaves=12,
)
INNER = st.sampled_from(
    """
    Type Source Target ReadOnly BindOptions VolumeOptions TmpfsOptions DriverConfig Options Name Labels Subpath NoCopy
    SizeBytes Mode Soft Hard HostIp HostPort Config MaximumRetryCount Test Interval Retries EndpointsConfig
    """.split()  # noqa: SIM905
)


def cased(names):
    return st.sampled_from(sorted(names)).flatmap(
        lambda name: st.sampled_from([name, name, name, name.lower(), name.upper()])
    )


STRUCTS = st.dictionaries(INNER, JSON, max_size=5)
VALUES = JSON | STRUCTS | st.lists(STRUCTS | NASTY, max_size=3) | st.dictionaries(NASTY, STRUCTS | NASTY, max_size=3)
ENDPOINTS = st.dictionaries(
    NASTY, st.dictionaries(cased([*ENDPOINT.names, *IPAM.names]), VALUES, max_size=4), max_size=3
)
BODIES = st.builds(
    lambda config, host, endpoints: {"Image": "x", **config, "HostConfig": host, "NetworkingConfig": endpoints},
    st.dictionaries(cased(set(BODY.names) - {"HostConfig", "NetworkingConfig", "Image"}), VALUES, max_size=4),
    st.dictionaries(cased(HOST_CONFIG.names), VALUES, max_size=5) | JSON,
    st.builds(lambda endpoints: {"EndpointsConfig": endpoints}, ENDPOINTS) | JSON,
)

HOST_KEYS = set(
    """
    RestartPolicy AutoRemove LogConfig CapAdd CapDrop Dns DnsOptions DnsSearch ExtraHosts GroupAdd ReadonlyRootfs
    SecurityOpt ShmSize Sysctls Ulimits Init OomScoreAdj ConsoleSize CgroupnsMode Runtime
    """.split()  # noqa: SIM905
)


def check(spec: ContainerSpec) -> None:
    """What must be true of anything that passed."""
    # PostgreSQL and an engine can hold it.
    text = json.dumps(dataclasses.asdict(spec), ensure_ascii=False, allow_nan=False)
    text.encode()
    assert "\\u0000" not in text
    assert set(spec.host) <= HOST_KEYS
    assert spec.host["CgroupnsMode"] == "private"
    assert {name.removeprefix("CAP_") for name in spec.host.get("CapAdd", [])} <= DEFAULT_CAPABILITIES
    assert set(spec.host.get("SecurityOpt", [])) <= {"no-new-privileges"}
    assert spec.host["LogConfig"]["Type"] in ("json-file", "local", "none")
    assert "host" not in (spec.network.kind, spec.network.ref, spec.ipc.kind, spec.pid.kind)
    assert "host" not in spec.endpoints
    for mount in (*spec.volumes, *spec.tmpfs):
        assert re.fullmatch(r"/(?!proc(/|$)|sys(/|$)|dev/?$|dev/(?!shm(/|$)))[^\0]+", mount.target), mount
    for volume in spec.volumes:
        assert volume.name is None or re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", volume.name)
        assert volume.driver in ("", "local")
    for port in spec.ports:
        assert 0 <= port.host_port <= port.host_port_end <= 65535
    assert len(spec.warnings) <= 64


def decide(body, name=None, platform=""):
    try:
        spec = decide_create(body, name=name, platform=platform, rules=Rules())
    except Error as refusal:
        assert refusal.message
        refusal.message.encode()
        return
    check(spec)


@settings(max_examples=300, deadline=None, database=None)
@given(BODIES)
def test_anything_in_known_fields(body):
    decide(body)


@settings(max_examples=150, deadline=None, database=None)
@given(st.sampled_from(sorted(HOST_CONFIG.names)), VALUES)
def test_anything_in_one_field_of_host_config(name, value):
    decide({"Image": "x", "HostConfig": {name: value}})


@settings(max_examples=150, deadline=None, database=None)
@given(st.sampled_from(sorted(set(BODY.names) - {"Image"})), VALUES)
def test_anything_in_one_field_of_the_body(name, value):
    decide({"Image": "x", name: value})


@settings(max_examples=100, deadline=None, database=None)
@given(JSON, st.text(max_size=10), st.text(max_size=10))
def test_any_json(body, name, platform):
    decide(body, name, platform)


@settings(max_examples=100, deadline=None, database=None)
@given(st.dictionaries(cased(EXEC.names), VALUES, max_size=5) | JSON)
def test_any_exec(body):
    try:
        spec = decide_exec(body)
    except Error as refusal:
        assert refusal.message
        refusal.message.encode()
        return
    json.dumps(dataclasses.asdict(spec), ensure_ascii=False).encode()
    assert spec.cmd
