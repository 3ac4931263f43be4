"""first schema"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

#: MiB of memory and CPUs of the sample ladder; swap is 4 and disk 25 times the memory.
LADDER = (
    ("128M", 128, 0.5),
    ("256M", 256, 0.5),
    ("512M", 512, 1),
    ("1G", 1024, 1),
    ("2G", 2048, 1),
    ("4G", 4096, 2),
    ("8G", 8192, 2),
    ("16G", 16384, 4),
    ("32G", 32768, 8),
    ("64G", 65536, 16),
    ("96G", 98304, 24),
    ("128G", 131072, 32),
    ("160G", 163840, 40),
    ("192G", 196608, 48),
    ("224G", 229376, 56),
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="account id"),
        sa.Column("login", sa.Text(), nullable=False, comment="login; the CN of client certificates"),
        sa.Column(
            "disabled_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when an operator disabled the account; null = enabled",
        ),
        sa.Column(
            "max_containers",
            sa.Integer(),
            server_default="100",
            nullable=False,
            comment="quota: containers in any state",
        ),
        sa.Column(
            "max_memory",
            sa.BigInteger(),
            server_default="274877906944",
            nullable=False,
            comment="quota: bytes of memory",
        ),
        sa.Column(
            "max_nano_cpus",
            sa.BigInteger(),
            server_default="128000000000",
            nullable=False,
            comment="quota: CPUs in 1e-9 CPU",
        ),
        sa.Column("used_containers", sa.Integer(), server_default="0", nullable=False, comment="containers that exist"),
        sa.Column(
            "used_memory", sa.BigInteger(), server_default="0", nullable=False, comment="bytes reserved by containers"
        ),
        sa.Column("used_nano_cpus", sa.BigInteger(), server_default="0", nullable=False, comment="1e-9 CPUs reserved"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the account was added",
        ),
        sa.CheckConstraint("login ~ '^[a-zA-Z0-9][a-zA-Z0-9_.@-]{0,63}$'", name=op.f("ck_accounts_login")),
        sa.CheckConstraint(
            "used_containers >= 0 AND used_memory >= 0 AND used_nano_cpus >= 0", name=op.f("ck_accounts_usage")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("login", name=op.f("uq_accounts_login")),
        comment="Tenants. Everything a tenant has refers to one row here.",
    )
    op.create_table(
        "images",
        sa.Column("id", sa.Text(), nullable=False, comment="sha256:<64 hex>, the digest of the image's config"),
        sa.Column(
            "inspect",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="the image as the engine describes it, without names",
        ),
        sa.Column("size", sa.BigInteger(), nullable=False, comment="bytes of all layers"),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=True, comment="when the image was built, by its own word"
        ),
        sa.CheckConstraint("id ~ '^sha256:[0-9a-f]{64}$'", name=op.f("ck_images_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        comment="Image contents that some account has. Who may see them is in account_images.",
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="node id"),
        sa.Column("name", sa.Text(), nullable=False, comment="the operator's name for the node; no tenant sees it"),
        sa.Column("url", sa.Text(), nullable=False, comment="its engine: unix:///path or tcp://host:port"),
        sa.Column(
            "public_address", sa.Text(), server_default="", nullable=False, comment="address of its published ports"
        ),
        sa.Column(
            "engine_id", sa.Text(), nullable=False, comment="ID of the engine's info; a change means another machine"
        ),
        sa.Column("engine_version", sa.Text(), nullable=False, comment="version of the engine"),
        sa.Column("api_version", sa.Text(), nullable=False, comment="API version spoken to it, at most 1.44"),
        sa.Column("state", sa.Text(), nullable=False, comment="up or down, as last seen by an observer"),
        sa.Column(
            "cordoned", sa.Boolean(), server_default="false", nullable=False, comment="true = gets no new containers"
        ),
        sa.Column("cpus", sa.Integer(), nullable=False, comment="CPUs of the machine"),
        sa.Column("memory", sa.BigInteger(), nullable=False, comment="bytes of memory of the machine"),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True, comment="last answer of its engine"),
        sa.Column("lease_process_id", sa.UUID(), nullable=True, comment="observer that follows it"),
        sa.Column(
            "lease_until", sa.DateTime(timezone=True), nullable=True, comment="when that lease ends unless renewed"
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was enrolled",
        ),
        sa.CheckConstraint("state IN ('up', 'down')", name=op.f("ck_nodes_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
        sa.UniqueConstraint("name", name=op.f("uq_nodes_name")),
        sa.UniqueConstraint("url", name=op.f("uq_nodes_url")),
        comment="Compute nodes: machines with a stock Docker Engine.",
    )
    op.create_table(
        "packages",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="package id"),
        sa.Column("name", sa.Text(), nullable=False, comment="name, usable in the label com.joyent.package"),
        sa.Column("memory", sa.BigInteger(), nullable=False, comment="bytes of memory"),
        sa.Column("swap", sa.BigInteger(), nullable=False, comment="bytes of swap on top of memory"),
        sa.Column("nano_cpus", sa.BigInteger(), nullable=False, comment="CPU limit in 1e-9 CPU"),
        sa.Column("disk", sa.BigInteger(), nullable=False, comment="bytes of disk quota"),
        sa.Column("pids", sa.Integer(), nullable=False, comment="most processes"),
        sa.Column(
            "disabled_at", sa.DateTime(timezone=True), nullable=True, comment="when it was withdrawn; null = on offer"
        ),
        sa.CheckConstraint(
            "memory >= 6291456 AND swap >= 0 AND nano_cpus > 0 AND disk > 0 AND pids > 0", name=op.f("ck_packages_size")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_packages")),
        sa.UniqueConstraint("name", name=op.f("uq_packages_name")),
        comment="Named sizes. Every container has one; its limits are set on the engine.",
    )
    op.create_table(
        "processes",
        sa.Column("id", sa.UUID(), nullable=False, comment="made anew at every start of the process"),
        sa.Column("kind", sa.Text(), nullable=False, comment="api or observer"),
        sa.Column("host", sa.Text(), nullable=False, comment="machine that it runs on"),
        sa.Column("pid", sa.Integer(), nullable=False, comment="process id there"),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it started",
        ),
        sa.Column(
            "heartbeat_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="last sign of life, by the database's clock",
        ),
        sa.CheckConstraint("kind IN ('api', 'observer')", name=op.f("ck_processes_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_processes")),
        comment="Running API workers and observers. Operations of one that went silent are taken over.",
    )
    op.create_table(
        "revoked_certificates",
        sa.Column(
            "serial", sa.Text(), nullable=False, comment="serial of a certificate signed by the data center, lower hex"
        ),
        sa.Column(
            "revoked_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was revoked",
        ),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_revoked_certificates")),
        comment="Certificates of the data center's own CA that are no longer accepted.",
    )
    op.create_table(
        "account_images",
        sa.Column("account_id", sa.UUID(), nullable=False, comment="account"),
        sa.Column("image_id", sa.Text(), nullable=False, comment="image that it pulled, loaded or built"),
        sa.Column(
            "added_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the account got it",
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_account_images_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_account_images_image_id")),
        sa.PrimaryKeyConstraint("account_id", "image_id", name=op.f("pk_account_images")),
        comment="Which account has which image.",
    )
    op.create_index(op.f("ix_account_images_image_id"), "account_images", ["image_id"], unique=False)
    op.create_table(
        "account_keys",
        sa.Column("id", sa.UUID(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="key id"),
        sa.Column("account_id", sa.UUID(), nullable=False, comment="whose key it is"),
        sa.Column("name", sa.Text(), nullable=False, comment="the operator's name for the key"),
        sa.Column(
            "fingerprint", sa.Text(), nullable=False, comment="SHA256:base64 of the OpenSSH wire form of the public key"
        ),
        sa.Column("public_key", sa.Text(), nullable=False, comment="the key as one authorized_keys line"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the key was registered",
        ),
        sa.CheckConstraint("fingerprint LIKE 'SHA256:%'", name=op.f("ck_account_keys_fingerprint")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_account_keys_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_keys")),
        sa.UniqueConstraint("account_id", "fingerprint", name=op.f("uq_account_keys_account_id_fingerprint")),
        comment="SSH keys. A connection whose certificate holds one of these keys acts for the account.",
    )
    op.create_index(op.f("ix_account_keys_fingerprint"), "account_keys", ["fingerprint"], unique=False)
    op.create_table(
        "events",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="in commit order: one appender at a time",
        ),
        sa.Column("account_id", sa.UUID(), nullable=False, comment="who may see it"),
        sa.Column("node_id", sa.UUID(), nullable=True, comment="node whose engine told it; null = a service told it"),
        sa.Column(
            "time_nano",
            sa.BigInteger(),
            nullable=False,
            comment="when, in nanoseconds since 1970, by the clock of who told it",
        ),
        sa.Column("type", sa.Text(), nullable=False, comment="container, image, network or volume"),
        sa.Column("action", sa.Text(), nullable=False, comment="Docker's word: start, die, destroy ..."),
        sa.Column("actor_id", sa.Text(), nullable=False, comment="id of the object as the tenant knows it"),
        sa.Column(
            "attributes",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="name, image, labels, exit code and so on",
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_events_account_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_events_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint(
            "node_id", "time_nano", "action", "actor_id", name=op.f("uq_events_node_id_time_nano_action_actor_id")
        ),
        comment="What happened, as docker events tells it. The unique key makes an engine's replay harmless.",
    )
    op.create_index(op.f("ix_events_account_id_id"), "events", ["account_id", "id"], unique=False)
    op.create_index(op.f("ix_events_account_id_time_nano"), "events", ["account_id", "time_nano"], unique=False)
    op.create_index(op.f("ix_events_time_nano"), "events", ["time_nano"], unique=False)
    op.create_table(
        "networks",
        sa.Column("uuid", sa.UUID(), nullable=False, comment="network uuid; the engine's name is n-<uuid>"),
        sa.Column("id", sa.Text(), nullable=False, comment="64 hex digits that the tenant sees"),
        sa.Column("account_id", sa.UUID(), nullable=False, comment="owner"),
        sa.Column(
            "name", sa.Text(), nullable=False, comment="the tenant's name; bridge is the account's default network"
        ),
        sa.Column(
            "subnet", postgresql.CIDR(), nullable=False, comment="its addresses, cut from the data center's pool"
        ),
        sa.Column("gateway", postgresql.INET(), nullable=False, comment="address of the gateway"),
        sa.Column(
            "ready", sa.Boolean(), server_default="false", nullable=False, comment="true once the engine has made it"
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was made",
        ),
        sa.CheckConstraint("id ~ '^[0-9a-f]{64}$'", name=op.f("ck_networks_id")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_networks_account_id")),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_networks")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_networks_account_id_name")),
        sa.UniqueConstraint("id", name=op.f("uq_networks_id")),
        sa.UniqueConstraint("subnet", name=op.f("uq_networks_subnet")),
        comment="Networks. Each belongs to one account.",
    )
    op.create_table(
        "node_images",
        sa.Column("node_id", sa.UUID(), nullable=False, comment="node"),
        sa.Column("image_id", sa.Text(), nullable=False, comment="image that it holds"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_node_images_image_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_node_images_node_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("node_id", "image_id", name=op.f("pk_node_images")),
        comment="Which node holds which image content.",
    )
    op.create_index(op.f("ix_node_images_image_id"), "node_images", ["image_id"], unique=False)
    op.create_table(
        "operations",
        sa.Column("id", sa.UUID(), nullable=False, comment="operation id; engine objects carry it as label sdc.op"),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="create, start, stop, restart, kill, rename, remove or network"
        ),
        sa.Column("account_id", sa.UUID(), nullable=False, comment="for whom"),
        sa.Column("target", sa.Text(), nullable=False, comment="id of the container or network that it changes"),
        sa.Column("node_id", sa.UUID(), nullable=False, comment="on which node"),
        sa.Column("process_id", sa.UUID(), nullable=False, comment="process that carries it out"),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False, comment="pending, done or undone"),
        sa.Column(
            "detail",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="what is needed to finish or undo it",
        ),
        sa.Column("error", sa.Text(), server_default="", nullable=False, comment="why it was undone"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the intent was committed",
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True, comment="when it was done or undone"),
        sa.CheckConstraint("(state = 'pending') = (finished_at IS NULL)", name=op.f("ck_operations_finished")),
        sa.CheckConstraint("state IN ('pending', 'done', 'undone')", name=op.f("ck_operations_state")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_operations_account_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_operations_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
        comment="Every change to an engine, committed as an intent before the first engine call.",
    )
    op.create_index(
        op.f("ix_operations_account_id_created_at"), "operations", ["account_id", "created_at"], unique=False
    )
    op.create_index(
        "ix_operations_pending",
        "operations",
        ["process_id"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(op.f("ix_operations_target"), "operations", ["target"], unique=False)
    op.create_index(op.f("ix_operations_finished_at"), "operations", ["finished_at"], unique=False)
    op.create_table(
        "volumes",
        sa.Column("id", sa.UUID(), nullable=False, comment="volume uuid"),
        sa.Column("account_id", sa.UUID(), nullable=False, comment="owner"),
        sa.Column("name", sa.Text(), nullable=False, comment="the tenant's name, unique in the account"),
        sa.Column("node_id", sa.UUID(), nullable=False, comment="node that has its data"),
        sa.Column(
            "engine_name",
            sa.Text(),
            nullable=False,
            comment="name on the engine: v-<uuid>, or the engine's own if anonymous",
        ),
        sa.Column("anonymous", sa.Boolean(), nullable=False, comment="true = made for one container, gone with it"),
        sa.Column(
            "labels", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False, comment="labels"
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was made",
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_volumes_account_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_volumes_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volumes")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_volumes_account_id_name")),
        sa.UniqueConstraint("node_id", "engine_name", name=op.f("uq_volumes_node_id_engine_name")),
        comment="Volumes. Each belongs to one account and lives on one node.",
    )
    op.create_table(
        "containers",
        sa.Column(
            "id", sa.Text(), nullable=False, comment="64 hex digits: the uuid and 32 random ones; what the tenant sees"
        ),
        sa.Column("uuid", sa.UUID(), nullable=False, comment="the engine's container is c-<uuid>"),
        sa.Column(
            "engine_id",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="the engine's own id of it; no tenant sees it",
        ),
        sa.Column("account_id", sa.UUID(), nullable=False, comment="owner"),
        sa.Column("name", sa.Text(), nullable=False, comment="the tenant's name, unique in the account"),
        sa.Column("node_id", sa.UUID(), nullable=False, comment="where it runs"),
        sa.Column("network_id", sa.UUID(), nullable=True, comment="network of the account that it is on; null = none"),
        sa.Column("state", sa.Text(), nullable=False, comment="Docker's word for its state, or creating"),
        sa.Column(
            "version",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="grows with every write of its state",
        ),
        sa.Column("image_id", sa.Text(), nullable=False, comment="image content"),
        sa.Column("image", sa.Text(), nullable=False, comment="image as the tenant typed it"),
        sa.Column(
            "spec",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="the create request as decided, in the tenant's words",
        ),
        sa.Column(
            "labels",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="labels of the image and of the request",
        ),
        sa.Column(
            "auto_remove",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="the engine removes it at its end",
        ),
        sa.Column(
            "tty", sa.Boolean(), server_default="false", nullable=False, comment="true = its output is not framed"
        ),
        sa.Column("package", sa.Text(), nullable=False, comment="name of its package"),
        sa.Column("memory", sa.BigInteger(), nullable=False, comment="bytes counted against the quota"),
        sa.Column("nano_cpus", sa.BigInteger(), nullable=False, comment="1e-9 CPUs counted against the quota"),
        sa.Column("exit_code", sa.Integer(), nullable=True, comment="exit status of its last run"),
        sa.Column(
            "health", sa.Text(), server_default="", nullable=False, comment="health check: starting, healthy, unhealthy"
        ),
        sa.Column(
            "inspect",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="as last seen on the engine, in the tenant's words",
        ),
        sa.Column(
            "list_head",
            sa.Text(),
            nullable=True,
            comment="its entry of the container list as JSON, up to the value of Status",
        ),
        sa.Column("list_tail", sa.Text(), nullable=True, comment="the rest of that entry"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was created",
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True, comment="start of its last run"),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True, comment="end of its last run"),
        sa.CheckConstraint("id ~ '^[0-9a-f]{64}$'", name=op.f("ck_containers_id")),
        sa.CheckConstraint(
            "state IN ('creating', 'created', 'running', 'paused', 'restarting', 'exited', 'removing', 'dead')",
            name=op.f("ck_containers_state"),
        ),
        sa.CheckConstraint("memory >= 0 AND nano_cpus >= 0", name=op.f("ck_containers_size")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_containers_account_id")),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_containers_image_id")),
        sa.ForeignKeyConstraint(["network_id"], ["networks.uuid"], name=op.f("fk_containers_network_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_containers_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_containers")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_containers_account_id_name")),
        sa.UniqueConstraint("uuid", name=op.f("uq_containers_uuid")),
        comment="Containers. A removed one has no row; operations remember it.",
    )
    op.create_index(
        op.f("ix_containers_account_id_created_at"), "containers", ["account_id", "created_at"], unique=False
    )
    op.create_index(op.f("ix_containers_image_id"), "containers", ["image_id"], unique=False)
    op.create_index(op.f("ix_containers_network_id"), "containers", ["network_id"], unique=False)
    op.create_index(op.f("ix_containers_node_id"), "containers", ["node_id"], unique=False)
    op.create_table(
        "image_names",
        sa.Column("account_id", sa.UUID(), nullable=False, comment="account"),
        sa.Column("repository", sa.Text(), nullable=False, comment="host and path: docker.io/library/busybox"),
        sa.Column("reference", sa.Text(), nullable=False, comment="tag, or sha256:<digest> of the manifest"),
        sa.Column("image_id", sa.Text(), nullable=False, comment="image that the name means in this account"),
        sa.Column(
            "set_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when the name was given to this image",
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "image_id"],
            ["account_images.account_id", "account_images.image_id"],
            name=op.f("fk_image_names_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "repository", "reference", name=op.f("pk_image_names")),
        comment="Names of images, per account: the same name may mean different images in two accounts.",
    )
    op.create_index(op.f("ix_image_names_account_id_image_id"), "image_names", ["account_id", "image_id"], unique=False)
    op.create_table(
        "container_ports",
        sa.Column("node_id", sa.UUID(), nullable=False, comment="node"),
        sa.Column("protocol", sa.Text(), nullable=False, comment="tcp, udp or sctp"),
        sa.Column("host_port", sa.Integer(), nullable=False, comment="port at the node's public address"),
        sa.Column("container_id", sa.Text(), nullable=False, comment="who has it"),
        sa.Column("container_port", sa.Integer(), nullable=False, comment="port in the container"),
        sa.CheckConstraint("protocol IN ('tcp', 'udp', 'sctp')", name=op.f("ck_container_ports_protocol")),
        sa.CheckConstraint(
            "host_port BETWEEN 1 AND 65535 AND container_port BETWEEN 1 AND 65535",
            name=op.f("ck_container_ports_ports"),
        ),
        sa.ForeignKeyConstraint(
            ["container_id"], ["containers.id"], name=op.f("fk_container_ports_container_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_container_ports_node_id")),
        sa.PrimaryKeyConstraint("node_id", "protocol", "host_port", name=op.f("pk_container_ports")),
        comment="Published ports of containers that run; a port of a node has one owner.",
    )
    op.create_index(op.f("ix_container_ports_container_id"), "container_ports", ["container_id"], unique=False)
    op.create_table(
        "container_volumes",
        sa.Column("container_id", sa.Text(), nullable=False, comment="container"),
        sa.Column("target", sa.Text(), nullable=False, comment="path in the container"),
        sa.Column("volume_id", sa.UUID(), nullable=False, comment="volume that is mounted there"),
        sa.ForeignKeyConstraint(
            ["container_id"], ["containers.id"], name=op.f("fk_container_volumes_container_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["volume_id"], ["volumes.id"], name=op.f("fk_container_volumes_volume_id")),
        sa.PrimaryKeyConstraint("container_id", "target", name=op.f("pk_container_volumes")),
        comment="Which container mounts which volume.",
    )
    op.create_index(op.f("ix_container_volumes_volume_id"), "container_volumes", ["volume_id"], unique=False)
    op.create_table(
        "execs",
        sa.Column("id", sa.Text(), nullable=False, comment="64 hex digits that the tenant sees"),
        sa.Column("container_id", sa.Text(), nullable=False, comment="container"),
        sa.Column("engine_exec_id", sa.Text(), nullable=False, comment="the engine's id of it"),
        sa.Column("detach_keys", sa.Text(), server_default="", nullable=False, comment="keys that detach from it"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was made",
        ),
        sa.ForeignKeyConstraint(
            ["container_id"], ["containers.id"], name=op.f("fk_execs_container_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_execs")),
        comment="Commands started in running containers (docker exec).",
    )
    op.create_index(op.f("ix_execs_container_id"), "execs", ["container_id"], unique=False)
    _seed_packages()


def downgrade() -> None:
    op.drop_index(op.f("ix_execs_container_id"), table_name="execs")
    op.drop_table("execs")
    op.drop_index(op.f("ix_container_volumes_volume_id"), table_name="container_volumes")
    op.drop_table("container_volumes")
    op.drop_index(op.f("ix_container_ports_container_id"), table_name="container_ports")
    op.drop_table("container_ports")
    op.drop_index(op.f("ix_image_names_account_id_image_id"), table_name="image_names")
    op.drop_table("image_names")
    op.drop_index(op.f("ix_containers_node_id"), table_name="containers")
    op.drop_index(op.f("ix_containers_network_id"), table_name="containers")
    op.drop_index(op.f("ix_containers_image_id"), table_name="containers")
    op.drop_index(op.f("ix_containers_account_id_created_at"), table_name="containers")
    op.drop_table("containers")
    op.drop_table("volumes")
    op.drop_index(op.f("ix_operations_finished_at"), table_name="operations")
    op.drop_index(op.f("ix_operations_target"), table_name="operations")
    op.drop_index("ix_operations_pending", table_name="operations", postgresql_where=sa.text("state = 'pending'"))
    op.drop_index(op.f("ix_operations_account_id_created_at"), table_name="operations")
    op.drop_table("operations")
    op.drop_index(op.f("ix_node_images_image_id"), table_name="node_images")
    op.drop_table("node_images")
    op.drop_table("networks")
    op.drop_index(op.f("ix_events_time_nano"), table_name="events")
    op.drop_index(op.f("ix_events_account_id_time_nano"), table_name="events")
    op.drop_index(op.f("ix_events_account_id_id"), table_name="events")
    op.drop_table("events")
    op.drop_index(op.f("ix_account_keys_fingerprint"), table_name="account_keys")
    op.drop_table("account_keys")
    op.drop_index(op.f("ix_account_images_image_id"), table_name="account_images")
    op.drop_table("account_images")
    op.drop_table("revoked_certificates")
    op.drop_table("processes")
    op.drop_table("packages")
    op.drop_table("nodes")
    op.drop_table("images")
    op.drop_table("accounts")


def _seed_packages() -> None:
    mib = 1 << 20
    packages = sa.table("packages", *(sa.column(c) for c in ("name", "memory", "swap", "nano_cpus", "disk", "pids")))
    op.bulk_insert(
        packages,
        [
            {
                "name": f"t4-standard-{name}",
                "memory": memory * mib,
                "swap": 4 * memory * mib,
                "nano_cpus": int(cpus * 10**9),
                "disk": 25 * memory * mib,
                "pids": min(512 + memory // 2, 32768),
            }
            for name, memory, cpus in LADDER
        ],
    )
