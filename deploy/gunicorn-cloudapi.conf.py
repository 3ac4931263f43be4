"""gunicorn's settings for CloudAPI: one process beside the front door's, with gunicorn's own threaded worker.

The front door's worker takes identity from a connection's preamble and refuses connections without one; CloudAPI's
connections have none. So they are two processes with a socket each, and neither has a rule for the other's. The stock
worker is enough here: nginx speaks HTTP on this port, and passes a request on when all of it is there.
"""

import os

from app import log
from app.server.strict import *  # noqa: F403  (the settings that both have)
from app.server.strict import hand_over_socket
from app.settings import ProcessSettings, or_exit

with or_exit("sdc-docker-cloudapi"):
    _settings = ProcessSettings.from_environ()
log.configure(_settings.log_level)

wsgi_app = "app.cloudapi_wsgi:application"
worker_class = "gthread"
workers = 1
threads = 8
timeout = 60
graceful_timeout = 10
# nginx opens a connection for each request.
keepalive = 1

bind = f"unix:{_settings.cloudapi_socket}"
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else str(_settings.run_dir)  # noqa: S108  (made by mkstemp)

limit_request_field_size = 8190

loglevel = _settings.log_level
logconfig_dict = log.for_gunicorn(_settings.log_level)
proc_name = "sdc-docker-cloudapi"


def when_ready(server):  # type: ignore[no-untyped-def]
    hand_over_socket(_settings.cloudapi_socket, _settings.socket_group)
