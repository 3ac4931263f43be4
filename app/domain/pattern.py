"""Regular expressions of tenants, by RE2: whatever they say, they cannot be made to run away."""

from __future__ import annotations

from typing import Any

import re2

#: The library would write what is wrong with an expression to standard error, past the log.
_QUIET = re2.Options()
_QUIET.log_errors = False

error = re2.error
escape = re2.escape


def compile(text: str) -> Any:
    """Raises `error` where it is none."""
    return re2.compile(text, options=_QUIET)
