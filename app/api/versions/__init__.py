"""Every version of Docker's API from 1.20 to 1.44, told as differences from the current one.

Nothing outside this package compares versions: bodies are walked by `upgrade_request` and `downgrade_response`, and
everything else that depends on the version is a named function here.
"""

from app.api.versions.api_version import CURRENT, MAXIMUM, MINIMUM, ApiVersion, check, parse
from app.api.versions.behaviours import (
    check_route,
    check_start_body,
    error_body,
    exec_inspect_embeds_container,
    exec_start_checks_content_type,
    has_route,
    load_reports_progress,
    network_list_shows_containers,
    stream_media_type,
    wait_failure_is_empty_body,
    websocket_frames_are_text,
)
from app.api.versions.changes import CHANGES, downgrade_response, upgrade_request

__all__ = [
    "CHANGES",
    "CURRENT",
    "MAXIMUM",
    "MINIMUM",
    "ApiVersion",
    "check",
    "check_route",
    "check_start_body",
    "downgrade_response",
    "error_body",
    "exec_inspect_embeds_container",
    "exec_start_checks_content_type",
    "has_route",
    "load_reports_progress",
    "network_list_shows_containers",
    "parse",
    "stream_media_type",
    "upgrade_request",
    "wait_failure_is_empty_body",
    "websocket_frames_are_text",
]
