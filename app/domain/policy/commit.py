"""Decide a commit request: the image's configuration, and the changes in a Dockerfile's words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from app.domain.policy.draft import Draft
from app.domain.policy.rules import Rules
from app.domain.policy.table import BODY
from app.domain.policy.values import forbid, shown, wrong

MOST_CHANGES = 128
LONGEST_CHANGE = 16 * 1024
_VERBS = frozenset(
    "cmd entrypoint env expose healthcheck label onbuild stopsignal user volume workdir".split()  # noqa: SIM905
)
#: Nothing that a client sets may look like a label of ours.
_OUR_LABEL = re.compile(r"""(?:^|[\s"'])sdc\.""")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def decide_commit(body: Any, rules: Rules) -> dict[str, Any]:
    """The configuration as the engine is given it; {} leaves the container's own.

    Raises InvalidParameter, Forbidden.
    """
    if body is None or body == {}:
        return {}
    draft = Draft(rules)
    BODY.decide(draft, "", body)
    config = {key: value for key, value in draft.config.items() if value not in ("", None, False, [], {})}
    if draft.exposed:
        config["ExposedPorts"] = draft.exposed
    if draft.anonymous:
        config["Volumes"] = {target: {} for target in draft.anonymous}
    return config


def decide_changes(changes: Sequence[str]) -> list[str]:
    """The instructions, a line each. Raises InvalidParameter, Forbidden."""
    lines = [line for change in changes for line in change.split("\n") if line.strip()]
    if len(lines) > MOST_CHANGES or any(len(line) > LONGEST_CHANGE for line in lines):
        wrong(f"more than {MOST_CHANGES} changes, or one of more than {LONGEST_CHANGE} characters")
    for line in lines:
        verb, _, rest = line.strip().partition(" ")
        if _CONTROL.search(line):
            wrong("invalid changes: control characters are not allowed")
        if verb.lower() not in _VERBS:
            wrong(f"{shown(verb.lower(), 64)} is not a valid change command")
        if verb.lower() in ("label", "onbuild") and _OUR_LABEL.search(rest):
            forbid("a reserved label", "changes")
    return lines
