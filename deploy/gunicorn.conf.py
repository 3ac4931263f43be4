"""gunicorn's settings for the front door. Everything that differs between installations comes from the environment:

SDC_SOCKET         the unix socket that nginx connects to
SDC_SOCKET_GROUP   nginx's group: besides our own user the only one who may connect
SDC_RUN_DIR        a directory of our own, for the socket's and gunicorn's files
SDC_WORKERS        worker processes (2)
SDC_THREADS        threads per worker (16)

SDC_THREADS times SDC_WORKERS is the number of requests that run at the same time. Attach, exec, logs -f, events
and wait leave their thread at once (they move to the worker's relay); a pull, a load or a stop holds one until it ends.
When all threads are busy, short requests wait, so threads are the capacity figure for long calls; one account gets all
but four of a worker's for them. An idle thread costs little memory; the database pool has to have a connection for each
busy one.
"""

import grp
import os

wsgi_app = "app.wsgi:application"
worker_class = "app.server.worker.FrontDoorWorker"
workers = int(os.environ.get("SDC_WORKERS", "2"))
threads = int(os.environ.get("SDC_THREADS", "16"))
# Connections per worker, idle ones included; at the limit the longest idle one makes room.
worker_connections = 4096
backlog = 2048
timeout = 60
graceful_timeout = 30
keepalive = 90

_run_dir = os.environ.get("SDC_RUN_DIR", "/run/sdc")
_socket = os.environ.get("SDC_SOCKET", f"{_run_dir}/api.sock")
_socket_group = os.environ.get("SDC_SOCKET_GROUP", "")
bind = f"unix:{_socket}"
# 0660: whoever can connect to the socket can say that he is anybody.
umask = 0o117
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else _run_dir  # noqa: S108  (a heartbeat file, made by mkstemp)

# No header is believed, and none may be spelled in two ways.
forwarder_headers = ""
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
header_map = "refuse"
proxy_protocol = "off"
http_protocols = "h1"
http_parser = "python"

limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 16380

accesslog = None
errorlog = "-"
loglevel = os.environ.get("SDC_LOG_LEVEL", "info").lower()
proc_name = "sdc-docker"


def when_ready(server):  # type: ignore[no-untyped-def]
    """Give the socket to nginx's group, before the first connection."""
    if _socket_group:
        os.chown(_socket, -1, grp.getgrnam(_socket_group).gr_gid)
    os.chmod(_socket, 0o660)
