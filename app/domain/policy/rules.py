"""How far a request may go on a shared host, in figures and names, and what of it the operator sets."""

from __future__ import annotations

from dataclasses import dataclass, field

#: The capabilities that a stock engine gives every container; adding one of these asks for nothing.
DEFAULT_CAPABILITIES = frozenset(
    """
    AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID
    SYS_CHROOT
    """.split()  # noqa: SIM905
)

#: Networks that nothing may be made to dial from a node: loopback, private, link-local, shared and local ones.
PRIVATE_NETWORKS = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "224.0.0.0/3",
    "::/128",
    "::1/128",
    "64:ff9b::/96",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
)

#: Log drivers that keep what they take on the node.
LOG_DRIVERS = frozenset({"json-file", "local", "none"})


@dataclass(frozen=True)
class Rules:
    """The bounds of the policy. Sizes are bytes, times are seconds."""

    #: Log drivers that may be named: the operator may add `syslog`, `gelf` and `fluentd`, which dial from the node.
    allowed_log_drivers: frozenset[str] = LOG_DRIVERS
    #: Hosts (names or addresses) that log drivers may send to although they are in a private network.
    allowed_log_hosts: frozenset[str] = frozenset()
    max_log_size: int = 10 * 1024**2
    max_log_files: int = 5
    max_log_buffer: int = 4 * 1024**2
    allowed_runtimes: frozenset[str] = frozenset({"runc"})
    allowed_volume_drivers: frozenset[str] = frozenset({"local"})
    max_stop_timeout: int = 600
    #: Ports of the nodes themselves that no container may publish: ssh, engine, swarm mode and its overlay.
    reserved_ports: frozenset[int] = frozenset({22, 2375, 2376, 2377, 4789, 7946})
    #: Where daemons may not be made to connect to, in CIDR form.
    node_private_networks: tuple[str, ...] = field(default=PRIVATE_NETWORKS)
    max_pids: int = 32768
    max_open_files: int = 1_048_576
    #: For `memlock` where the request sets no memory limit of its own.
    max_locked_memory: int = 64 * 1024**2
    max_published_ports: int = 128
    max_exposed_ports: int = 512
    max_mounts: int = 64
    max_labels: int = 256
    max_label_key: int = 256
    max_label_value: int = 4096
