"""The settings: there, and sane."""

from __future__ import annotations

from collections.abc import Iterator

from app.services.doctor.finding import Finding, bad, ok, warn
from app.services.doctor.look import Look

_PAGE = "set it as deploy/SETTINGS.md says"


def check(look: Look) -> Iterator[Finding]:
    for problem in look.problems:
        yield bad("settings", problem, _PAGE)
    untold = [
        name
        for name, value in (
            ("SDC_DOCKER_ADDRESS", look.places.docker_address),
            ("SDC_NGINX_LOG", look.places.nginx_log),
            ("SDC_NGINX_PID", look.places.nginx_pid),
            ("SDC_SERVER_CERT", look.places.server_cert),
            ("SDC_SERVER_KEY", look.places.server_key),
        )
        if not value
    ]
    if untold:
        advice = "set them where nginx runs on this machine"
        yield warn("settings", f"{', '.join(untold)} not set: nginx is not checked whole", advice)
    elif not look.problems:
        yield ok("settings", "all there")
