"""A figure of the data center, as the operator is shown it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    name: str
    help: str
    labels: Sequence[str] = ()
    #: Values of the labels -> number.
    rows: Mapping[tuple[str, ...], float] = field(default_factory=dict)
