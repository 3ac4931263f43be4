"""The tables, with the constraints that make wrong states impossible and a comment on everything a DBA may ask about.

Migrations create them; a test compares the two. Names of unique constraints matter: `session.py` turns their violation
into a conflict in words.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import CIDR, INET, JSONB, UUID, ExcludeConstraint

from app.domain.operation import OperationKind

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


#: Of columns that the reading role does not see (`read_role.py`): what tenants put into an environment, say.
_SECRET = {"secret": True}


def _now(name: str, comment: str) -> Column:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now(), comment=comment)


#: Of the quotas the one nearest its end, in percent; one of 0 is used up.
_QUOTA_PERCENT = (
    "least(greatest("
    "CASE WHEN max_containers > 0 THEN used_containers * 100.0 / max_containers ELSE 100 END, "
    "CASE WHEN max_memory > 0 THEN used_memory * 100.0 / max_memory ELSE 100 END, "
    "CASE WHEN max_nano_cpus > 0 THEN used_nano_cpus * 100.0 / max_nano_cpus ELSE 100 END), 32767)"
)

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
    Column(
        "quota_percent",
        SmallInteger,
        Computed(_QUOTA_PERCENT, persisted=True),
        comment="how much of the quota that is nearest its end is used, in percent; over 100 after a quota was cut",
    ),
    _now("created_at", "when the account was added"),
    Index(None, "quota_percent"),
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
    Column("public_key", Text, nullable=False, comment="the key as one authorized_keys line", info=_SECRET),
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
    Column(
        "cordon_reason", Text, nullable=False, server_default="", comment="the operator's word on why; may be empty"
    ),
    Column("cpus", Integer, nullable=False, comment="CPUs of the machine"),
    Column("memory", BigInteger, nullable=False, comment="bytes of memory of the machine"),
    Column("seen_at", DateTime(timezone=True), comment="last answer of its engine"),
    Column("event_nano", BigInteger, comment="time of its engine's last event that was read; null = none yet"),
    Column("lease_process_id", UUID(as_uuid=True), comment="observer that follows it; outlives its row"),
    Column("lease_until", DateTime(timezone=True), comment="when that lease ends unless renewed"),
    _now("created_at", "when it was enrolled"),
    CheckConstraint("state IN ('up', 'down')", name="state"),
    CheckConstraint("cordoned OR cordon_reason = ''", name="cordon_reason"),
    comment="Compute nodes: machines with a stock Docker Engine.",
)

images = Table(
    "images",
    metadata,
    Column("id", Text, primary_key=True, comment="sha256:<64 hex>, the digest of the image's config"),
    Column(
        "inspect", JSONB, nullable=False, comment="the image as the engine describes it, without names", info=_SECRET
    ),
    Column("size", BigInteger, nullable=False, comment="bytes of all layers"),
    Column("created_at", DateTime(timezone=True), comment="when the image was built, by its own word"),
    Column(
        "history", JSONB, comment="what docker history tells, without names; null = not asked for yet", info=_SECRET
    ),
    Index(None, "size", postgresql_include=["id", "created_at"]),
    CheckConstraint("id ~ '^sha256:[0-9a-f]{64}$'", name="id"),
    comment="Image contents that some account has. Who may see them is in account_images.",
)

node_images = Table(
    "node_images",
    metadata,
    Column("node_id", ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True, comment="node"),
    Column("image_id", ForeignKey("images.id"), primary_key=True, comment="image that it holds"),
    Column("dropping", Boolean, nullable=False, server_default="false", comment="true = it is just leaving the node"),
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

account_layers = Table(
    "account_layers",
    metadata,
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True, comment="account"),
    Column("diff_id", Text, primary_key=True, comment="sha256:<64 hex>, the digest of the layer's plain form"),
    CheckConstraint("diff_id ~ '^sha256:[0-9a-f]{64}$'", name="diff_id"),
    comment="Layers whose content an account has had: it brought them, or a registry gave them to it.",
)

build_cache = Table(
    "build_cache",
    metadata,
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True, comment="who built it"),
    Column("node_id", ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True, comment="node that holds it"),
    Column("image_id", Text, primary_key=True, comment="an image, or the last step of a stage, which nobody has named"),
    Column("used_at", DateTime(timezone=True), nullable=False, server_default=func.now(), comment="its last build"),
    Index(None, "account_id", "used_at"),
    Index(None, "node_id"),
    Index(None, "image_id"),
    CheckConstraint("image_id ~ '^sha256:[0-9a-f]{64}$'", name="image_id"),
    comment="Images whose steps an account's builds take instead of running them again.",
)

layer_blobs = Table(
    "layer_blobs",
    metadata,
    Column("digest", Text, primary_key=True, comment="sha256:<64 hex> of the blob as registries have it"),
    Column("diff_id", Text, nullable=False, comment="digest of its plain form"),
    CheckConstraint("digest ~ '^sha256:[0-9a-f]{64}$' AND diff_id ~ '^sha256:[0-9a-f]{64}$'", name="digests"),
    comment="What compressed layers are in their plain form. A fact of arithmetic, and nobody's own.",
)

networks = Table(
    "networks",
    metadata,
    Column("uuid", UUID(as_uuid=True), primary_key=True, comment="network uuid; the engine's name is n-<uuid>"),
    Column("id", Text, nullable=False, unique=True, comment="64 hex digits that the tenant sees"),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, comment="owner"),
    Column("name", Text, nullable=False, comment="the tenant's name; bridge is the account's default network"),
    Column("subnet", CIDR, nullable=False, comment="its addresses, cut from the data center's pool or chosen"),
    Column("gateway", INET, nullable=False, comment="address of the gateway"),
    Column("ready", Boolean, nullable=False, server_default="false", comment="true once the engine has made it"),
    Column("removing", Boolean, nullable=False, server_default="false", comment="true = nothing may join it any more"),
    Column("chosen", Boolean, nullable=False, server_default="false", comment="true = the tenant chose the subnet"),
    Column("internal", Boolean, nullable=False, server_default="false", comment="true = no way out of it"),
    Column("attachable", Boolean, nullable=False, server_default="false", comment="as asked for; shown, no more"),
    Column("ip_range", CIDR, comment="part of the subnet that the engine gives addresses from; null = all of it"),
    Column("aux_addresses", JSONB, nullable=False, server_default="{}", comment="names -> addresses that none gets"),
    Column("options", JSONB, nullable=False, server_default="{}", comment="options of the bridge driver"),
    Column("labels", JSONB, nullable=False, server_default="{}", comment="labels"),
    _now("created_at", "when it was made"),
    UniqueConstraint("account_id", "name"),
    # Bridges of one node share its routing: two networks with one address in common cannot both be there.
    ExcludeConstraint((text("subnet inet_ops"), "&&"), name="ex_networks_subnet", using="gist"),
    CheckConstraint("id ~ '^[0-9a-f]{64}$'", name="id"),
    CheckConstraint("gateway <<= subnet AND (ip_range IS NULL OR ip_range <<= subnet)", name="addresses"),
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
    Column("state", Text, nullable=False, comment="Docker's word for its state, or creating"),
    Column("version", BigInteger, nullable=False, server_default="0", comment="grows with every write of its state"),
    Column("image_id", ForeignKey("images.id"), nullable=False, comment="image content"),
    Column("image", Text, nullable=False, comment="image as the tenant typed it"),
    Column("spec", JSONB, nullable=False, comment="the create request as decided, in the tenant's words", info=_SECRET),
    Column("labels", JSONB, nullable=False, server_default="{}", comment="labels of the image and of the request"),
    Column("auto_remove", Boolean, nullable=False, server_default="false", comment="the engine removes it at its end"),
    Column("tty", Boolean, nullable=False, server_default="false", comment="true = its output is not framed"),
    Column("package", ForeignKey("packages.name", onupdate="CASCADE"), nullable=False, comment="its package"),
    Column("memory", BigInteger, nullable=False, comment="bytes counted against the quota"),
    Column("nano_cpus", BigInteger, nullable=False, comment="1e-9 CPUs counted against the quota"),
    Column("exit_code", Integer, comment="exit status of its last run"),
    Column("health", Text, nullable=False, server_default="", comment="health check: starting, healthy, unhealthy"),
    Column("command", Text, nullable=False, server_default="", comment="command line, as docker ps shows it"),
    Column("hostname", Text, nullable=False, server_default="", comment="its host name for itself"),
    Column("restart_policy", Text, nullable=False, server_default="no", comment="when the engine restarts it"),
    Column("restart_count", Integer, nullable=False, server_default="0", comment="restarts by that policy so far"),
    Column("oom_killed", Boolean, nullable=False, server_default="false", comment="its last run ran out of memory"),
    Column("error", Text, nullable=False, server_default="", comment="why its last start failed"),
    Column("inspect", JSONB, comment="as last seen on the engine, in the tenant's words", info=_SECRET),
    Column("list_head", Text, comment="its entry of the container list as JSON, up to the value of Status"),
    Column("list_tail", Text, comment="the rest of that entry"),
    _now("created_at", "when it was created"),
    Column("started_at", DateTime(timezone=True), comment="start of its last run"),
    Column("finished_at", DateTime(timezone=True), comment="end of its last run"),
    UniqueConstraint("account_id", "name"),
    Index(None, "account_id", "created_at"),
    # Covers what a node's fill is summed from.
    Index(None, "node_id", postgresql_include=["memory", "nano_cpus"]),
    Index(None, "image_id"),
    Index(None, "package"),
    Index(None, "name"),
    Index(None, "state"),
    Index("ix_containers_id_prefix", "id", postgresql_ops={"id": "text_pattern_ops"}),
    Index("ix_containers_restarts", "restart_count", postgresql_where=text("restart_count > 0")),
    Index(None, "node_id", "engine_id"),
    CheckConstraint("id ~ '^[0-9a-f]{64}$'", name="id"),
    CheckConstraint(
        "state IN ('creating', 'created', 'running', 'paused', 'restarting', 'exited', 'removing', 'dead')",
        name="state",
    ),
    CheckConstraint("memory >= 0 AND nano_cpus >= 0", name="size"),
    CheckConstraint("health IN ('', 'none', 'starting', 'healthy', 'unhealthy')", name="health"),
    CheckConstraint("restart_policy IN ('no', 'always', 'unless-stopped', 'on-failure')", name="restart_policy"),
    CheckConstraint("restart_count >= 0", name="restart_count"),
    # finished_at may be before started_at: it is the end of the run before while the container runs.
    CheckConstraint(
        "state NOT IN ('running', 'paused', 'restarting', 'exited') OR started_at IS NOT NULL", name="started"
    ),
    CheckConstraint("state <> 'exited' OR exit_code IS NOT NULL", name="exited"),
    CheckConstraint("state <> 'creating' OR started_at IS NULL AND inspect IS NULL", name="creating"),
    CheckConstraint(
        "state IN ('creating', 'removing', 'dead') OR engine_id <> '' AND inspect IS NOT NULL", name="on_engine"
    ),
    CheckConstraint("(list_head IS NULL) = (list_tail IS NULL)", name="list_entry"),
    comment="Containers. A removed one has no row; operations remember it.",
)

container_endpoints = Table(
    "container_endpoints",
    metadata,
    Column("container_id", ForeignKey("containers.id", ondelete="CASCADE"), primary_key=True, comment="container"),
    Column("network_uuid", ForeignKey("networks.uuid", ondelete="CASCADE"), primary_key=True, comment="network"),
    Column("ipv4", INET, comment="address that it is to have there; null = the engine chooses at each start"),
    Column("reserved", Boolean, nullable=False, server_default="false", comment="true = nobody else gets that address"),
    Column(
        "mac", Text, nullable=False, server_default="", comment="MAC address asked for; empty = the engine's choice"
    ),
    Column("aliases", JSONB, nullable=False, server_default="[]", comment="further names in the network's DNS"),
    Column("links", JSONB, nullable=False, server_default="[]", comment="[container id, name] that it alone resolves"),
    Column("address", INET, comment="address that it has there, as last seen; null = it does not run"),
    Column("mac_address", Text, nullable=False, server_default="", comment="MAC address that it has there"),
    Index(None, "address"),
    Index(None, "network_uuid"),
    Index("uq_container_endpoints_reserved", "network_uuid", "ipv4", unique=True, postgresql_where=text("reserved")),
    CheckConstraint("NOT reserved OR ipv4 IS NOT NULL", name="reserved"),
    comment="Which container is on which network.",
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
    Column("node_id", ForeignKey("nodes.id"), comment="node that has its data; null = never used"),
    Column(
        "engine_name", Text, nullable=False, comment="name on the engine: v-<uuid>, or the engine's own if anonymous"
    ),
    Column("anonymous", Boolean, nullable=False, comment="true = made for one container, gone with it"),
    Column("labels", JSONB, nullable=False, server_default="{}", comment="labels"),
    Column(
        "options",
        JSONB,
        nullable=False,
        server_default="{}",
        comment="the driver's options, as given: size",
        info=_SECRET,
    ),
    Column("state", Text, nullable=False, server_default="ready", comment="creating, ready or removing"),
    Column("first_container", Text, comment="container it was made or placed for; null = others use it, or nobody did"),
    _now("created_at", "when it was made"),
    Column("mounts", Integer, nullable=False, server_default="0", comment="mounts by containers; a trigger counts"),
    Column("unused_since", DateTime(timezone=True), server_default=func.now(), comment="last unmount; null = in use"),
    UniqueConstraint("node_id", "engine_name"),
    Index(None, "engine_name"),
    Index(None, "account_id"),
    # The name is free again as soon as a removal has begun.
    Index(
        "uq_volumes_account_id_name", "account_id", "name", unique=True, postgresql_where=text("state <> 'removing'")
    ),
    CheckConstraint("state IN ('creating', 'ready', 'removing')", name="state"),
    CheckConstraint("node_id IS NOT NULL OR state = 'ready' AND NOT anonymous", name="placed"),
    Index("ix_volumes_unused", "unused_since", postgresql_where=text("mounts = 0")),
    CheckConstraint("mounts >= 0 AND (mounts = 0) = (unused_since IS NOT NULL)", name="mounts"),
    CheckConstraint("mounts = 0 OR state = 'ready' AND node_id IS NOT NULL", name="mounted"),
    comment="Volumes. Each belongs to one account and lives on one node from its first use on.",
)

container_volumes = Table(
    "container_volumes",
    metadata,
    Column("container_id", ForeignKey("containers.id", ondelete="CASCADE"), primary_key=True, comment="container"),
    Column("target", Text, primary_key=True, comment="path in the container"),
    Column("volume_id", ForeignKey("volumes.id"), nullable=False, comment="volume that is mounted there"),
    Column("named", Boolean, nullable=False, server_default="false", comment="true = by its name: rm -v leaves it"),
    Index(None, "volume_id"),
    comment="Which container mounts which volume.",
)

#: Counted by the database, because mounts go with their containers by ON DELETE CASCADE. Once per statement.
_COUNT_MOUNTS = """
CREATE FUNCTION count_mounts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE volumes v SET mounts = v.mounts + m.more, unused_since = CASE WHEN v.mounts + m.more = 0 THEN now() END
    FROM (SELECT volume_id, CASE TG_OP WHEN 'DELETE' THEN -count(*) ELSE count(*) END AS more FROM changed
          GROUP BY volume_id) m
    WHERE v.id = m.volume_id;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION count_mounts() IS 'keeps volumes.mounts and volumes.unused_since';
CREATE TRIGGER mounted AFTER INSERT ON container_volumes REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_mounts();
CREATE TRIGGER unmounted AFTER DELETE ON container_volumes REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_mounts();
"""
event.listen(container_volumes, "after_create", DDL(_COUNT_MOUNTS))

execs = Table(
    "execs",
    metadata,
    Column("id", Text, primary_key=True, comment="64 hex digits that the tenant sees"),
    Column("container_id", ForeignKey("containers.id", ondelete="CASCADE"), nullable=False, comment="container"),
    Column("engine_exec_id", Text, nullable=False, comment="the engine's id of it"),
    Column("detach_keys", Text, nullable=False, server_default="", comment="keys that detach from it"),
    _now("created_at", "when it was made"),
    Index(None, "container_id"),
    Index(None, "created_at"),
    comment="Commands started in running containers (docker exec).",
)

operations = Table(
    "operations",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True, comment="operation id; engine objects carry it as label sdc.op"),
    Column("kind", Text, nullable=False, comment="what is done: create, start, pull, build, connect ..."),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, comment="for whom"),
    Column("target", Text, nullable=False, comment="id of what it changes; outlives its row"),
    Column("node_id", ForeignKey("nodes.id"), nullable=False, comment="on which node"),
    Column("process_id", UUID(as_uuid=True), nullable=False, comment="who carries it out; outlives its row"),
    Column("state", Text, nullable=False, server_default="pending", comment="pending, done or undone"),
    Column(
        "detail",
        JSONB,
        nullable=False,
        server_default="{}",
        comment="what is needed to finish or undo it",
        info=_SECRET,
    ),
    Column("error", Text, nullable=False, server_default="", comment="why it was undone"),
    _now("created_at", "when the intent was committed"),
    Column("finished_at", DateTime(timezone=True), comment="when it was done or undone"),
    Index("ix_operations_pending", "process_id", postgresql_where=text("state = 'pending'")),
    Index(
        "uq_operations_pushing",
        "node_id",
        "target",
        unique=True,
        postgresql_where=text("kind = 'push' AND state = 'pending'"),
    ),
    Index(None, "account_id", "created_at"),
    Index(None, "created_at"),
    Index(None, "node_id"),
    Index(None, "target"),
    Index(None, "finished_at"),
    CheckConstraint("state IN ('pending', 'done', 'undone')", name="state"),
    CheckConstraint("(state = 'pending') = (finished_at IS NULL)", name="finished"),
    CheckConstraint(f"kind IN ({', '.join(repr(kind.value) for kind in OperationKind)})", name="kind"),
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
    Column(
        "at",
        DateTime(timezone=True),
        Computed("to_timestamp(time_nano / 1000000000.0)", persisted=True),
        comment="the same moment as a time",
    ),
    Column("type", Text, nullable=False, comment="container, image, network, volume or builder"),
    Column("action", Text, nullable=False, comment="Docker's word: start, die, destroy ..."),
    Column("actor_id", Text, nullable=False, comment="the object's id for the tenant; outlives its row"),
    Column("attributes", JSONB, nullable=False, comment="name, image, labels, exit code and so on"),
    Index(None, "account_id", "id"),
    Index(None, "account_id", "time_nano"),
    Index(None, "at"),
    Index(None, "actor_id"),
    UniqueConstraint("node_id", "time_nano", "action", "actor_id"),
    CheckConstraint(
        "type IN ('builder', 'config', 'container', 'daemon', 'image', 'network', 'node', 'plugin', 'secret', "
        "'service', 'volume')",
        name="type",
    ),
    comment="What happened, as docker events tells it. The unique key makes an engine's replay harmless.",
)

told = Table(
    "told",
    metadata,
    Column("node_id", ForeignKey("nodes.id", ondelete="CASCADE"), primary_key=True, comment="node that it runs on"),
    Column("container_id", Text, primary_key=True, comment="container as the tenant knows it; its row may be gone"),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, comment="who was told"),
    Column("state", Text, nullable=False, comment="state that follows from the last event: created, running ..."),
    Column("time_nano", BigInteger, nullable=False, comment="when that was, in nanoseconds since 1970"),
    Column("started_nano", BigInteger, nullable=False, comment="when the last start told of was; 0 = never"),
    Column("attributes", JSONB, nullable=False, comment="name, image and labels, for events of one that is gone"),
    Index(None, "account_id"),
    CheckConstraint("state IN ('created', 'running', 'paused', 'exited')", name="state"),
    comment="What was last told of each container. After a gap in an engine's events the missing ones follow from it.",
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="in the order of recording"),
    _now("at", "when it was done; of a request, when it was answered"),
    Column("source", Text, nullable=False, comment="operator, api or cloudapi: what it was done with"),
    Column("actor", Text, nullable=False, comment="user@host of an operator, login of an account; empty = a stranger"),
    Column("account_id", UUID(as_uuid=True), comment="account that did it or that it is about; outlives the account"),
    Column("account", Text, nullable=False, server_default="", comment="login of that account at the time"),
    Column("fingerprint", Text, nullable=False, server_default="", comment="key of the connection, as SHA256:base64"),
    Column("verb", Text, nullable=False, comment="noun and verb: account.quota, key.add, containers.create ..."),
    Column("target_type", Text, nullable=False, comment="account, key, node, package, container, image ..."),
    Column("target", Text, nullable=False, comment="its id, or its name as it was given"),
    Column("detail", JSONB, nullable=False, server_default="{}", comment="parameters that are no secrets"),
    Column("result", Text, nullable=False, comment="done, refused or failed"),
    Column("status", Integer, comment="HTTP status of the answer; null = not a request"),
    Column("reason", Text, nullable=False, server_default="", comment="kind of refusal and why; empty where done"),
    Column("milliseconds", Integer, comment="how long the request took; null = not a request"),
    Column("left_out", Integer, nullable=False, server_default="0", comment="similar ones that were only counted"),
    Column("request_id", Text, nullable=False, server_default="", comment="X-Request-Id of the answer"),
    Column("client", INET, comment="address of the client, where known"),
    Index(None, "at"),
    Index(None, "account_id", "at"),
    Index(None, "account", "at"),
    Index(None, "target"),
    Index("ix_audit_refused", "at", postgresql_where=text("result <> 'done'")),
    CheckConstraint("source IN ('operator', 'api', 'cloudapi')", name="source"),
    CheckConstraint("result IN ('done', 'refused', 'failed')", name="result"),
    CheckConstraint("(result = 'done') = (reason = '')", name="reason"),
    CheckConstraint("left_out >= 0", name="left_out"),
    comment="Who did what, and who was refused what. Rows are only added, and forgotten when they are old.",
)

_NO_CHANGE_OF_AUDIT = """
    CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'audit rows are not changed'; END $$;
    CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit();
    COMMENT ON FUNCTION refuse_change_of_audit() IS 'makes the table audit append-only';
"""
event.listen(audit, "after_create", DDL(_NO_CHANGE_OF_AUDIT))

#: What `prepared.Guard` calls.
_NOTHING_WRITTEN = """
    CREATE FUNCTION nothing_written(what text) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION USING MESSAGE = what, ERRCODE = 'SD001'; END $$;
    COMMENT ON FUNCTION nothing_written(text) IS 'undoes a transaction in which a statement had to write a row';
"""
event.listen(metadata, "after_create", DDL(_NOTHING_WRITTEN))
