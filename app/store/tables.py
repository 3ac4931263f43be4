"""The tables, with the constraints that make wrong states impossible and a comment on everything a DBA may ask about.

Migrations create them; a test compares the two. Names of unique constraints matter: `session.py` turns their violation
into a conflict in words.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import CIDR, INET, JSONB, UUID

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _now(name: str, comment: str) -> Column:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now(), comment=comment)


accounts = Table(
    "accounts",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True, server_default=text("gen_random_uuid()"), comment="account id"),
    Column("login", Text, nullable=False, unique=True, comment="login; the CN of client certificates"),
    Column("disabled_at", DateTime(timezone=True), comment="when an operator disabled the account; null = enabled"),
    Column("max_containers", Integer, nullable=False, server_default="100", comment="quota: containers in any state"),
    Column("max_memory", BigInteger, nullable=False, server_default=str(256 << 30), comment="quota: bytes of memory"),
    Column(
        "max_nano_cpus", BigInteger, nullable=False, server_default=str(128 * 10**9), comment="quota: CPUs in 1e-9 CPU"
    ),
    Column("used_containers", Integer, nullable=False, server_default="0", comment="containers that exist"),
    Column("used_memory", BigInteger, nullable=False, server_default="0", comment="bytes reserved by containers"),
    Column("used_nano_cpus", BigInteger, nullable=False, server_default="0", comment="1e-9 CPUs reserved"),
    _now("created_at", "when the account was added"),
    CheckConstraint("login ~ '^[a-zA-Z0-9][a-zA-Z0-9_.@-]{0,63}$'", name="login"),
    CheckConstraint("used_containers >= 0 AND used_memory >= 0 AND used_nano_cpus >= 0", name="usage"),
    comment="Tenants. Everything a tenant has refers to one row here.",
)

account_keys = Table(
    "account_keys",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True, server_default=text("gen_random_uuid()"), comment="key id"),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, comment="whose key it is"),
    Column("name", Text, nullable=False, comment="the operator's name for the key"),
    Column("fingerprint", Text, nullable=False, comment="SHA256:base64 of the OpenSSH wire form of the public key"),
    Column("public_key", Text, nullable=False, comment="the key as one authorized_keys line"),
    _now("created_at", "when the key was registered"),
    UniqueConstraint("account_id", "fingerprint"),
    Index(None, "fingerprint"),
    CheckConstraint("fingerprint LIKE 'SHA256:%'", name="fingerprint"),
    comment="SSH keys. A connection whose certificate holds one of these keys acts for the account.",
)

revoked_certificates = Table(
    "revoked_certificates",
    metadata,
    Column("serial", Text, primary_key=True, comment="serial of a certificate signed by the data center, lower hex"),
    _now("revoked_at", "when it was revoked"),
    comment="Certificates of the data center's own CA that are no longer accepted.",
)

packages = Table(
    "packages",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True, server_default=text("gen_random_uuid()"), comment="package id"),
    Column("name", Text, nullable=False, unique=True, comment="name, usable in the label com.joyent.package"),
    Column("memory", BigInteger, nullable=False, comment="bytes of memory"),
    Column("swap", BigInteger, nullable=False, comment="bytes of swap on top of memory"),
    Column("nano_cpus", BigInteger, nullable=False, comment="CPU limit in 1e-9 CPU"),
    Column("disk", BigInteger, nullable=False, comment="bytes of disk quota"),
    Column("pids", Integer, nullable=False, comment="most processes"),
    Column("disabled_at", DateTime(timezone=True), comment="when it was withdrawn; null = on offer"),
    CheckConstraint("memory >= 6291456 AND swap >= 0 AND nano_cpus > 0 AND disk > 0 AND pids > 0", name="size"),
    comment="Named sizes. Every container has one; its limits are set on the engine.",
)

processes = Table(
    "processes",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True, comment="made anew at every start of the process"),
    Column("kind", Text, nullable=False, comment="api or observer"),
    Column("host", Text, nullable=False, comment="machine that it runs on"),
    Column("pid", Integer, nullable=False, comment="process id there"),
    _now("started_at", "when it started"),
    _now("heartbeat_at", "last sign of life, by the database's clock"),
    CheckConstraint("kind IN ('api', 'observer')", name="kind"),
    comment="Running API workers and observers. Operations of one that went silent are taken over.",
)

nodes = Table(
    "nodes",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True, server_default=text("gen_random_uuid()"), comment="node id"),
    Column("name", Text, nullable=False, unique=True, comment="the operator's name for the node; no tenant sees it"),
    Column("url", Text, nullable=False, unique=True, comment="its engine: unix:///path or tcp://host:port"),
    Column("public_address", Text, nullable=False, server_default="", comment="address of its published ports"),
    Column("engine_id", Text, nullable=False, comment="ID of the engine's info; a change means another machine"),
    Column("engine_version", Text, nullable=False, comment="version of the engine"),
    Column("api_version", Text, nullable=False, comment="API version spoken to it, at most 1.44"),
    Column("state", Text, nullable=False, comment="up or down, as last seen by an observer"),
    Column("cordoned", Boolean, nullable=False, server_default="false", comment="true = gets no new containers"),
    Column("cpus", Integer, nullable=False, comment="CPUs of the machine"),
    Column("memory", BigInteger, nullable=False, comment="bytes of memory of the machine"),
    Column("seen_at", DateTime(timezone=True), comment="last answer of its engine"),
    Column("lease_process_id", UUID(as_uuid=True), comment="observer that follows it"),
    Column("lease_until", DateTime(timezone=True), comment="when that lease ends unless renewed"),
    _now("created_at", "when it was enrolled"),
    CheckConstraint("state IN ('up', 'down')", name="state"),
    comment="Compute nodes: machines with a stock Docker Engine.",
)

images = Table(
    "images",
    metadata,
    Column("id", Text, primary_key=True, comment="sha256:<64 hex>, the digest of the image's config"),
    Column("inspect", JSONB, nullable=False, comment="the image as the engine describes it, without names"),
    Column("size", BigInteger, nullable=False, comment="bytes of all layers"),
    Column("created_at", DateTime(timezone=True), comment="when the image was built, by its own word"),
    CheckConstraint("id ~ '^sha256:[0-9a-f]{64}$'", name="id"),
    comment="Image contents that some account has. Who may see them is in account_images.",
)

node_images = Table(
    "node_images",
    metadata,
    Column("node_id", ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True, comment="node"),
    Column("image_id", ForeignKey("images.id"), primary_key=True, comment="image that it holds"),
    Index(None, "image_id"),
    comment="Which node holds which image content.",
)

account_images = Table(
    "account_images",
    metadata,
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True, comment="account"),
    Column("image_id", ForeignKey("images.id"), primary_key=True, comment="image that it pulled, loaded or built"),
    _now("added_at", "when the account got it"),
    Index(None, "image_id"),
    comment="Which account has which image.",
)

image_names = Table(
    "image_names",
    metadata,
    Column("account_id", UUID(as_uuid=True), primary_key=True, comment="account"),
    Column("repository", Text, primary_key=True, comment="host and path: docker.io/library/busybox"),
    Column("reference", Text, primary_key=True, comment="tag, or sha256:<digest> of the manifest"),
    Column("image_id", Text, nullable=False, comment="image that the name means in this account"),
    _now("set_at", "when the name was given to this image"),
    ForeignKeyConstraint(
        ["account_id", "image_id"], ["account_images.account_id", "account_images.image_id"], ondelete="CASCADE"
    ),
    Index(None, "account_id", "image_id"),
    comment="Names of images, per account: the same name may mean different images in two accounts.",
)

networks = Table(
    "networks",
    metadata,
    Column("uuid", UUID(as_uuid=True), primary_key=True, comment="network uuid; the engine's name is n-<uuid>"),
    Column("id", Text, nullable=False, unique=True, comment="64 hex digits that the tenant sees"),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, comment="owner"),
    Column("name", Text, nullable=False, comment="the tenant's name; bridge is the account's default network"),
    Column("subnet", CIDR, nullable=False, unique=True, comment="its addresses, cut from the data center's pool"),
    Column("gateway", INET, nullable=False, comment="address of the gateway"),
    Column("ready", Boolean, nullable=False, server_default="false", comment="true once the engine has made it"),
    _now("created_at", "when it was made"),
    UniqueConstraint("account_id", "name"),
    CheckConstraint("id ~ '^[0-9a-f]{64}$'", name="id"),
    comment="Networks. Each belongs to one account.",
)

containers = Table(
    "containers",
    metadata,
    Column("id", Text, primary_key=True, comment="64 hex digits: the uuid and 32 random ones; what the tenant sees"),
    Column("uuid", UUID(as_uuid=True), nullable=False, unique=True, comment="the engine's container is c-<uuid>"),
    Column(
        "engine_id", Text, nullable=False, server_default="", comment="the engine's own id of it; no tenant sees it"
    ),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, comment="owner"),
    Column("name", Text, nullable=False, comment="the tenant's name, unique in the account"),
    Column("node_id", ForeignKey("nodes.id"), nullable=False, comment="where it runs"),
    Column("network_id", ForeignKey("networks.uuid"), comment="network of the account that it is on; null = none"),
    Column("state", Text, nullable=False, comment="Docker's word for its state, or creating"),
    Column("version", BigInteger, nullable=False, server_default="0", comment="grows with every write of its state"),
    Column("image_id", ForeignKey("images.id"), nullable=False, comment="image content"),
    Column("image", Text, nullable=False, comment="image as the tenant typed it"),
    Column("spec", JSONB, nullable=False, comment="the create request as decided, in the tenant's words"),
    Column("labels", JSONB, nullable=False, server_default="{}", comment="labels of the image and of the request"),
    Column("auto_remove", Boolean, nullable=False, server_default="false", comment="the engine removes it at its end"),
    Column("tty", Boolean, nullable=False, server_default="false", comment="true = its output is not framed"),
    Column("package", Text, nullable=False, comment="name of its package"),
    Column("memory", BigInteger, nullable=False, comment="bytes counted against the quota"),
    Column("nano_cpus", BigInteger, nullable=False, comment="1e-9 CPUs counted against the quota"),
    Column("exit_code", Integer, comment="exit status of its last run"),
    Column("health", Text, nullable=False, server_default="", comment="health check: starting, healthy, unhealthy"),
    Column("inspect", JSONB, comment="as last seen on the engine, in the tenant's words"),
    Column("list_head", Text, comment="its entry of the container list as JSON, up to the value of Status"),
    Column("list_tail", Text, comment="the rest of that entry"),
    _now("created_at", "when it was created"),
    Column("started_at", DateTime(timezone=True), comment="start of its last run"),
    Column("finished_at", DateTime(timezone=True), comment="end of its last run"),
    UniqueConstraint("account_id", "name"),
    Index(None, "account_id", "created_at"),
    Index(None, "node_id"),
    Index(None, "image_id"),
    Index(None, "network_id"),
    CheckConstraint("id ~ '^[0-9a-f]{64}$'", name="id"),
    CheckConstraint(
        "state IN ('creating', 'created', 'running', 'paused', 'restarting', 'exited', 'removing', 'dead')",
        name="state",
    ),
    CheckConstraint("memory >= 0 AND nano_cpus >= 0", name="size"),
    comment="Containers. A removed one has no row; operations remember it.",
)

container_ports = Table(
    "container_ports",
    metadata,
    Column("node_id", ForeignKey("nodes.id"), primary_key=True, comment="node"),
    Column("protocol", Text, primary_key=True, comment="tcp, udp or sctp"),
    Column("host_port", Integer, primary_key=True, comment="port at the node's public address"),
    Column("container_id", ForeignKey("containers.id", ondelete="CASCADE"), nullable=False, comment="who has it"),
    Column("container_port", Integer, nullable=False, comment="port in the container"),
    Index(None, "container_id"),
    CheckConstraint("host_port BETWEEN 1 AND 65535 AND container_port BETWEEN 1 AND 65535", name="ports"),
    CheckConstraint("protocol IN ('tcp', 'udp', 'sctp')", name="protocol"),
    comment="Published ports of containers that run; a port of a node has one owner.",
)

volumes = Table(
    "volumes",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True, comment="volume uuid"),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, comment="owner"),
    Column("name", Text, nullable=False, comment="the tenant's name, unique in the account"),
    Column("node_id", ForeignKey("nodes.id"), nullable=False, comment="node that has its data"),
    Column(
        "engine_name", Text, nullable=False, comment="name on the engine: v-<uuid>, or the engine's own if anonymous"
    ),
    Column("anonymous", Boolean, nullable=False, comment="true = made for one container, gone with it"),
    Column("labels", JSONB, nullable=False, server_default="{}", comment="labels"),
    _now("created_at", "when it was made"),
    UniqueConstraint("account_id", "name"),
    UniqueConstraint("node_id", "engine_name"),
    comment="Volumes. Each belongs to one account and lives on one node.",
)

container_volumes = Table(
    "container_volumes",
    metadata,
    Column("container_id", ForeignKey("containers.id", ondelete="CASCADE"), primary_key=True, comment="container"),
    Column("target", Text, primary_key=True, comment="path in the container"),
    Column("volume_id", ForeignKey("volumes.id"), nullable=False, comment="volume that is mounted there"),
    Index(None, "volume_id"),
    comment="Which container mounts which volume.",
)

execs = Table(
    "execs",
    metadata,
    Column("id", Text, primary_key=True, comment="64 hex digits that the tenant sees"),
    Column("container_id", ForeignKey("containers.id", ondelete="CASCADE"), nullable=False, comment="container"),
    Column("engine_exec_id", Text, nullable=False, comment="the engine's id of it"),
    Column("detach_keys", Text, nullable=False, server_default="", comment="keys that detach from it"),
    _now("created_at", "when it was made"),
    Index(None, "container_id"),
    comment="Commands started in running containers (docker exec).",
)

operations = Table(
    "operations",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True, comment="operation id; engine objects carry it as label sdc.op"),
    Column("kind", Text, nullable=False, comment="create, start, stop, restart, kill, rename, remove or network"),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, comment="for whom"),
    Column("target", Text, nullable=False, comment="id of the container or network that it changes"),
    Column("node_id", ForeignKey("nodes.id"), nullable=False, comment="on which node"),
    Column("process_id", UUID(as_uuid=True), nullable=False, comment="process that carries it out"),
    Column("state", Text, nullable=False, server_default="pending", comment="pending, done or undone"),
    Column("detail", JSONB, nullable=False, server_default="{}", comment="what is needed to finish or undo it"),
    Column("error", Text, nullable=False, server_default="", comment="why it was undone"),
    _now("created_at", "when the intent was committed"),
    Column("finished_at", DateTime(timezone=True), comment="when it was done or undone"),
    Index("ix_operations_pending", "process_id", postgresql_where=text("state = 'pending'")),
    Index(None, "account_id", "created_at"),
    Index(None, "target"),
    Index(None, "finished_at"),
    CheckConstraint("state IN ('pending', 'done', 'undone')", name="state"),
    CheckConstraint("(state = 'pending') = (finished_at IS NULL)", name="finished"),
    comment="Every change to an engine, committed as an intent before the first engine call.",
)

events = Table(
    "events",
    metadata,
    Column(
        "id", BigInteger, Identity(always=True), primary_key=True, comment="in commit order: one appender at a time"
    ),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, comment="who may see it"),
    Column("node_id", ForeignKey("nodes.id"), comment="node whose engine told it; null = a service told it"),
    Column(
        "time_nano", BigInteger, nullable=False, comment="when, in nanoseconds since 1970, by the clock of who told it"
    ),
    Column("type", Text, nullable=False, comment="container, image, network or volume"),
    Column("action", Text, nullable=False, comment="Docker's word: start, die, destroy ..."),
    Column("actor_id", Text, nullable=False, comment="id of the object as the tenant knows it"),
    Column("attributes", JSONB, nullable=False, comment="name, image, labels, exit code and so on"),
    Index(None, "account_id", "id"),
    Index(None, "account_id", "time_nano"),
    Index(None, "time_nano"),
    UniqueConstraint("node_id", "time_nano", "action", "actor_id"),
    comment="What happened, as docker events tells it. The unique key makes an engine's replay harmless.",
)
