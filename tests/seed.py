"""A data center of rows, made inside the database in seconds. What is where follows from a row's number, so that
a test knows the answer to a question without asking the same question itself.

Container i (1 ... `containers`) is on node `i % nodes` and belongs to account `i % accounts`, but the oldest twentieth,
those with the greatest numbers, to account 0. Names are `account7`, `node3`, `c42`, `data42`; times are before now().
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg2

GIB = 1 << 30

#: Foreign keys are not checked row by row, which would take as long again: what a row refers to is made by its number.
_STATEMENTS = """
SET LOCAL session_replication_role = replica;
CREATE FUNCTION pg_temp.number(kind text, i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT md5(kind || i)::uuid $$;
CREATE FUNCTION pg_temp.digits(kind text, i bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT md5(kind || i) || md5(i || kind) $$;
CREATE TEMP VIEW made AS
SELECT i, i % {nodes} AS node, CASE WHEN i > {containers} / 20 * 19 THEN 0 ELSE i % {accounts} END AS account,
       i % {used_images} AS image,
       CASE WHEN i % 20 = 0 THEN 'exited' WHEN i % 20 = 1 THEN 'created' WHEN i % 100 = 2 THEN 'paused'
            WHEN i % 5000 = 3 THEN 'restarting' ELSE 'running' END AS state,
       CASE WHEN i % 500 = 3 THEN i / 500 % 40 + 1 ELSE 0 END AS restarts, now() - interval '3 seconds' * i AS born
FROM generate_series(1, {containers}) AS i;

INSERT INTO accounts (id, login, max_containers, max_memory, max_nano_cpus)
SELECT pg_temp.number('account', i), 'account' || i, {containers}, 1::bigint << 50, 1::bigint << 50
FROM generate_series(0, {accounts} - 1) AS i;
INSERT INTO account_keys (account_id, name, fingerprint, public_key)
SELECT pg_temp.number('account', i), 'key', 'SHA256:' || md5('key' || i), 'ssh-ed25519 ' || md5('key' || i)
FROM generate_series(0, {accounts} - 1) AS i;
INSERT INTO revoked_certificates (serial) SELECT md5('serial' || i) FROM generate_series(1, 20) AS i;

INSERT INTO processes (id, kind, host, pid)
SELECT pg_temp.number('process', i), CASE WHEN i < 4 THEN 'api' ELSE 'observer' END, 'host' || i, 1000 + i
FROM generate_series(1, 5) AS i;
INSERT INTO nodes (id, name, url, public_address, engine_id, engine_version, api_version, state, cpus, memory, seen_at,
                   lease_process_id, lease_until)
SELECT pg_temp.number('node', i), 'node' || i, 'unix:///node' || i, '192.0.2.' || i, 'ENGINE' || i, '20.10.24', '1.41',
       CASE i WHEN 5 THEN 'down' ELSE 'up' END, 64, (CASE i WHEN 3 THEN 1 ELSE 4 END)::bigint * {node_memory},
       now() - interval '1 second', pg_temp.number('process', 5), now() + interval '1 hour'
FROM generate_series(0, {nodes} - 1) AS i;

INSERT INTO images (id, inspect, size, created_at)
SELECT 'sha256:' || pg_temp.digits('image', i), jsonb_build_object('Env', 'SECRET', 'Layers', (
           SELECT jsonb_agg('sha256:' || pg_temp.digits('layer', l + i)) FROM generate_series(1, 16) l)),
       i::bigint * 1000000, now() - interval '1 hour' * i
FROM generate_series(0, {images} - 1) AS i;
INSERT INTO account_images (account_id, image_id, added_at)
SELECT pg_temp.number('account', account), 'sha256:' || pg_temp.digits('image', image), now()
FROM (SELECT DISTINCT account, image FROM made UNION SELECT 1, i FROM generate_series({used_images}, {images} - 1) i) a;
INSERT INTO image_names (account_id, repository, reference, image_id)
SELECT account_id, 'docker.io/library/' || substr(image_id, 8, 12), 'latest', image_id FROM account_images;
INSERT INTO node_images (node_id, image_id)
SELECT DISTINCT pg_temp.number('node', node), 'sha256:' || pg_temp.digits('image', image) FROM made;

INSERT INTO networks (uuid, id, account_id, name, subnet, gateway, ready)
SELECT pg_temp.number('network', i), pg_temp.digits('network', i), pg_temp.number('account', i), 'bridge',
       set_masklen('10.224.0.0'::inet + 256 * i, 24)::cidr, '10.224.0.1'::inet + 256 * i, true
FROM generate_series(0, {accounts} - 1) AS i;

INSERT INTO containers (
    id, uuid, engine_id, account_id, name, node_id, state, image_id, image, spec, labels, package, memory,
    nano_cpus, exit_code, health, command, hostname, restart_policy, restart_count, inspect, list_head, list_tail,
    created_at, started_at, finished_at)
SELECT pg_temp.digits('c', i), pg_temp.number('c', i), pg_temp.digits('engine', i), pg_temp.number('account', account),
       'c' || i, pg_temp.number('node', node), state,
       'sha256:' || pg_temp.digits('image', image), 'image' || image, '{{"HostConfig": {{"NetworkMode": "default"}}}}',
       jsonb_build_object('tier', 't' || i % 7), 't4-standard-128M', {memory}, 500000000,
       CASE state WHEN 'exited' THEN i % 3 WHEN 'restarting' THEN 1 ELSE 0 END, '', 'sleep ' || i,
       substr(pg_temp.digits('c', i), 1, 12), CASE WHEN restarts > 0 THEN 'always' ELSE 'no' END, restarts,
       jsonb_build_object(
           'Config', '{{"Env": ["PASSWORD=secret"]}}'::jsonb, 'Mounts', '[]'::jsonb,
           'NetworkSettings', '{{"Networks": {{}}, "Ports": {{}}}}'::jsonb),
       rpad('{{"Id":"' || i || '"', 400, ' '), rpad(',"Mounts":[]}}', 300, ' '), born,
       CASE WHEN state <> 'created' THEN born + interval '1 second' END,
       CASE WHEN state IN ('exited', 'restarting') THEN born + interval '1 minute' END
FROM made;
UPDATE accounts a SET used_containers = u.containers, used_memory = u.memory, used_nano_cpus = u.nano_cpus
FROM (SELECT account_id, count(*) AS containers, sum(memory) AS memory, sum(nano_cpus) AS nano_cpus
      FROM containers GROUP BY account_id) u WHERE u.account_id = a.id;
UPDATE accounts SET max_containers = used_containers * 100 / 95 WHERE login IN ('account0', 'account7', 'account70');

INSERT INTO container_endpoints (container_id, network_uuid, address, mac_address)
SELECT pg_temp.digits('c', i), pg_temp.number('network', account),
       CASE WHEN state NOT IN ('created', 'exited') THEN '10.224.0.2'::inet + 256 * account + i / {accounts} END,
       '02:42'
FROM made;
INSERT INTO container_ports (node_id, protocol, host_port, container_id, container_port)
SELECT pg_temp.number('node', node), 'tcp', 1024 + i / {nodes}, pg_temp.digits('c', i), 80
FROM made WHERE state = 'running' AND i % 5 = 3;
INSERT INTO volumes (id, account_id, name, node_id, engine_name, anonymous, created_at, unused_since)
SELECT pg_temp.number('v', i), pg_temp.number('account', account), 'data' || i, pg_temp.number('node', node),
       'v-' || pg_temp.number('v', i), false, born, now() - interval '1 minute' * i
FROM made;
SET LOCAL session_replication_role = origin; -- So that mounts are counted.
INSERT INTO container_volumes (container_id, target, volume_id)
SELECT pg_temp.digits('c', i), '/data', pg_temp.number('v', i) FROM made WHERE i % 1000 <> 999;
SET LOCAL session_replication_role = replica;
INSERT INTO execs (id, container_id, engine_exec_id, created_at)
SELECT pg_temp.digits('x', i), pg_temp.digits('c', i), pg_temp.digits('exec', i), born FROM made WHERE i % 5 = 0;

INSERT INTO told (node_id, container_id, account_id, state, time_nano, started_nano, attributes)
SELECT pg_temp.number('node', node), pg_temp.digits('c', i), pg_temp.number('account', account), 'running', i, i, '{{}}'
FROM made WHERE i % 5 = 0;
INSERT INTO account_layers (account_id, diff_id)
SELECT pg_temp.number('account', i % {accounts}), 'sha256:' || pg_temp.digits('layer', i)
FROM generate_series(1, 20000) AS i;
INSERT INTO build_cache (account_id, node_id, image_id, used_at)
SELECT pg_temp.number('account', account), pg_temp.number('node', node), 'sha256:' || pg_temp.digits('step', i), born
FROM made WHERE i % 5 = 0;
INSERT INTO layer_blobs (digest, diff_id)
SELECT 'sha256:' || pg_temp.digits('blob', i), 'sha256:' || pg_temp.digits('layer', i)
FROM generate_series(1, 20000) AS i;

INSERT INTO operations (id, kind, account_id, target, node_id, process_id, state, detail, created_at, finished_at)
SELECT pg_temp.number('o', i), CASE WHEN i % 3 = 0 THEN 'start' ELSE 'create' END, pg_temp.number('account', account),
       pg_temp.digits('c', i), pg_temp.number('node', node), pg_temp.number('process', i % 4),
       CASE WHEN i % 5000 = 7 THEN 'pending' ELSE 'done' END, '{{}}', now() - interval '6 seconds' * i,
       CASE WHEN i % 5000 <> 7 THEN now() - interval '6 seconds' * i END
FROM made;
INSERT INTO events (account_id, node_id, time_nano, type, action, actor_id, attributes)
SELECT pg_temp.number('account', account), pg_temp.number('node', node),
       extract(epoch FROM now() - interval '5 seconds' * i)::bigint * 1000000000 + i, 'container', 'start',
       pg_temp.digits('c', i), jsonb_build_object('name', 'c' || i, 'image', 'image' || image)
FROM made ORDER BY i DESC;
INSERT INTO audit (at, source, actor, account_id, account, fingerprint, verb, target_type, target, result, status,
                   reason, milliseconds, client)
SELECT now() - interval '8 seconds' * i, 'api', 'account' || account, pg_temp.number('account', account),
       'account' || account, 'SHA256:' || md5('key' || account), 'containers.start', 'container', 'c' || i,
       CASE WHEN i % 100 = 9 THEN 'refused' ELSE 'done' END, CASE WHEN i % 100 = 9 THEN 403 ELSE 204 END,
       CASE WHEN i % 100 = 9 THEN 'Forbidden: Privileged' ELSE '' END, 12, '198.51.100.7'
FROM made;
INSERT INTO audit (at, source, actor, account_id, account, verb, target_type, target, detail, result)
SELECT now() - interval '20 minutes' * i, 'operator', 'ann@ops', pg_temp.number('account', i), 'account' || i,
       'account.quota', 'account', 'account' || i, '{{"max_containers": 200}}', 'done'
FROM generate_series(1, 20) AS i;
DROP VIEW made;
"""


@dataclass(frozen=True)
class Seeded:
    """What was made."""

    url: str
    containers: int
    accounts: int
    nodes: int
    images: int
    used_images: int


def fill(url: str, *, containers: int = 100_000, accounts: int = 1000, nodes: int = 50, images: int = 5000) -> Seeded:
    """Into a migrated, empty database. `images` beyond four fifths of their number are used by no container."""
    used_images = images * 4 // 5
    # Node 3 is nearly full, the others have four times its memory.
    memory = 128 << 20
    numbers = {"containers": containers, "accounts": accounts, "nodes": nodes, "images": images, "memory": memory}
    node_memory = containers // nodes * memory * 100 // 96
    statements = _STATEMENTS.format(**numbers, used_images=used_images, node_memory=node_memory)
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"BEGIN;{statements};COMMIT")
            # What autovacuum does after so many rows.
            cursor.execute("VACUUM (ANALYZE)")
    finally:
        connection.close()
    return Seeded(url, containers, accounts, nodes, images, used_images)
