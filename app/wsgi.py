"""`application` for gunicorn. It is imported in each worker after the fork; nothing else is built at import."""

from __future__ import annotations

import sys

from app import log
from app.bootstrap import build
from app.settings import Settings

try:
    _settings = Settings.from_environ()
except ValueError as error:
    print(f"sdc-docker-api: {error}", file=sys.stderr)
    sys.exit(4)  # by which gunicorn's master knows not to try again
log.configure(_settings.log_level)
application = build(_settings)
