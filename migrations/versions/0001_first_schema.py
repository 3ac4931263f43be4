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


#: What is recorded stays as it was recorded; deleting is for the retention of history alone.
_NO_CHANGE_OF_AUDIT = """
    CREATE FUNCTION refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'audit rows are not changed'; END $$;
    CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit();
    COMMENT ON FUNCTION refuse_change_of_audit() IS 'makes the table audit append-only';
"""

#: What the service's guarded statements call.
_NOTHING_WRITTEN = """
    CREATE FUNCTION nothing_written(what text) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION USING MESSAGE = what, ERRCODE = 'SD001'; END $$;
    COMMENT ON FUNCTION nothing_written(text) IS 'undoes a transaction in which a statement had to write a row';
"""


def upgrade() -> None:  # noqa: PLR0915  (a statement a table)
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
        sa.Column(
            "history",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="what docker history tells, without names; null = not asked for yet",
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
        sa.Column(
            "cordon_reason",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="the operator's word on why; may be empty",
        ),
        sa.Column("cpus", sa.Integer(), nullable=False, comment="CPUs of the machine"),
        sa.Column("memory", sa.BigInteger(), nullable=False, comment="bytes of memory of the machine"),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True, comment="last answer of its engine"),
        sa.Column(
            "event_nano",
            sa.BigInteger(),
            nullable=True,
            comment="time of its engine's last event that was read; null = none yet",
        ),
        sa.Column("lease_process_id", sa.UUID(), nullable=True, comment="observer that follows it; outlives its row"),
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
        sa.CheckConstraint("cordoned OR cordon_reason = ''", name=op.f("ck_nodes_cordon_reason")),
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
        sa.Column("type", sa.Text(), nullable=False, comment="container, image, network, volume or builder"),
        sa.Column("action", sa.Text(), nullable=False, comment="Docker's word: start, die, destroy ..."),
        sa.Column("actor_id", sa.Text(), nullable=False, comment="the object's id for the tenant; outlives its row"),
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
        "told",
        sa.Column("node_id", sa.UUID(), nullable=False, comment="node that it runs on"),
        sa.Column(
            "container_id", sa.Text(), nullable=False, comment="container as the tenant knows it; its row may be gone"
        ),
        sa.Column("account_id", sa.UUID(), nullable=False, comment="who was told"),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="state that follows from the last event: created, running ..."
        ),
        sa.Column("time_nano", sa.BigInteger(), nullable=False, comment="when that was, in nanoseconds since 1970"),
        sa.Column(
            "started_nano", sa.BigInteger(), nullable=False, comment="when the last start told of was; 0 = never"
        ),
        sa.Column(
            "attributes",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="name, image and labels, for events of one that is gone",
        ),
        sa.CheckConstraint("state IN ('created', 'running', 'paused', 'exited')", name=op.f("ck_told_state")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_told_account_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_told_node_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("node_id", "container_id", name=op.f("pk_told")),
        comment="What was last told of each container. "
        "After a gap in an engine's events the missing ones follow from it.",
    )
    op.create_index(op.f("ix_told_account_id"), "told", ["account_id"], unique=False)
    op.create_table(
        "networks",
        sa.Column("uuid", sa.UUID(), nullable=False, comment="network uuid; the engine's name is n-<uuid>"),
        sa.Column("id", sa.Text(), nullable=False, comment="64 hex digits that the tenant sees"),
        sa.Column("account_id", sa.UUID(), nullable=False, comment="owner"),
        sa.Column(
            "name", sa.Text(), nullable=False, comment="the tenant's name; bridge is the account's default network"
        ),
        sa.Column(
            "subnet",
            postgresql.CIDR(),
            nullable=False,
            comment="its addresses, cut from the data center's pool or chosen",
        ),
        sa.Column("gateway", postgresql.INET(), nullable=False, comment="address of the gateway"),
        sa.Column(
            "ready", sa.Boolean(), server_default="false", nullable=False, comment="true once the engine has made it"
        ),
        sa.Column(
            "removing",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="true = nothing may join it any more",
        ),
        sa.Column(
            "chosen", sa.Boolean(), server_default="false", nullable=False, comment="true = the tenant chose the subnet"
        ),
        sa.Column("internal", sa.Boolean(), server_default="false", nullable=False, comment="true = no way out of it"),
        sa.Column(
            "attachable", sa.Boolean(), server_default="false", nullable=False, comment="as asked for; shown, no more"
        ),
        sa.Column(
            "ip_range",
            postgresql.CIDR(),
            nullable=True,
            comment="part of the subnet that the engine gives addresses from; null = all of it",
        ),
        sa.Column(
            "aux_addresses",
            postgresql.JSONB(),
            server_default="{}",
            nullable=False,
            comment="names -> addresses that none gets",
        ),
        sa.Column(
            "options", postgresql.JSONB(), server_default="{}", nullable=False, comment="options of the bridge driver"
        ),
        sa.Column("labels", postgresql.JSONB(), server_default="{}", nullable=False, comment="labels"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was made",
        ),
        sa.CheckConstraint("id ~ '^[0-9a-f]{64}$'", name=op.f("ck_networks_id")),
        sa.CheckConstraint(
            "gateway <<= subnet AND (ip_range IS NULL OR ip_range <<= subnet)", name=op.f("ck_networks_addresses")
        ),
        postgresql.ExcludeConstraint((sa.text("subnet inet_ops"), "&&"), using="gist", name="ex_networks_subnet"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_networks_account_id")),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_networks")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_networks_account_id_name")),
        sa.UniqueConstraint("id", name=op.f("uq_networks_id")),
        comment="Networks. Each belongs to one account.",
    )
    op.create_table(
        "node_images",
        sa.Column("node_id", sa.UUID(), nullable=False, comment="node"),
        sa.Column("image_id", sa.Text(), nullable=False, comment="image that it holds"),
        sa.Column(
            "dropping",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="true = it is just leaving the node",
        ),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_node_images_image_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_node_images_node_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("node_id", "image_id", name=op.f("pk_node_images")),
        comment="Which node holds which image content.",
    )
    op.create_index(op.f("ix_node_images_image_id"), "node_images", ["image_id"], unique=False)
    op.create_table(
        "operations",
        sa.Column("id", sa.UUID(), nullable=False, comment="operation id; engine objects carry it as label sdc.op"),
        sa.Column("kind", sa.Text(), nullable=False, comment="what is done: create, start, pull, build, connect ..."),
        sa.Column("account_id", sa.UUID(), nullable=False, comment="for whom"),
        sa.Column("target", sa.Text(), nullable=False, comment="id of what it changes; outlives its row"),
        sa.Column("node_id", sa.UUID(), nullable=False, comment="on which node"),
        sa.Column("process_id", sa.UUID(), nullable=False, comment="who carries it out; outlives its row"),
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
    op.create_index(
        "uq_operations_pushing",
        "operations",
        ["node_id", "target"],
        unique=True,
        postgresql_where=sa.text("kind = 'push' AND state = 'pending'"),
    )
    op.create_index(op.f("ix_operations_target"), "operations", ["target"], unique=False)
    op.create_index(op.f("ix_operations_finished_at"), "operations", ["finished_at"], unique=False)
    op.create_table(
        "volumes",
        sa.Column("id", sa.UUID(), nullable=False, comment="volume uuid"),
        sa.Column("account_id", sa.UUID(), nullable=False, comment="owner"),
        sa.Column("name", sa.Text(), nullable=False, comment="the tenant's name, unique in the account"),
        sa.Column("node_id", sa.UUID(), nullable=True, comment="node that has its data; null = never used"),
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
            "options",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="the driver's options, as given: size",
        ),
        sa.Column("state", sa.Text(), server_default="ready", nullable=False, comment="creating, ready or removing"),
        sa.Column(
            "first_container",
            sa.Text(),
            nullable=True,
            comment="container it was made or placed for; null = others use it, or nobody did",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was made",
        ),
        sa.CheckConstraint("state IN ('creating', 'ready', 'removing')", name=op.f("ck_volumes_state")),
        sa.CheckConstraint("node_id IS NOT NULL OR state = 'ready' AND NOT anonymous", name=op.f("ck_volumes_placed")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_volumes_account_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_volumes_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_volumes")),
        sa.UniqueConstraint("node_id", "engine_name", name=op.f("uq_volumes_node_id_engine_name")),
        comment="Volumes. Each belongs to one account and lives on one node from its first use on.",
    )
    op.create_index(
        "uq_volumes_account_id_name",
        "volumes",
        ["account_id", "name"],
        unique=True,
        postgresql_where=sa.text("state <> 'removing'"),
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
    op.create_index(op.f("ix_containers_node_id"), "containers", ["node_id"], unique=False)
    op.create_index(op.f("ix_containers_node_id_engine_id"), "containers", ["node_id", "engine_id"], unique=False)
    op.create_table(
        "container_endpoints",
        sa.Column("container_id", sa.Text(), nullable=False, comment="container"),
        sa.Column("network_uuid", sa.UUID(), nullable=False, comment="network"),
        sa.Column(
            "ipv4",
            postgresql.INET(),
            nullable=True,
            comment="address that it is to have there; null = the engine chooses at each start",
        ),
        sa.Column(
            "reserved",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="true = nobody else gets that address",
        ),
        sa.Column(
            "mac",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="MAC address asked for; empty = the engine's choice",
        ),
        sa.Column(
            "aliases",
            postgresql.JSONB(),
            server_default="[]",
            nullable=False,
            comment="further names in the network's DNS",
        ),
        sa.Column(
            "links",
            postgresql.JSONB(),
            server_default="[]",
            nullable=False,
            comment="[container id, name] that it alone resolves",
        ),
        sa.CheckConstraint("NOT reserved OR ipv4 IS NOT NULL", name=op.f("ck_container_endpoints_reserved")),
        sa.ForeignKeyConstraint(
            ["container_id"],
            ["containers.id"],
            name=op.f("fk_container_endpoints_container_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["network_uuid"],
            ["networks.uuid"],
            name=op.f("fk_container_endpoints_network_uuid"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("container_id", "network_uuid", name=op.f("pk_container_endpoints")),
        comment="Which container is on which network.",
    )
    op.create_index(op.f("ix_container_endpoints_network_uuid"), "container_endpoints", ["network_uuid"], unique=False)
    op.create_index(
        "uq_container_endpoints_reserved",
        "container_endpoints",
        ["network_uuid", "ipv4"],
        unique=True,
        postgresql_where=sa.text("reserved"),
    )
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
        "account_layers",
        sa.Column("account_id", sa.UUID(), nullable=False, comment="account"),
        sa.Column(
            "diff_id", sa.Text(), nullable=False, comment="sha256:<64 hex>, the digest of the layer's plain form"
        ),
        sa.CheckConstraint("diff_id ~ '^sha256:[0-9a-f]{64}$'", name=op.f("ck_account_layers_diff_id")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_account_layers_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "diff_id", name=op.f("pk_account_layers")),
        comment="Layers whose content an account has had: it brought them, or a registry gave them to it.",
    )
    op.create_table(
        "build_cache",
        sa.Column("account_id", sa.UUID(), nullable=False, comment="who built it"),
        sa.Column("node_id", sa.UUID(), nullable=False, comment="node that holds it"),
        sa.Column(
            "image_id",
            sa.Text(),
            nullable=False,
            comment="an image, or the last step of a stage, which nobody has named",
        ),
        sa.Column(
            "used_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="its last build",
        ),
        sa.CheckConstraint("image_id ~ '^sha256:[0-9a-f]{64}$'", name=op.f("ck_build_cache_image_id")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_build_cache_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_build_cache_node_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "node_id", "image_id", name=op.f("pk_build_cache")),
        comment="Images whose steps an account's builds take instead of running them again.",
    )
    op.create_index(op.f("ix_build_cache_account_id_used_at"), "build_cache", ["account_id", "used_at"], unique=False)
    op.create_index(op.f("ix_build_cache_node_id"), "build_cache", ["node_id"], unique=False)
    op.create_index(op.f("ix_build_cache_image_id"), "build_cache", ["image_id"], unique=False)
    op.create_table(
        "layer_blobs",
        sa.Column("digest", sa.Text(), nullable=False, comment="sha256:<64 hex> of the blob as registries have it"),
        sa.Column("diff_id", sa.Text(), nullable=False, comment="digest of its plain form"),
        sa.CheckConstraint(
            "digest ~ '^sha256:[0-9a-f]{64}$' AND diff_id ~ '^sha256:[0-9a-f]{64}$'",
            name=op.f("ck_layer_blobs_digests"),
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_layer_blobs")),
        comment="What compressed layers are in their plain form. A fact of arithmetic, and nobody's own.",
    )
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
        sa.Column(
            "named",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="true = by its name: rm -v leaves it",
        ),
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
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="in the order of recording"),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was done; of a request, when it was answered",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="operator, api or cloudapi: what it was done with"),
        sa.Column(
            "actor",
            sa.Text(),
            nullable=False,
            comment="user@host of an operator, login of an account; empty = a stranger",
        ),
        sa.Column(
            "account_id",
            sa.UUID(),
            nullable=True,
            comment="account that did it or that it is about; outlives the account",
        ),
        sa.Column("account", sa.Text(), server_default="", nullable=False, comment="login of that account at the time"),
        sa.Column(
            "fingerprint",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="key of the connection, as SHA256:base64",
        ),
        sa.Column(
            "verb", sa.Text(), nullable=False, comment="noun and verb: account.quota, key.add, containers.create ..."
        ),
        sa.Column(
            "target_type", sa.Text(), nullable=False, comment="account, key, node, package, container, image ..."
        ),
        sa.Column("target", sa.Text(), nullable=False, comment="its id, or its name as it was given"),
        sa.Column(
            "detail",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default="{}",
            nullable=False,
            comment="parameters that are no secrets",
        ),
        sa.Column("result", sa.Text(), nullable=False, comment="done, refused or failed"),
        sa.Column("status", sa.Integer(), nullable=True, comment="HTTP status of the answer; null = not a request"),
        sa.Column(
            "reason",
            sa.Text(),
            server_default="",
            nullable=False,
            comment="kind of refusal and why; empty where done",
        ),
        sa.Column(
            "milliseconds", sa.Integer(), nullable=True, comment="how long the request took; null = not a request"
        ),
        sa.Column(
            "left_out",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="similar ones that were only counted",
        ),
        sa.Column("request_id", sa.Text(), server_default="", nullable=False, comment="X-Request-Id of the answer"),
        sa.Column("client", postgresql.INET(), nullable=True, comment="address of the client, where known"),
        sa.CheckConstraint("source IN ('operator', 'api', 'cloudapi')", name=op.f("ck_audit_source")),
        sa.CheckConstraint("result IN ('done', 'refused', 'failed')", name=op.f("ck_audit_result")),
        sa.CheckConstraint("(result = 'done') = (reason = '')", name=op.f("ck_audit_reason")),
        sa.CheckConstraint("left_out >= 0", name=op.f("ck_audit_left_out")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        comment="Who did what, and who was refused what. Rows are only added, and forgotten when they are old.",
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"], unique=False)
    op.create_index(op.f("ix_audit_account_id_at"), "audit", ["account_id", "at"], unique=False)
    op.create_index("ix_audit_refused", "audit", ["at"], unique=False, postgresql_where=sa.text("result <> 'done'"))
    op.execute(_NO_CHANGE_OF_AUDIT)
    op.execute(_NOTHING_WRITTEN)
    _seed_packages()


def downgrade() -> None:
    op.execute("DROP FUNCTION nothing_written(text)")
    op.drop_table("audit")
    op.execute("DROP FUNCTION refuse_change_of_audit()")
    op.drop_index(op.f("ix_execs_container_id"), table_name="execs")
    op.drop_table("execs")
    op.drop_index(op.f("ix_container_volumes_volume_id"), table_name="container_volumes")
    op.drop_table("container_volumes")
    op.drop_index(op.f("ix_container_ports_container_id"), table_name="container_ports")
    op.drop_table("container_ports")
    op.drop_table("layer_blobs")
    op.drop_table("build_cache")
    op.drop_table("account_layers")
    op.drop_index(op.f("ix_image_names_account_id_image_id"), table_name="image_names")
    op.drop_table("image_names")
    op.drop_index("uq_container_endpoints_reserved", table_name="container_endpoints")
    op.drop_index(op.f("ix_container_endpoints_network_uuid"), table_name="container_endpoints")
    op.drop_table("container_endpoints")
    op.drop_index(op.f("ix_containers_node_id_engine_id"), table_name="containers")
    op.drop_index(op.f("ix_containers_node_id"), table_name="containers")
    op.drop_index(op.f("ix_containers_image_id"), table_name="containers")
    op.drop_index(op.f("ix_containers_account_id_created_at"), table_name="containers")
    op.drop_table("containers")
    op.drop_index("uq_volumes_account_id_name", table_name="volumes", postgresql_where=sa.text("state <> 'removing'"))
    op.drop_table("volumes")
    op.drop_index(op.f("ix_operations_finished_at"), table_name="operations")
    op.drop_index(op.f("ix_operations_target"), table_name="operations")
    op.drop_index("uq_operations_pushing", table_name="operations")
    op.drop_index("ix_operations_pending", table_name="operations", postgresql_where=sa.text("state = 'pending'"))
    op.drop_index(op.f("ix_operations_account_id_created_at"), table_name="operations")
    op.drop_table("operations")
    op.drop_index(op.f("ix_node_images_image_id"), table_name="node_images")
    op.drop_table("node_images")
    op.drop_table("networks")
    op.drop_index(op.f("ix_told_account_id"), table_name="told")
    op.drop_table("told")
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
