"""The service's settings, read once from the environment. `deploy/README.md` lists them."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    #: postgresql+psycopg2://...
    database_url: str
    #: Name of the data center; `docker info` shows it as the host's name.
    datacenter: str = "sdc"
    #: PEM served at /ca.pem, so that a new client can learn whom to trust. "" serves 404.
    ca_file: str = ""
    #: Account networks are cut from this pool, a /24 each.
    network_pool: ipaddress.IPv4Network = field(default_factory=lambda: ipaddress.IPv4Network("10.224.0.0/12"))
    #: Registry hosts (host or host:port) that may be used although their address is private.
    registry_hosts: frozenset[str] = frozenset()
    #: Marks our objects on engines; two services that share an engine differ in it.
    fleet: str = "sdc"
    log_level: str = "info"
    #: Threads of each gunicorn worker.
    threads: int = 16
    #: Connections to the database per process.
    database_pool: int = 16

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read `SDC_*`. Raises ValueError that names the variable."""
        url = environ.get("SDC_DATABASE_URL", "")
        if not url.startswith("postgresql+psycopg2://"):
            raise ValueError("SDC_DATABASE_URL must be set and start with postgresql+psycopg2://")
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
            registry_hosts=frozenset(h.strip() for h in environ.get("SDC_REGISTRY_HOSTS", "").split(",") if h.strip()),
            fleet=environ.get("SDC_FLEET", "sdc"),
            log_level=environ.get("SDC_LOG_LEVEL", "info"),
            threads=int(environ.get("SDC_THREADS", "16")),
            database_pool=int(environ.get("SDC_DATABASE_POOL", "16")),
        )
