"""Every version of Docker's API from 1.20 to 1.44, told as differences from the current one.

Nothing outside this package compares versions: bodies are walked by `upgrade_request` and `downgrade_response`, and
everything else that depends on the version is a named function here.
"""

from app.api.versions.api_version import CURRENT, MAXIMUM, MINIMUM, ApiVersion, check, parse
from app.api.versions.behaviours import (
    check_start_body,
    error_body,
    exec_inspect_embeds_container,
    exec_start_checks_content_type,
    load_reports_progress,
    stream_media_type,
    wait_failure_is_empty_body,
)
from app.api.versions.changes import CHANGES, downgrade_response, upgrade_request

__all__ = [
    "CHANGES",
    "CURRENT",
    "MAXIMUM",
    "MINIMUM",
    "ApiVersion",
    "check",
    "check_start_body",
    "downgrade_response",
    "error_body",
    "exec_inspect_embeds_container",
    "exec_start_checks_content_type",
    "load_reports_progress",
    "parse",
    "stream_media_type",
    "upgrade_request",
    "wait_failure_is_empty_body",
]
