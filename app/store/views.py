"""Views that answer what a DBA asks: names instead of ids, times with zone, no secrets.

This is the one definition of every view; a migration creates them from a copy as it was then, and a test compares the
two. A migration that changes a column on which a view leans drops the view first and makes it anew.

So that no question reads a table from end to end, a view's WHERE and ORDER BY come out as those of indexed columns:
columns are passed on as they are, and what is counted is counted in a subquery that an index answers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    name: str
    #: The question that it answers.
    comment: str
    #: Column -> what it says, in the order of the query's columns.
    columns: dict[str, str]
    query: str

    def statements(self) -> list[str]:
        """Everything that makes the view, comments included."""
        made = [f"CREATE VIEW {self.name} ({', '.join(self.columns)}) AS\n{self.query.strip()}"]
        made.append(f"COMMENT ON VIEW {self.name} IS {_quoted(self.comment)}")
        made += [f"COMMENT ON COLUMN {self.name}.{name} IS {_quoted(said)}" for name, said in self.columns.items()]
        return made


def _quoted(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"


CONTAINERS = View(
    "v_containers",
    "Who owns what, and where does it run? One row for each container.",
    {
        "account": "login of its owner",
        "name": "the tenant's name for it",
        "id": "64 hex digits that the tenant sees; the first 12 are what docker ps shows",
        "node": "node that it runs on",
        "state": "Docker's word for its state, or creating",
        "health": "health check: starting, healthy, unhealthy; empty = it has none",
        "image": "image as the tenant typed it",
        "image_id": "image content",
        "command": "command line, as docker ps shows it",
        "package": "name of its package",
        "memory": "bytes of memory reserved",
        "cpus": "CPUs reserved",
        "addresses": "its addresses, with the network's name in front",
        "ports": "published ports: node's port -> container's port/protocol",
        "restart_policy": "when the engine restarts it",
        "restart_count": "restarts by that policy so far",
        "exit_code": "exit status of its last run",
        "oom_killed": "its last run ran out of memory",
        "error": "why its last start failed",
        "created_at": "when it was created",
        "started_at": "start of its last run",
        "finished_at": "end of its last run, or of the one before while it runs",
    },
    """
    SELECT a.login, c.name, c.id, n.name, c.state, c.health, c.image, c.image_id, c.command, c.package, c.memory,
           round(c.nano_cpus / 1e9, 3),
           (SELECT string_agg(w.name || ' ' || coalesce(host(e.address), host(e.ipv4), '-'), ', ' ORDER BY w.name)
            FROM container_endpoints e JOIN networks w ON w.uuid = e.network_uuid WHERE e.container_id = c.id),
           (SELECT string_agg(p.host_port || ' -> ' || p.container_port || '/' || p.protocol, ', '
                              ORDER BY p.protocol, p.host_port)
            FROM container_ports p WHERE p.container_id = c.id),
           c.restart_policy, c.restart_count, c.exit_code, c.oom_killed, c.error, c.created_at, c.started_at,
           c.finished_at
    FROM containers c JOIN accounts a ON a.id = c.account_id JOIN nodes n ON n.id = c.node_id
    """,
)

CHANGES = View(
    "v_changes",
    "What changed, when, and by whom? What was asked for and done, and what engines did for it.",
    {
        "at": "when it was recorded; of an engine's change, when it was decided",
        "source": "what it was done with: operator, api or cloudapi; engine = the change of a node that followed",
        "by": "user@host of an operator, login of an account",
        "account": "account whose things changed",
        "what": "noun and verb of the request; the kind of an engine's change",
        "target": "id or name of what changed",
        "node": "node on which it changed; null = a row of the database only",
        "outcome": "done; of an engine's change also pending or undone",
        "error": "why it was undone",
        "fingerprint": "key of the connection; empty = none, or an engine's change",
        "client": "address of the client, where known",
    },
    """
    SELECT u.at, u.source, u.actor, u.account, u.verb, u.target, NULL::text, u.result, '', u.fingerprint, u.client
    FROM audit u WHERE u.result = 'done'
    UNION ALL
    SELECT o.created_at, 'engine', a.login, a.login, o.kind, o.target, n.name, o.state, o.error, '', NULL::inet
    FROM operations o JOIN accounts a ON a.id = o.account_id JOIN nodes n ON n.id = o.node_id
    """,
)

NODES = View(
    "v_nodes",
    "Which node is full? What its containers have reserved, beside what the machine has.",
    {
        "node": "name of the node",
        "state": "up or down, as last seen by an observer",
        "cordoned": "true = gets no new containers",
        "containers": "containers in any state",
        "memory": "bytes of memory of the machine",
        "memory_reserved": "bytes reserved by its containers",
        "memory_percent": "memory reserved, in percent of the machine's",
        "cpus": "CPUs of the machine",
        "cpus_reserved": "CPUs reserved by its containers",
        "cpus_percent": "CPUs reserved, in percent of the machine's; over 100 is usual, CPUs are shared",
        "engine_version": "version of its Docker Engine",
        "seen_at": "last answer of its engine",
        "observer": "host and process id of the observer that follows it; null = nobody does",
    },
    """
    SELECT n.name, n.state, n.cordoned, u.containers, n.memory, u.memory, round(100.0 * u.memory / n.memory, 1),
           n.cpus, round(u.nano_cpus / 1e9, 3), round(100.0 * u.nano_cpus / 1e9 / n.cpus, 1), n.engine_version,
           n.seen_at, (SELECT p.host || ' ' || p.pid FROM processes p
                       WHERE p.id = n.lease_process_id AND n.lease_until > now())
    FROM nodes n CROSS JOIN LATERAL (
        SELECT count(*) AS containers, coalesce(sum(c.memory), 0) AS memory, coalesce(sum(c.nano_cpus), 0) AS nano_cpus
        FROM containers c WHERE c.node_id = n.id) u
    """,
)

QUOTAS = View(
    "v_quotas",
    "Which quota is near? What each account has used of its limits.",
    {
        "account": "login",
        "percent": "how much of the quota that is nearest its end is used",
        "containers": "containers in any state",
        "max_containers": "quota of containers",
        "memory": "bytes of memory reserved",
        "max_memory": "quota of memory",
        "cpus": "CPUs reserved",
        "max_cpus": "quota of CPUs",
        "disabled_at": "when an operator disabled the account; null = enabled",
    },
    """
    SELECT a.login, a.quota_percent, a.used_containers, a.max_containers, a.used_memory, a.max_memory,
           round(a.used_nano_cpus / 1e9, 3), round(a.max_nano_cpus / 1e9, 3), a.disabled_at
    FROM accounts a
    """,
)

RESTARTS = View(
    "v_restarts",
    "Which containers restart? Those that their engine has restarted by their policy.",
    {
        "account": "login of the owner",
        "name": "the tenant's name for the container",
        "id": "64 hex digits that the tenant sees",
        "node": "node that it runs on",
        "state": "Docker's word for its state",
        "restart_count": "restarts by the policy so far",
        "restart_policy": "when the engine restarts it",
        "exit_code": "exit status of its last run",
        "oom_killed": "its last run ran out of memory",
        "error": "why its last start failed",
        "image": "image as the tenant typed it",
        "command": "command line, as docker ps shows it",
        "started_at": "start of its last run",
        "finished_at": "end of the run before, or of the last one",
    },
    """
    SELECT a.login, c.name, c.id, n.name, c.state, c.restart_count, c.restart_policy, c.exit_code, c.oom_killed,
           c.error, c.image, c.command, c.started_at, c.finished_at
    FROM containers c JOIN accounts a ON a.id = c.account_id JOIN nodes n ON n.id = c.node_id
    WHERE c.restart_count > 0
    """,
)

IMAGES = View(
    "v_images",
    "Which images are big, which are used? One row for each content, whoever has it.",
    {
        "id": "sha256:<64 hex>, the digest of the image's config",
        "size": "bytes of all layers",
        "names": "its names in all accounts, without digests",
        "accounts": "accounts that have it",
        "containers": "containers of it, in any state",
        "nodes": "nodes that hold it",
        "created_at": "when the image was built, by its own word",
    },
    """
    SELECT i.id, i.size,
           (SELECT array_agg(DISTINCT m.repository || ':' || m.reference) FROM account_images o
            JOIN image_names m ON m.account_id = o.account_id AND m.image_id = o.image_id
            WHERE o.image_id = i.id AND m.reference NOT LIKE 'sha256:%'),
           (SELECT count(*) FROM account_images o WHERE o.image_id = i.id),
           (SELECT count(*) FROM containers c WHERE c.image_id = i.id),
           (SELECT count(*) FROM node_images h WHERE h.image_id = i.id),
           i.created_at
    FROM images i
    """,
)

VOLUMES = View(
    "v_volumes",
    "Which volumes are there, and which does nobody use (mounts = 0)?",
    {
        "account": "login of the owner",
        "name": "the tenant's name",
        "node": "node that has its data; null = never used",
        "anonymous": "true = made for one container",
        "mounts": "mounts by containers in any state; 0 = nobody uses it",
        "unused_since": "since when nobody uses it; null = in use",
        "created_at": "when it was made",
        "id": "volume uuid; the engine's volume is v-<uuid>, unless it is anonymous",
    },
    """
    SELECT a.login, v.name, n.name, v.anonymous, v.mounts, v.unused_since, v.created_at, v.id
    FROM volumes v JOIN accounts a ON a.id = v.account_id LEFT JOIN nodes n ON n.id = v.node_id
    """,
)

NETWORKS = View(
    "v_networks",
    "Which networks are there, and what are their addresses?",
    {
        "account": "login of the owner",
        "name": "the tenant's name; bridge is the account's default network",
        "id": "64 hex digits that the tenant sees",
        "subnet": "its addresses",
        "gateway": "address of the gateway",
        "containers": "containers on it, in any state",
        "running": "of them those that have an address",
        "chosen": "true = the tenant chose the subnet",
        "internal": "true = no way out of it",
        "ready": "true once the engine has made it",
        "created_at": "when it was made",
        "uuid": "the engine's network is n-<uuid>",
    },
    """
    SELECT a.login, w.name, w.id, w.subnet, w.gateway,
           (SELECT count(*) FROM container_endpoints e WHERE e.network_uuid = w.uuid),
           (SELECT count(e.address) FROM container_endpoints e WHERE e.network_uuid = w.uuid),
           w.chosen, w.internal, w.ready, w.created_at, w.uuid
    FROM networks w JOIN accounts a ON a.id = w.account_id
    """,
)

ADDRESSES = View(
    "v_addresses",
    "Who has which address? One row for each container on each of its networks.",
    {
        "address": "address that it has, as last seen; null = it does not run",
        "mac_address": "MAC address that it has",
        "account": "login of the owner",
        "network": "the tenant's name of the network",
        "container": "the tenant's name of the container",
        "container_id": "64 hex digits that the tenant sees",
        "state": "Docker's word for the container's state",
        "node": "node that it runs on",
        "fixed": "address that it is to have; null = the engine chooses at each start",
    },
    """
    SELECT e.address, e.mac_address, a.login, w.name, c.name, c.id, c.state, n.name, e.ipv4
    FROM container_endpoints e JOIN networks w ON w.uuid = e.network_uuid JOIN containers c ON c.id = e.container_id
    JOIN accounts a ON a.id = c.account_id JOIN nodes n ON n.id = c.node_id
    """,
)

PORTS = View(
    "v_ports",
    "Who has which published port?",
    {
        "node": "node",
        "address": "public address of the node; empty = the engine's own",
        "protocol": "tcp, udp or sctp",
        "port": "port at that address",
        "account": "login of the container's owner",
        "container": "the tenant's name of the container",
        "container_id": "64 hex digits that the tenant sees",
        "container_port": "port in the container",
    },
    """
    SELECT n.name, n.public_address, p.protocol, p.host_port, a.login, c.name, c.id, p.container_port
    FROM container_ports p JOIN nodes n ON n.id = p.node_id JOIN containers c ON c.id = p.container_id
    JOIN accounts a ON a.id = c.account_id
    """,
)

UNFINISHED = View(
    "v_unfinished",
    "Which operations are unfinished, and who carries them out?",
    {
        "since": "when the intent was committed",
        "age": "how long ago that is",
        "kind": "what is to be done",
        "account": "login for whom",
        "target": "id of what it changes",
        "name": "name of the container that it changes; null = it is none, or has no row",
        "node": "on which node",
        "process": "kind, host and process id of who carries it out; null = it died, an observer will take over",
        "heartbeat_at": "last sign of life of that process",
        "id": "operation id; engine objects carry it as label sdc.op",
    },
    """
    SELECT o.created_at, now() - o.created_at, o.kind, a.login, o.target, c.name, n.name,
           p.kind || ' ' || p.host || ' ' || p.pid, p.heartbeat_at, o.id
    FROM operations o JOIN accounts a ON a.id = o.account_id JOIN nodes n ON n.id = o.node_id
    LEFT JOIN containers c ON c.id = o.target LEFT JOIN processes p ON p.id = o.process_id
    WHERE o.state = 'pending'
    """,
)

REFUSED = View(
    "v_refused",
    "Which requests were refused or failed, whose, and why?",
    {
        "at": "when",
        "account": "login; empty = a stranger",
        "source": "what it was asked with: operator, api or cloudapi",
        "by": "user@host of an operator, login of an account; empty = a stranger",
        "what": "noun and verb of the request",
        "target": "id or name of what it was about, as it was given",
        "result": "refused or failed",
        "status": "HTTP status of the answer; null = not a request",
        "reason": "kind of the refusal and why",
        "times": "how many such ones the row stands for; what is too frequent is counted only",
        "fingerprint": "key of the connection; empty = none",
        "client": "address of the client, where known",
        "request_id": "X-Request-Id of the answer, which is in the log too",
    },
    """
    SELECT u.at, u.account, u.source, u.actor, u.verb, u.target, u.result, u.status, u.reason, u.left_out + 1,
           u.fingerprint, u.client, u.request_id
    FROM audit u WHERE u.result <> 'done'
    """,
)

EVENTS = View(
    "v_events",
    "What happened to what? The events of docker events, with a readable time.",
    {
        "at": "when, by the clock of who told it",
        "account": "login of who may see it",
        "node": "node whose engine told it; null = the service did",
        "type": "container, image, network, volume or builder",
        "action": "Docker's word: start, die, destroy ...",
        "name": "name of the object at that time",
        "image": "image of a container",
        "exit_code": "of a container's end",
        "actor_id": "id of the object as the tenant knows it",
        "id": "grows in the order of commits",
    },
    """
    SELECT e.at, a.login, n.name, e.type, e.action, e.attributes ->> 'name', e.attributes ->> 'image',
           e.attributes ->> 'exitCode', e.actor_id, e.id
    FROM events e JOIN accounts a ON a.id = e.account_id LEFT JOIN nodes n ON n.id = e.node_id
    """,
)

VIEWS = (
    CONTAINERS,
    CHANGES,
    NODES,
    QUOTAS,
    RESTARTS,
    IMAGES,
    VOLUMES,
    NETWORKS,
    ADDRESSES,
    PORTS,
    UNFINISHED,
    REFUSED,
    EVENTS,
)
