"""views that answer what a DBA asks"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: As `app/store/views.py` had them then.
_VIEWS = {
    "v_containers": """
    CREATE VIEW v_containers (account, name, id, node, state, health, image, image_id, command, package, memory, cpus,
        addresses, ports, restart_policy, restart_count, exit_code, oom_killed, error, created_at, started_at,
        finished_at) AS
    SELECT a.login, c.name, c.id, n.name, c.state, c.health, c.image, c.image_id, c.command, c.package, c.memory,
           round(c.nano_cpus / 1e9, 3),
           (SELECT string_agg(w.name || ' ' || coalesce(host(e.address), host(e.ipv4), '-'), ', ' ORDER BY w.name)
            FROM container_endpoints e JOIN networks w ON w.uuid = e.network_uuid WHERE e.container_id = c.id),
           (SELECT string_agg(p.host_port || ' -> ' || p.container_port || '/' || p.protocol, ', '
                              ORDER BY p.protocol, p.host_port)
            FROM container_ports p WHERE p.container_id = c.id),
           c.restart_policy, c.restart_count, c.exit_code, c.oom_killed, c.error, c.created_at, c.started_at,
           c.finished_at
    FROM containers c JOIN accounts a ON a.id = c.account_id JOIN nodes n ON n.id = c.node_id;
    COMMENT ON VIEW v_containers IS 'Who owns what, and where does it run? One row for each container.';
    COMMENT ON COLUMN v_containers.account IS 'login of its owner';
    COMMENT ON COLUMN v_containers.name IS 'the tenant''s name for it';
    COMMENT ON COLUMN v_containers.id IS '64 hex digits that the tenant sees; the first 12 are what docker ps shows';
    COMMENT ON COLUMN v_containers.node IS 'node that it runs on';
    COMMENT ON COLUMN v_containers.state IS 'Docker''s word for its state, or creating';
    COMMENT ON COLUMN v_containers.health IS 'health check: starting, healthy, unhealthy; empty = it has none';
    COMMENT ON COLUMN v_containers.image IS 'image as the tenant typed it';
    COMMENT ON COLUMN v_containers.image_id IS 'image content';
    COMMENT ON COLUMN v_containers.command IS 'command line, as docker ps shows it';
    COMMENT ON COLUMN v_containers.package IS 'name of its package';
    COMMENT ON COLUMN v_containers.memory IS 'bytes of memory reserved';
    COMMENT ON COLUMN v_containers.cpus IS 'CPUs reserved';
    COMMENT ON COLUMN v_containers.addresses IS 'its addresses, with the network''s name in front';
    COMMENT ON COLUMN v_containers.ports IS 'published ports: node''s port -> container''s port/protocol';
    COMMENT ON COLUMN v_containers.restart_policy IS 'when the engine restarts it';
    COMMENT ON COLUMN v_containers.restart_count IS 'restarts by that policy so far';
    COMMENT ON COLUMN v_containers.exit_code IS 'exit status of its last run';
    COMMENT ON COLUMN v_containers.oom_killed IS 'its last run ran out of memory';
    COMMENT ON COLUMN v_containers.error IS 'why its last start failed';
    COMMENT ON COLUMN v_containers.created_at IS 'when it was created';
    COMMENT ON COLUMN v_containers.started_at IS 'start of its last run';
    COMMENT ON COLUMN v_containers.finished_at IS 'end of its last run, or of the one before while it runs';
    """,
    "v_changes": """
    CREATE VIEW v_changes (at, source, by, account, what, target, node, outcome, error, fingerprint, client) AS
    SELECT u.at, u.source, u.actor, u.account, u.verb, u.target, NULL::text, u.result, '', u.fingerprint, u.client
    FROM audit u WHERE u.result = 'done'
    UNION ALL
    SELECT o.created_at, 'engine', a.login, a.login, o.kind, o.target, n.name, o.state, o.error, '', NULL::inet
    FROM operations o JOIN accounts a ON a.id = o.account_id JOIN nodes n ON n.id = o.node_id;
    COMMENT ON VIEW v_changes IS
        'What changed, when, and by whom? What was asked for and done, and what engines did for it.';
    COMMENT ON COLUMN v_changes.at IS 'when it was recorded; of an engine''s change, when it was decided';
    COMMENT ON COLUMN v_changes.source IS
        'what it was done with: operator, api or cloudapi; engine = the change of a node that followed';
    COMMENT ON COLUMN v_changes.by IS 'user@host of an operator, login of an account';
    COMMENT ON COLUMN v_changes.account IS 'account whose things changed';
    COMMENT ON COLUMN v_changes.what IS 'noun and verb of the request; the kind of an engine''s change';
    COMMENT ON COLUMN v_changes.target IS 'id or name of what changed';
    COMMENT ON COLUMN v_changes.node IS 'node on which it changed; null = a row of the database only';
    COMMENT ON COLUMN v_changes.outcome IS 'done; of an engine''s change also pending or undone';
    COMMENT ON COLUMN v_changes.error IS 'why it was undone';
    COMMENT ON COLUMN v_changes.fingerprint IS 'key of the connection; empty = none, or an engine''s change';
    COMMENT ON COLUMN v_changes.client IS 'address of the client, where known';
    """,
    "v_nodes": """
    CREATE VIEW v_nodes (node, state, cordoned, containers, memory, memory_reserved, memory_percent, cpus,
        cpus_reserved, cpus_percent, engine_version, seen_at, observer) AS
    SELECT n.name, n.state, n.cordoned, u.containers, n.memory, u.memory, round(100.0 * u.memory / n.memory, 1),
           n.cpus, round(u.nano_cpus / 1e9, 3), round(100.0 * u.nano_cpus / 1e9 / n.cpus, 1), n.engine_version,
           n.seen_at, (SELECT p.host || ' ' || p.pid FROM processes p
                       WHERE p.id = n.lease_process_id AND n.lease_until > now())
    FROM nodes n CROSS JOIN LATERAL (
        SELECT count(*) AS containers, coalesce(sum(c.memory), 0) AS memory, coalesce(sum(c.nano_cpus), 0) AS nano_cpus
        FROM containers c WHERE c.node_id = n.id) u;
    COMMENT ON VIEW v_nodes IS 'Which node is full? What its containers have reserved, beside what the machine has.';
    COMMENT ON COLUMN v_nodes.node IS 'name of the node';
    COMMENT ON COLUMN v_nodes.state IS 'up or down, as last seen by an observer';
    COMMENT ON COLUMN v_nodes.cordoned IS 'true = gets no new containers';
    COMMENT ON COLUMN v_nodes.containers IS 'containers in any state';
    COMMENT ON COLUMN v_nodes.memory IS 'bytes of memory of the machine';
    COMMENT ON COLUMN v_nodes.memory_reserved IS 'bytes reserved by its containers';
    COMMENT ON COLUMN v_nodes.memory_percent IS 'memory reserved, in percent of the machine''s';
    COMMENT ON COLUMN v_nodes.cpus IS 'CPUs of the machine';
    COMMENT ON COLUMN v_nodes.cpus_reserved IS 'CPUs reserved by its containers';
    COMMENT ON COLUMN v_nodes.cpus_percent IS
        'CPUs reserved, in percent of the machine''s; over 100 is usual, CPUs are shared';
    COMMENT ON COLUMN v_nodes.engine_version IS 'version of its Docker Engine';
    COMMENT ON COLUMN v_nodes.seen_at IS 'last answer of its engine';
    COMMENT ON COLUMN v_nodes.observer IS 'host and process id of the observer that follows it; null = nobody does';
    """,
    "v_quotas": """
    CREATE VIEW v_quotas (account, percent, containers, max_containers, memory, max_memory, cpus, max_cpus,
        disabled_at) AS
    SELECT a.login, a.quota_percent, a.used_containers, a.max_containers, a.used_memory, a.max_memory,
           round(a.used_nano_cpus / 1e9, 3), round(a.max_nano_cpus / 1e9, 3), a.disabled_at
    FROM accounts a;
    COMMENT ON VIEW v_quotas IS 'Which quota is near? What each account has used of its limits.';
    COMMENT ON COLUMN v_quotas.account IS 'login';
    COMMENT ON COLUMN v_quotas.percent IS 'how much of the quota that is nearest its end is used';
    COMMENT ON COLUMN v_quotas.containers IS 'containers in any state';
    COMMENT ON COLUMN v_quotas.max_containers IS 'quota of containers';
    COMMENT ON COLUMN v_quotas.memory IS 'bytes of memory reserved';
    COMMENT ON COLUMN v_quotas.max_memory IS 'quota of memory';
    COMMENT ON COLUMN v_quotas.cpus IS 'CPUs reserved';
    COMMENT ON COLUMN v_quotas.max_cpus IS 'quota of CPUs';
    COMMENT ON COLUMN v_quotas.disabled_at IS 'when an operator disabled the account; null = enabled';
    """,
    "v_restarts": """
    CREATE VIEW v_restarts (account, name, id, node, state, restart_count, restart_policy, exit_code, oom_killed,
        error, image, command, started_at, finished_at) AS
    SELECT a.login, c.name, c.id, n.name, c.state, c.restart_count, c.restart_policy, c.exit_code, c.oom_killed,
           c.error, c.image, c.command, c.started_at, c.finished_at
    FROM containers c JOIN accounts a ON a.id = c.account_id JOIN nodes n ON n.id = c.node_id
    WHERE c.restart_count > 0;
    COMMENT ON VIEW v_restarts IS 'Which containers restart? Those that their engine has restarted by their policy.';
    COMMENT ON COLUMN v_restarts.account IS 'login of the owner';
    COMMENT ON COLUMN v_restarts.name IS 'the tenant''s name for the container';
    COMMENT ON COLUMN v_restarts.id IS '64 hex digits that the tenant sees';
    COMMENT ON COLUMN v_restarts.node IS 'node that it runs on';
    COMMENT ON COLUMN v_restarts.state IS 'Docker''s word for its state';
    COMMENT ON COLUMN v_restarts.restart_count IS 'restarts by the policy so far';
    COMMENT ON COLUMN v_restarts.restart_policy IS 'when the engine restarts it';
    COMMENT ON COLUMN v_restarts.exit_code IS 'exit status of its last run';
    COMMENT ON COLUMN v_restarts.oom_killed IS 'its last run ran out of memory';
    COMMENT ON COLUMN v_restarts.error IS 'why its last start failed';
    COMMENT ON COLUMN v_restarts.image IS 'image as the tenant typed it';
    COMMENT ON COLUMN v_restarts.command IS 'command line, as docker ps shows it';
    COMMENT ON COLUMN v_restarts.started_at IS 'start of its last run';
    COMMENT ON COLUMN v_restarts.finished_at IS 'end of the run before, or of the last one';
    """,
    "v_images": """
    CREATE VIEW v_images (id, size, names, accounts, containers, nodes, created_at) AS
    SELECT i.id, i.size,
           (SELECT array_agg(DISTINCT m.repository || ':' || m.reference) FROM account_images o
            JOIN image_names m ON m.account_id = o.account_id AND m.image_id = o.image_id
            WHERE o.image_id = i.id AND m.reference NOT LIKE 'sha256:%'),
           (SELECT count(*) FROM account_images o WHERE o.image_id = i.id),
           (SELECT count(*) FROM containers c WHERE c.image_id = i.id),
           (SELECT count(*) FROM node_images h WHERE h.image_id = i.id),
           i.created_at
    FROM images i;
    COMMENT ON VIEW v_images IS 'Which images are big, which are used? One row for each content, whoever has it.';
    COMMENT ON COLUMN v_images.id IS 'sha256:<64 hex>, the digest of the image''s config';
    COMMENT ON COLUMN v_images.size IS 'bytes of all layers';
    COMMENT ON COLUMN v_images.names IS 'its names in all accounts, without digests';
    COMMENT ON COLUMN v_images.accounts IS 'accounts that have it';
    COMMENT ON COLUMN v_images.containers IS 'containers of it, in any state';
    COMMENT ON COLUMN v_images.nodes IS 'nodes that hold it';
    COMMENT ON COLUMN v_images.created_at IS 'when the image was built, by its own word';
    """,
    "v_volumes": """
    CREATE VIEW v_volumes (account, name, node, anonymous, mounts, unused_since, created_at, id) AS
    SELECT a.login, v.name, n.name, v.anonymous, v.mounts, v.unused_since, v.created_at, v.id
    FROM volumes v JOIN accounts a ON a.id = v.account_id LEFT JOIN nodes n ON n.id = v.node_id;
    COMMENT ON VIEW v_volumes IS 'Which volumes are there, and which does nobody use (mounts = 0)?';
    COMMENT ON COLUMN v_volumes.account IS 'login of the owner';
    COMMENT ON COLUMN v_volumes.name IS 'the tenant''s name';
    COMMENT ON COLUMN v_volumes.node IS 'node that has its data; null = never used';
    COMMENT ON COLUMN v_volumes.anonymous IS 'true = made for one container';
    COMMENT ON COLUMN v_volumes.mounts IS 'mounts by containers in any state; 0 = nobody uses it';
    COMMENT ON COLUMN v_volumes.unused_since IS 'since when nobody uses it; null = in use';
    COMMENT ON COLUMN v_volumes.created_at IS 'when it was made';
    COMMENT ON COLUMN v_volumes.id IS 'volume uuid; the engine''s volume is v-<uuid>, unless it is anonymous';
    """,
    "v_networks": """
    CREATE VIEW v_networks (account, name, id, subnet, gateway, containers, running, chosen, internal, ready,
        created_at, uuid) AS
    SELECT a.login, w.name, w.id, w.subnet, w.gateway,
           (SELECT count(*) FROM container_endpoints e WHERE e.network_uuid = w.uuid),
           (SELECT count(e.address) FROM container_endpoints e WHERE e.network_uuid = w.uuid),
           w.chosen, w.internal, w.ready, w.created_at, w.uuid
    FROM networks w JOIN accounts a ON a.id = w.account_id;
    COMMENT ON VIEW v_networks IS 'Which networks are there, and what are their addresses?';
    COMMENT ON COLUMN v_networks.account IS 'login of the owner';
    COMMENT ON COLUMN v_networks.name IS 'the tenant''s name; bridge is the account''s default network';
    COMMENT ON COLUMN v_networks.id IS '64 hex digits that the tenant sees';
    COMMENT ON COLUMN v_networks.subnet IS 'its addresses';
    COMMENT ON COLUMN v_networks.gateway IS 'address of the gateway';
    COMMENT ON COLUMN v_networks.containers IS 'containers on it, in any state';
    COMMENT ON COLUMN v_networks.running IS 'of them those that have an address';
    COMMENT ON COLUMN v_networks.chosen IS 'true = the tenant chose the subnet';
    COMMENT ON COLUMN v_networks.internal IS 'true = no way out of it';
    COMMENT ON COLUMN v_networks.ready IS 'true once the engine has made it';
    COMMENT ON COLUMN v_networks.created_at IS 'when it was made';
    COMMENT ON COLUMN v_networks.uuid IS 'the engine''s network is n-<uuid>';
    """,
    "v_addresses": """
    CREATE VIEW v_addresses (address, mac_address, account, network, container, container_id, state, node, fixed) AS
    SELECT e.address, e.mac_address, a.login, w.name, c.name, c.id, c.state, n.name, e.ipv4
    FROM container_endpoints e JOIN networks w ON w.uuid = e.network_uuid JOIN containers c ON c.id = e.container_id
    JOIN accounts a ON a.id = c.account_id JOIN nodes n ON n.id = c.node_id;
    COMMENT ON VIEW v_addresses IS 'Who has which address? One row for each container on each of its networks.';
    COMMENT ON COLUMN v_addresses.address IS 'address that it has, as last seen; null = it does not run';
    COMMENT ON COLUMN v_addresses.mac_address IS 'MAC address that it has';
    COMMENT ON COLUMN v_addresses.account IS 'login of the owner';
    COMMENT ON COLUMN v_addresses.network IS 'the tenant''s name of the network';
    COMMENT ON COLUMN v_addresses.container IS 'the tenant''s name of the container';
    COMMENT ON COLUMN v_addresses.container_id IS '64 hex digits that the tenant sees';
    COMMENT ON COLUMN v_addresses.state IS 'Docker''s word for the container''s state';
    COMMENT ON COLUMN v_addresses.node IS 'node that it runs on';
    COMMENT ON COLUMN v_addresses.fixed IS 'address that it is to have; null = the engine chooses at each start';
    """,
    "v_ports": """
    CREATE VIEW v_ports (node, address, protocol, port, account, container, container_id, container_port) AS
    SELECT n.name, n.public_address, p.protocol, p.host_port, a.login, c.name, c.id, p.container_port
    FROM container_ports p JOIN nodes n ON n.id = p.node_id JOIN containers c ON c.id = p.container_id
    JOIN accounts a ON a.id = c.account_id;
    COMMENT ON VIEW v_ports IS 'Who has which published port?';
    COMMENT ON COLUMN v_ports.node IS 'node';
    COMMENT ON COLUMN v_ports.address IS 'public address of the node; empty = the engine''s own';
    COMMENT ON COLUMN v_ports.protocol IS 'tcp, udp or sctp';
    COMMENT ON COLUMN v_ports.port IS 'port at that address';
    COMMENT ON COLUMN v_ports.account IS 'login of the container''s owner';
    COMMENT ON COLUMN v_ports.container IS 'the tenant''s name of the container';
    COMMENT ON COLUMN v_ports.container_id IS '64 hex digits that the tenant sees';
    COMMENT ON COLUMN v_ports.container_port IS 'port in the container';
    """,
    "v_unfinished": """
    CREATE VIEW v_unfinished (since, age, kind, account, target, name, node, process, heartbeat_at, id) AS
    SELECT o.created_at, now() - o.created_at, o.kind, a.login, o.target, c.name, n.name,
           p.kind || ' ' || p.host || ' ' || p.pid, p.heartbeat_at, o.id
    FROM operations o JOIN accounts a ON a.id = o.account_id JOIN nodes n ON n.id = o.node_id
    LEFT JOIN containers c ON c.id = o.target LEFT JOIN processes p ON p.id = o.process_id
    WHERE o.state = 'pending';
    COMMENT ON VIEW v_unfinished IS 'Which operations are unfinished, and who carries them out?';
    COMMENT ON COLUMN v_unfinished.since IS 'when the intent was committed';
    COMMENT ON COLUMN v_unfinished.age IS 'how long ago that is';
    COMMENT ON COLUMN v_unfinished.kind IS 'what is to be done';
    COMMENT ON COLUMN v_unfinished.account IS 'login for whom';
    COMMENT ON COLUMN v_unfinished.target IS 'id of what it changes';
    COMMENT ON COLUMN v_unfinished.name IS 'name of the container that it changes; null = it is none, or has no row';
    COMMENT ON COLUMN v_unfinished.node IS 'on which node';
    COMMENT ON COLUMN v_unfinished.process IS
        'kind, host and process id of who carries it out; null = it died, an observer will take over';
    COMMENT ON COLUMN v_unfinished.heartbeat_at IS 'last sign of life of that process';
    COMMENT ON COLUMN v_unfinished.id IS 'operation id; engine objects carry it as label sdc.op';
    """,
    "v_refused": """
    CREATE VIEW v_refused (at, account, source, by, what, target, result, status, reason, times, fingerprint, client,
        request_id) AS
    SELECT u.at, u.account, u.source, u.actor, u.verb, u.target, u.result, u.status, u.reason, u.left_out + 1,
           u.fingerprint, u.client, u.request_id
    FROM audit u WHERE u.result <> 'done';
    COMMENT ON VIEW v_refused IS 'Which requests were refused or failed, whose, and why?';
    COMMENT ON COLUMN v_refused.at IS 'when';
    COMMENT ON COLUMN v_refused.account IS 'login; empty = a stranger';
    COMMENT ON COLUMN v_refused.source IS 'what it was asked with: operator, api or cloudapi';
    COMMENT ON COLUMN v_refused.by IS 'user@host of an operator, login of an account; empty = a stranger';
    COMMENT ON COLUMN v_refused.what IS 'noun and verb of the request';
    COMMENT ON COLUMN v_refused.target IS 'id or name of what it was about, as it was given';
    COMMENT ON COLUMN v_refused.result IS 'refused or failed';
    COMMENT ON COLUMN v_refused.status IS 'HTTP status of the answer; null = not a request';
    COMMENT ON COLUMN v_refused.reason IS 'kind of the refusal and why';
    COMMENT ON COLUMN v_refused.times IS 'how many such ones the row stands for; what is too frequent is counted only';
    COMMENT ON COLUMN v_refused.fingerprint IS 'key of the connection; empty = none';
    COMMENT ON COLUMN v_refused.client IS 'address of the client, where known';
    COMMENT ON COLUMN v_refused.request_id IS 'X-Request-Id of the answer, which is in the log too';
    """,
    "v_events": """
    CREATE VIEW v_events (at, account, node, type, action, name, image, exit_code, actor_id, id) AS
    SELECT e.at, a.login, n.name, e.type, e.action, e.attributes ->> 'name', e.attributes ->> 'image',
           e.attributes ->> 'exitCode', e.actor_id, e.id
    FROM events e JOIN accounts a ON a.id = e.account_id LEFT JOIN nodes n ON n.id = e.node_id;
    COMMENT ON VIEW v_events IS 'What happened to what? The events of docker events, with a readable time.';
    COMMENT ON COLUMN v_events.at IS 'when, by the clock of who told it';
    COMMENT ON COLUMN v_events.account IS 'login of who may see it';
    COMMENT ON COLUMN v_events.node IS 'node whose engine told it; null = the service did';
    COMMENT ON COLUMN v_events.type IS 'container, image, network, volume or builder';
    COMMENT ON COLUMN v_events.action IS 'Docker''s word: start, die, destroy ...';
    COMMENT ON COLUMN v_events.name IS 'name of the object at that time';
    COMMENT ON COLUMN v_events.image IS 'image of a container';
    COMMENT ON COLUMN v_events.exit_code IS 'of a container''s end';
    COMMENT ON COLUMN v_events.actor_id IS 'id of the object as the tenant knows it';
    COMMENT ON COLUMN v_events.id IS 'grows in the order of commits';
    """,
}


def upgrade() -> None:
    for statements in _VIEWS.values():
        op.execute(statements)


def downgrade() -> None:
    for name in reversed(_VIEWS):
        op.execute(f"DROP VIEW {name}")
