"""`application` for gunicorn. It is imported in each worker after the fork; nothing else is built at import."""

from __future__ import annotations

from app import log
from app.bootstrap import build
from app.services.registries import own_registry
from app.settings import WRONG_IN_WORKER, Settings, or_exit

with or_exit("sdc-docker-api", WRONG_IN_WORKER):
    _settings = Settings.from_environ()
    _registry = own_registry(_settings)
log.configure(_settings.log_level)
application = build(_settings, _registry)
