"""The policy gate: the one way from a tenant's JSON to something that an engine may be asked for.

`decide_create` decides every field of a create request by the table in `table.py`. The gate is pure: it knows neither
the account's objects nor the nodes. References (images, volumes, networks, containers) stay the tenant's own words in
the spec, for the service to look up within the account.
"""

from app.domain.policy.build import BuildSpec, decide_build
from app.domain.policy.commit import decide_changes, decide_commit
from app.domain.policy.create import decide_create, decide_platform
from app.domain.policy.execs import ExecSpec, ExecStart, decide_exec, decide_exec_start
from app.domain.policy.process import working_dir as check_working_dir
from app.domain.policy.rules import Rules
from app.domain.policy.update import UpdateSpec, decide_update, settle_update

__all__ = [
    "BuildSpec",
    "ExecSpec",
    "ExecStart",
    "Rules",
    "UpdateSpec",
    "check_working_dir",
    "decide_build",
    "decide_changes",
    "decide_commit",
    "decide_create",
    "decide_exec",
    "decide_exec_start",
    "decide_platform",
    "decide_update",
    "settle_update",
]
