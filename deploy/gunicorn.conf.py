"""gunicorn's settings for the front door. Everything that differs between installations comes from the environment, by
way of app/settings.py; SETTINGS.md lists it.

SDC_THREADS times SDC_WORKERS is the number of requests that run at the same time. Attach, exec, logs -f, events
and wait leave their thread at once (they move to the worker's relay); a pull, a load or a stop holds one until it ends.
So threads are the capacity figure for long calls. One account has at most three quarters of a worker's, and five
eighths for long calls; for more it waits its turn (server/turns.py). An idle thread costs little memory; the database
pool has to have a connection for each busy one.
"""

import os

from app import log
from app.server.strict import *  # noqa: F403  (the settings that both have)
from app.server.strict import hand_over_socket
from app.settings import ProcessSettings, or_exit

with or_exit("sdc-docker-api"):
    _settings = ProcessSettings.from_environ()
log.configure(_settings.log_level)

wsgi_app = "app.wsgi:application"
worker_class = "app.server.worker.FrontDoorWorker"
workers = _settings.workers
threads = _settings.threads
# Connections per worker, idle ones included; at the limit the longest idle one makes room.
worker_connections = 4096
backlog = 2048
timeout = 60
graceful_timeout = _settings.stop_seconds
keepalive = 90

bind = f"unix:{_settings.socket}"
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else str(_settings.run_dir)  # noqa: S108  (made by mkstemp)

limit_request_field_size = 16380

loglevel = _settings.log_level
logconfig_dict = log.for_gunicorn(_settings.log_level)
proc_name = "sdc-docker"


def when_ready(server):  # type: ignore[no-untyped-def]
    hand_over_socket(_settings.socket, _settings.socket_group)


def pre_fork(server, worker):  # type: ignore[no-untyped-def]
    worker.retire_seconds = float(_settings.retire_seconds)
