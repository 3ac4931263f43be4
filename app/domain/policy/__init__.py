"""The policy gate: the one way from a tenant's JSON to something that an engine may be asked for.

`decide_create` decides every field of a create request by the table in `table.py`. The gate is pure: it knows neither
the account's objects nor the nodes. References (images, volumes, networks, containers) stay the tenant's own words in
the spec, for the service to look up within the account.
"""

from app.domain.policy.create import decide_create, decide_platform
from app.domain.policy.execs import ExecSpec, ExecStart, decide_exec, decide_exec_start
from app.domain.policy.process import working_dir as check_working_dir
from app.domain.policy.rules import Rules

__all__ = [
    "ExecSpec",
    "ExecStart",
    "Rules",
    "check_working_dir",
    "decide_create",
    "decide_exec",
    "decide_exec_start",
    "decide_platform",
]
