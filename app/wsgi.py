"""`application` for gunicorn. It is imported in each worker after the fork; nothing else is built at import."""

from __future__ import annotations

from app import log
from app.bootstrap import build
from app.settings import Settings

_settings = Settings.from_environ()
log.configure(_settings.log_level)
application = build(_settings)
