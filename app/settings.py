"""The service's settings, read once from the environment: nobody else reads an SDC_* variable of the service.

`deploy/SETTINGS.md` lists them, and a test compares the two.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Exit status of a process that cannot start with what it is told: trying again is no use.
WRONG_SETTINGS = 78
#: The same of a gunicorn worker: its master ends with it, and starts no other.
WRONG_IN_WORKER = 4
LOG_LEVELS = ("debug", "info", "warning", "error")
#: Log drivers of engines that dial from the node.
DIALLING_LOG_DRIVERS = ("fluentd", "gelf", "syslog")


@contextlib.contextmanager
def or_exit(part: str, status: int = WRONG_SETTINGS) -> Iterator[None]:
    """Around all that is made of settings at a start: what is wrong with them ends the process, with a sentence."""
    try:
        yield
    except ValueError as error:
        print(f"{part}: {error}", file=sys.stderr)
        sys.exit(status)


def _number(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {text!r}")
    return int(text)


def _switch(environ: Mapping[str, str], name: str) -> bool:
    word = environ.get(name) or "off"
    if word not in ("on", "off"):
        raise ValueError(f"{name} must be on or off, not {word!r}")
    return word == "on"


def _port_of_database(url: str) -> str:
    """What stands for the port; nothing of the URL's secrets."""
    _, _, rest = url.partition("://")
    host = re.split("[/?]", rest.partition("@")[2] if "@" in rest else rest)[0]
    return host.rpartition("]")[2].partition(":")[2] or "5432"


def _words(environ: Mapping[str, str], name: str) -> list[str]:
    """What stands between commas."""
    return [word.strip() for word in environ.get(name, "").split(",") if word.strip()]


def _networks(environ: Mapping[str, str], name: str) -> tuple[ipaddress.IPv4Network, ...]:
    try:
        return tuple(map(ipaddress.IPv4Network, _words(environ, name)))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _log_level(environ: Mapping[str, str]) -> str:
    level = (environ.get("SDC_LOG_LEVEL") or "info").lower()
    if level not in LOG_LEVELS:
        raise ValueError(f"SDC_LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}, not {level!r}")
    return level


@dataclass(frozen=True)
class ProcessSettings:
    """What a process needs to know of its place on the machine: gunicorn reads these, and so does the observer."""

    #: A directory of our own, for sockets and for what the processes count.
    run_dir: Path = Path("/run/sdc-docker")
    #: The Unix socket between nginx and gunicorn.
    socket: str = ""
    #: The same for CloudAPI, which is a process of its own.
    cloudapi_socket: str = ""
    #: nginx's group: besides our own user the only one who may connect. "" leaves our own.
    socket_group: str = ""
    #: Where the observer serves /metrics: a socket's path, or address:port of loopback.
    metrics: str = ""
    workers: int = 2
    #: Threads of each gunicorn worker.
    threads: int = 16
    #: How long what is open may go on when the service stops.
    stop_seconds: int = 30
    #: How long a stream may go on in the old code after a reload.
    retire_seconds: int = 86400
    log_level: str = "info"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> ProcessSettings:
        """Read `SDC_*`. Raises ValueError that names the variable."""
        run_dir = Path(environ.get("SDC_RUN_DIR") or "/run/sdc-docker")
        if not run_dir.is_absolute():
            raise ValueError(f"SDC_RUN_DIR must be an absolute path, not {str(run_dir)!r}")
        return cls(
            run_dir=run_dir,
            socket=environ.get("SDC_SOCKET") or str(run_dir / "api.sock"),
            cloudapi_socket=environ.get("SDC_CLOUDAPI_SOCKET") or str(run_dir / "cloudapi.sock"),
            socket_group=environ.get("SDC_SOCKET_GROUP", ""),
            metrics=_metrics(environ, run_dir),
            workers=_number(environ, "SDC_WORKERS", 2, 1, 256),
            threads=_number(environ, "SDC_THREADS", 16, 1, 1024),
            stop_seconds=_number(environ, "SDC_STOP_SECONDS", 30, 4, 3600),
            retire_seconds=_number(environ, "SDC_RETIRE_SECONDS", 86400, 0, 30 * 86400),
            log_level=_log_level(environ),
        )

    @property
    def metrics_folder(self) -> Path:
        """Where the machine's processes write what they count."""
        return self.run_dir / "metrics"


def _metrics(environ: Mapping[str, str], run_dir: Path) -> str:
    address = environ.get("SDC_METRICS") or str(run_dir / "metrics.sock")
    if address.startswith("/"):
        return address
    host, _, port = address.rpartition(":")
    try:
        if not ipaddress.ip_address(host.strip("[]")).is_loopback or not 0 < int(port) < 65536:
            raise ValueError
    except ValueError:
        wanted = "an absolute path or a loopback address with a port, like 127.0.0.1:9323"
        raise ValueError(f"SDC_METRICS must be {wanted}, not {address!r}") from None
    return address


def _log_drivers(environ: Mapping[str, str]) -> frozenset[str]:
    drivers = frozenset(_words(environ, "SDC_LOG_DRIVERS"))
    for driver in sorted(drivers.difference(DIALLING_LOG_DRIVERS)):
        raise ValueError(f"SDC_LOG_DRIVERS may name {', '.join(DIALLING_LOG_DRIVERS)}, not {driver!r}")
    return drivers


@dataclass(frozen=True)
class Settings:
    #: postgresql+psycopg2://...
    database_url: str
    #: Name of the data center; `docker info` shows it as the host's name.
    datacenter: str = "sdc"
    #: PEM served at /ca.pem, so that a new client can learn whom to trust. "" serves 404.
    ca_file: str = ""
    #: Account networks are cut from this pool: a /22 for each default network, a /24 for others that name no subnet.
    network_pool: ipaddress.IPv4Network = field(default_factory=lambda: ipaddress.IPv4Network("10.224.0.0/12"))
    #: Networks of the data center that no account may choose a subnet from: what nodes must go on reaching.
    network_reserved: tuple[ipaddress.IPv4Network, ...] = ()
    #: Registry hosts (host or host:port) that may be used although their address is private.
    registry_hosts: frozenset[str] = frozenset()
    #: The data center's own registry: the host that accounts name, each has repositories of its own there. "" = none.
    registry: str = ""
    #: Where it is for nodes and for us (host:port); "" = where its name says.
    registry_address: str = ""
    #: A file with "user:password" for it; only the service gets in.
    registry_auth_file: str = ""
    #: Log drivers beyond those that keep what they take on the node: of DIALLING_LOG_DRIVERS.
    log_drivers: frozenset[str] = frozenset()
    #: Hosts (names or addresses) that those may send to although they are in a private network.
    log_hosts: frozenset[str] = frozenset()
    #: Whether docker cp may be used with a running container that has volumes although its engine is below 29.5.1,
    #: which can be made to mount them outside of the container then. For nodes that one trusts.
    copy_on_old_engines: bool = False
    #: Marks our objects on engines; two services that share an engine differ in it.
    fleet: str = "sdc"
    log_level: str = "info"
    #: Connections to the database per process.
    database_pool: int = 16

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read `SDC_*`. Raises ValueError that names the variable."""
        url = environ.get("SDC_DATABASE_URL", "")
        if not url.startswith("postgresql+psycopg2://"):
            raise ValueError("SDC_DATABASE_URL must be set and start with postgresql+psycopg2://")
        if not _port_of_database(url).isdigit():
            raise ValueError("SDC_DATABASE_URL: the port must be a number")
        pool = environ.get("SDC_NETWORK_POOL", "10.224.0.0/12")
        try:
            network_pool = ipaddress.IPv4Network(pool)
        except ValueError as error:
            raise ValueError(f"SDC_NETWORK_POOL: {error}") from None
        if network_pool.prefixlen > 24:
            raise ValueError("SDC_NETWORK_POOL must be a /24 or larger")
        return cls(
            database_url=url,
            datacenter=environ.get("SDC_DATACENTER", "sdc"),
            ca_file=environ.get("SDC_CA_FILE", ""),
            network_pool=network_pool,
            network_reserved=_networks(environ, "SDC_NETWORK_RESERVED"),
            registry_hosts=frozenset(_words(environ, "SDC_REGISTRY_HOSTS")),
            log_drivers=_log_drivers(environ),
            log_hosts=frozenset(_words(environ, "SDC_LOG_HOSTS")),
            copy_on_old_engines=_switch(environ, "SDC_COPY_ON_OLD_ENGINES"),
            registry=environ.get("SDC_REGISTRY", ""),
            registry_address=environ.get("SDC_REGISTRY_ADDRESS", ""),
            registry_auth_file=environ.get("SDC_REGISTRY_AUTH_FILE", ""),
            fleet=environ.get("SDC_FLEET", "sdc"),
            log_level=_log_level(environ),
            database_pool=_number(environ, "SDC_DATABASE_POOL", 16, 1, 1000),
        )


@dataclass(frozen=True)
class Places:
    """Where the parts are that stand in front of the service: `sdc-docker doctor` looks there, the service does not.
    CloudAPI tells clients the two addresses.

    "" = not told, or not on this machine; doctor leaves the check out and says so.
    """

    #: host:port of the Docker endpoint, and of CloudAPI, as clients use them.
    docker_address: str = ""
    cloudapi_address: str = ""
    #: Of nginx: its log, the file with its process id, and the endpoint's certificate and key.
    nginx_log: str = ""
    nginx_pid: str = ""
    server_cert: str = ""
    server_key: str = ""
    #: The key of the data center's CA, where it is kept on this machine.
    ca_key: str = ""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Places:
        """Read `SDC_*`. Raises ValueError that names the variable."""
        return cls(
            docker_address=_host_and_port(environ, "SDC_DOCKER_ADDRESS"),
            cloudapi_address=_host_and_port(environ, "SDC_CLOUDAPI_ADDRESS"),
            nginx_log=environ.get("SDC_NGINX_LOG", ""),
            nginx_pid=environ.get("SDC_NGINX_PID", ""),
            server_cert=environ.get("SDC_SERVER_CERT", ""),
            server_key=environ.get("SDC_SERVER_KEY", ""),
            ca_key=environ.get("SDC_CA_KEY", ""),
        )


def _host_and_port(environ: Mapping[str, str], name: str) -> str:
    text = environ.get(name, "")
    host, colon, port = text.rpartition(":")
    if text and not (colon and host and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{name} must be host:port, not {text!r}")
    return text
