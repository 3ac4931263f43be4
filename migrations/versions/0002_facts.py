"""facts of containers, volumes, accounts and events as columns, and an index for every list

Rows that are there get their facts from what was last seen of them. The generated columns make PostgreSQL write
`accounts` and `events` anew: for as long as that takes the service waits.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_QUOTA_PERCENT = (
    "least(greatest("
    "CASE WHEN max_containers > 0 THEN used_containers * 100.0 / max_containers ELSE 100 END, "
    "CASE WHEN max_memory > 0 THEN used_memory * 100.0 / max_memory ELSE 100 END, "
    "CASE WHEN max_nano_cpus > 0 THEN used_nano_cpus * 100.0 / max_nano_cpus ELSE 100 END), 32767)"
)

_SEEN = """
    UPDATE containers SET
        command = inspect ->> 'Path' || coalesce((
            SELECT string_agg(' ' || CASE WHEN arg LIKE '% %' THEN '''' || arg || '''' ELSE arg END, '' ORDER BY place)
            FROM jsonb_array_elements_text(inspect -> 'Args') WITH ORDINALITY AS args (arg, place)), ''),
        hostname = coalesce(inspect #>> '{Config,Hostname}', ''),
        restart_policy = coalesce(nullif(inspect #>> '{HostConfig,RestartPolicy,Name}', ''), 'no'),
        restart_count = coalesce((inspect ->> 'RestartCount')::int, 0),
        oom_killed = coalesce((inspect #>> '{State,OOMKilled}')::boolean, false),
        error = coalesce(inspect #>> '{State,Error}', '')
    WHERE inspect IS NOT NULL
"""

_ADDRESSES = """
    UPDATE container_endpoints e SET
        address = nullif(c.inspect #>> ARRAY['NetworkSettings', 'Networks', n.name, 'IPAddress'], '')::inet,
        mac_address = coalesce(c.inspect #>> ARRAY['NetworkSettings', 'Networks', n.name, 'MacAddress'], '')
    FROM containers c, networks n WHERE c.id = e.container_id AND n.uuid = e.network_uuid AND c.inspect IS NOT NULL
"""

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

_COUNTED = """
    UPDATE volumes v SET mounts = m.mounts, unused_since = NULL
    FROM (SELECT volume_id, count(*) AS mounts FROM container_volumes GROUP BY volume_id) m WHERE m.volume_id = v.id
"""

_CHECKS = {
    "containers": {
        "health": "health IN ('', 'none', 'starting', 'healthy', 'unhealthy')",
        "restart_policy": "restart_policy IN ('no', 'always', 'unless-stopped', 'on-failure')",
        "restart_count": "restart_count >= 0",
        "started": "state NOT IN ('running', 'paused', 'restarting', 'exited') OR started_at IS NOT NULL",
        "exited": "state <> 'exited' OR exit_code IS NOT NULL",
        "creating": "state <> 'creating' OR started_at IS NULL AND inspect IS NULL",
        "on_engine": "state IN ('creating', 'removing', 'dead') OR engine_id <> '' AND inspect IS NOT NULL",
        "list_entry": "(list_head IS NULL) = (list_tail IS NULL)",
    },
    "events": {
        "type": "type IN ('builder', 'config', 'container', 'daemon', 'image', 'network', 'node', 'plugin', 'secret', "
        "'service', 'volume')",
    },
    "operations": {
        "kind": "kind IN ('create', 'start', 'stop', 'restart', 'kill', 'rename', 'pause', 'unpause', 'update', "
        "'commit', 'remove', 'volume-create', 'volume-remove', 'network', 'network remove', 'connect', "
        "'disconnect', 'pull', 'load', 'import', 'build', 'push')",
    },
    "volumes": {
        "mounts": "mounts >= 0 AND (mounts = 0) = (unused_since IS NOT NULL)",
        "mounted": "mounts = 0 OR state = 'ready' AND node_id IS NOT NULL",
    },
}


def upgrade() -> None:
    _add_columns()
    op.execute(_SEEN)
    op.execute(_ADDRESSES)
    op.execute(_COUNTED)
    op.execute(_COUNT_MOUNTS)
    for table, checks in _CHECKS.items():
        for name, condition in checks.items():
            op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)
    op.create_foreign_key(
        op.f("fk_containers_package"), "containers", "packages", ["package"], ["name"], onupdate="CASCADE"
    )
    _change_indexes()


def _add_columns() -> None:
    op.add_column(
        "accounts",
        sa.Column(
            "quota_percent",
            sa.SmallInteger(),
            sa.Computed(_QUOTA_PERCENT, persisted=True),
            comment="how much of the quota that is nearest its end is used, in percent; over 100 after a quota was cut",
        ),
    )
    op.alter_column("containers", "package", comment="its package", existing_comment="name of its package")
    facts = {
        "command": "command line, as docker ps shows it",
        "hostname": "its host name for itself",
        "error": "why its last start failed",
    }
    for name, comment in facts.items():
        column = sa.Column(name, sa.Text(), server_default="", nullable=False, comment=comment)
        op.add_column("containers", column)
    op.add_column(
        "containers",
        sa.Column(
            "restart_policy", sa.Text(), server_default="no", nullable=False, comment="when the engine restarts it"
        ),
    )
    op.add_column(
        "containers",
        sa.Column(
            "restart_count",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="restarts by that policy so far",
        ),
    )
    op.add_column(
        "containers",
        sa.Column(
            "oom_killed",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="its last run ran out of memory",
        ),
    )
    op.add_column(
        "volumes",
        sa.Column(
            "mounts", sa.Integer(), server_default="0", nullable=False, comment="mounts by containers; a trigger counts"
        ),
    )
    op.add_column(
        "volumes",
        sa.Column(
            "unused_since",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            comment="last unmount; null = in use",
        ),
    )
    op.add_column(
        "container_endpoints",
        sa.Column(
            "address", postgresql.INET(), comment="address that it has there, as last seen; null = it does not run"
        ),
    )
    op.add_column(
        "container_endpoints",
        sa.Column("mac_address", sa.Text(), server_default="", nullable=False, comment="MAC address that it has there"),
    )
    op.add_column(
        "events",
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            sa.Computed("to_timestamp(time_nano / 1000000000.0)", persisted=True),
            comment="the same moment as a time",
        ),
    )


def _change_indexes() -> None:
    op.create_index(op.f("ix_accounts_quota_percent"), "accounts", ["quota_percent"])
    op.drop_index(op.f("ix_containers_node_id"), table_name="containers")
    op.create_index(
        op.f("ix_containers_node_id"), "containers", ["node_id"], postgresql_include=["memory", "nano_cpus"]
    )
    op.create_index(op.f("ix_containers_package"), "containers", ["package"])
    op.create_index(op.f("ix_containers_name"), "containers", ["name"])
    op.create_index(op.f("ix_containers_state"), "containers", ["state"])
    op.create_index(op.f("ix_container_endpoints_address"), "container_endpoints", ["address"])
    op.create_index(op.f("ix_volumes_engine_name"), "volumes", ["engine_name"])
    op.create_index(op.f("ix_volumes_account_id"), "volumes", ["account_id"])
    op.create_index("ix_containers_id_prefix", "containers", ["id"], postgresql_ops={"id": "text_pattern_ops"})
    op.create_index(
        "ix_containers_restarts", "containers", ["restart_count"], postgresql_where=sa.text("restart_count > 0")
    )
    op.create_index("ix_volumes_unused", "volumes", ["unused_since"], postgresql_where=sa.text("mounts = 0"))
    op.create_index(op.f("ix_execs_created_at"), "execs", ["created_at"])
    op.create_index(op.f("ix_operations_created_at"), "operations", ["created_at"])
    op.create_index(op.f("ix_operations_node_id"), "operations", ["node_id"])
    op.drop_index(op.f("ix_events_time_nano"), table_name="events")
    op.create_index(op.f("ix_events_at"), "events", ["at"])
    op.create_index(op.f("ix_events_actor_id"), "events", ["actor_id"])
    op.create_index(op.f("ix_audit_account_at"), "audit", ["account", "at"])
    op.create_index(op.f("ix_audit_target"), "audit", ["target"])
    op.create_index(op.f("ix_images_size"), "images", ["size"], postgresql_include=["id", "created_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_images_size"), table_name="images")
    op.drop_index(op.f("ix_audit_target"), table_name="audit")
    op.drop_index(op.f("ix_audit_account_at"), table_name="audit")
    op.drop_index(op.f("ix_events_actor_id"), table_name="events")
    op.create_index(op.f("ix_events_time_nano"), "events", ["time_nano"])
    op.drop_index(op.f("ix_operations_node_id"), table_name="operations")
    op.drop_index(op.f("ix_operations_created_at"), table_name="operations")
    op.drop_index(op.f("ix_execs_created_at"), table_name="execs")
    op.drop_index(op.f("ix_container_endpoints_address"), table_name="container_endpoints")
    op.drop_index(op.f("ix_volumes_account_id"), table_name="volumes")
    op.drop_index(op.f("ix_volumes_engine_name"), table_name="volumes")
    op.drop_index(op.f("ix_containers_state"), table_name="containers")
    op.drop_index(op.f("ix_containers_name"), table_name="containers")
    op.drop_index("ix_containers_id_prefix", table_name="containers")
    op.drop_index(op.f("ix_containers_package"), table_name="containers")
    op.drop_index(op.f("ix_containers_node_id"), table_name="containers")
    op.create_index(op.f("ix_containers_node_id"), "containers", ["node_id"])
    op.drop_constraint(op.f("fk_containers_package"), "containers", type_="foreignkey")
    op.execute("DROP TRIGGER mounted ON container_volumes; DROP TRIGGER unmounted ON container_volumes")
    op.execute("DROP FUNCTION count_mounts()")
    for table, checks in _CHECKS.items():
        for name in checks:
            op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    op.drop_column("events", "at")
    op.drop_column("container_endpoints", "mac_address")
    op.drop_column("container_endpoints", "address")
    op.drop_column("volumes", "unused_since")
    op.drop_column("volumes", "mounts")
    for name in ("oom_killed", "restart_count", "restart_policy", "error", "hostname", "command"):
        op.drop_column("containers", name)
    op.alter_column("containers", "package", comment="name of its package", existing_comment="its package")
    op.drop_column("accounts", "quota_percent")
