"""What layers weigh, from what an engine tells of an image's history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from app.domain.image_removal import chain_ids


def sizes(diff_ids: Sequence[str], history: Sequence[dict[str, Any]], size: int) -> dict[str, int]:
    """Chain id -> bytes of its layer.

    A history names no layers. Where as many of its steps have a size as there are layers, these are the layers' sizes;
    otherwise all is put down to the topmost layer, so that nothing is counted as shared that might not be.
    """
    chain = chain_ids(diff_ids)
    steps = [int(step.get("Size") or 0) for step in reversed(history)]
    steps = [step for step in steps if step]
    if len(steps) != len(chain):
        steps = [0] * (len(chain) - 1) + [size] if chain else []
    return dict(zip(chain, steps, strict=True))


def shared(of_each: Iterable[dict[str, int]]) -> list[int]:
    """Of each image, the bytes of layers that another one of them has too."""
    images = list(of_each)
    count = Counter(layer for layers in images for layer in layers)
    return [sum(size for layer, size in layers.items() if count[layer] > 1) for layers in images]
