"""One line of the audit: who did what to what, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Source(StrEnum):
    """What a thing was done with."""

    OPERATOR = "operator"
    API = "api"
    CLOUDAPI = "cloudapi"


class Result(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class Entry:
    """What is recorded. Never a body, an environment, a key's private part or a registry's credentials."""

    source: Source
    #: user@host of an operator, login of an account, "" for a stranger.
    actor: str
    #: "account.quota", "containers.create": the noun is what the target is.
    verb: str
    target: str
    target_type: str = ""
    account_id: UUID | None = None
    account: str = ""
    fingerprint: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    result: Result = Result.DONE
    status: int | None = None
    #: Kind and words of a refusal; "" where it was done.
    reason: str = ""
    milliseconds: int | None = None
    left_out: int = 0
    request_id: str = ""
    client: str = ""

    def __post_init__(self) -> None:
        if not self.target_type:
            noun = self.verb.partition(".")[0]
            object.__setattr__(self, "target_type", noun.removesuffix("s"))
        # Only what was not done has a reason, and that always has one.
        if (self.result is Result.DONE) != (not self.reason):
            object.__setattr__(self, "reason", "" if self.result is Result.DONE else f"status {self.status}")


@dataclass(frozen=True)
class Recorded:
    """An entry as it was stored."""

    id: int
    at: datetime
    entry: Entry
