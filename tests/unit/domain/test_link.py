"""What a linked container's environment and hosts file say."""

from __future__ import annotations

from app.domain import link

DB = link.of(
    "ab" * 32,
    "db",
    "my-data",
    "10.224.0.2",
    {
        "Hostname": "h",
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "5432/tcp": {}},
        "Env": ["PW=a=b", "HOME=/x", "PATH=/bin", "EMPTY"],
    },
)


def test_environment() -> None:
    assert link.environment("web", [DB]) == [
        "MY_DATA_PORT=udp://10.224.0.2:53",
        "MY_DATA_PORT_80_TCP=tcp://10.224.0.2:80",
        "MY_DATA_PORT_80_TCP_ADDR=10.224.0.2",
        "MY_DATA_PORT_80_TCP_PORT=80",
        "MY_DATA_PORT_80_TCP_PROTO=tcp",
        "MY_DATA_PORT_5432_TCP=tcp://10.224.0.2:5432",
        "MY_DATA_PORT_5432_TCP_ADDR=10.224.0.2",
        "MY_DATA_PORT_5432_TCP_PORT=5432",
        "MY_DATA_PORT_5432_TCP_PROTO=tcp",
        "MY_DATA_PORT_53_UDP=udp://10.224.0.2:53",
        "MY_DATA_PORT_53_UDP_ADDR=10.224.0.2",
        "MY_DATA_PORT_53_UDP_PORT=53",
        "MY_DATA_PORT_53_UDP_PROTO=udp",
        "MY_DATA_NAME=/web/my-data",
        "MY_DATA_ENV_PW=a=b",
    ]


def test_a_range_of_ports() -> None:
    many = link.of("ab" * 32, "db", "db", "10.224.0.2", {"ExposedPorts": {f"{n}/tcp": {} for n in (81, 80, 82, 90)}})
    told = link.environment("web", [many])
    assert "DB_PORT_80_TCP_START=tcp://10.224.0.2:80" in told and "DB_PORT_80_TCP_PORT_END=82" in told
    assert not any("90" in line and "START" in line for line in told)


def test_hosts() -> None:
    assert link.hosts([DB]) == ["my-data:10.224.0.2", "h:10.224.0.2", "db:10.224.0.2"]


def test_nothing_to_tell() -> None:
    bare = link.of("ab" * 32, "db", "db", "10.224.0.2", {})
    assert link.environment("web", [bare]) == ["DB_NAME=/web/db"]
    assert link.hosts([bare]) == ["db:10.224.0.2", f"{'ab' * 6}:10.224.0.2"]
