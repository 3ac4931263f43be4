"""Progress messages of pull, push and load, as clients draw them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_DETAIL = ("current", "total", "start", "hidecounts", "units")
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_WIDTH = 50


def rebuilt(message: Json) -> Json:
    """An engine's message made anew: nothing passes because an engine happened to send it."""
    shown: Json = {key: message[key] for key in ("status", "id", "progress") if isinstance(message.get(key), str)}
    detail = message.get("progressDetail")
    if isinstance(detail, dict):
        shown["progressDetail"] = {key: detail[key] for key in _DETAIL if isinstance(detail.get(key), int | str)}
    return shown


def of(layer: str, status: str, current: int, total: int) -> Json:
    """A message with a bar, of what we do ourselves."""
    shown: Json = {"status": status, "progressDetail": {"current": current, "total": total}}
    return shown | {"progress": _bar(current, total), "id": layer}


def _bar(current: int, total: int) -> str:
    if total <= 0:
        return _size(current)
    done = min(_WIDTH, current * _WIDTH // total)
    drawn = "=" * done + (">" if done < _WIDTH else "")
    return f"[{drawn.ljust(_WIDTH)}]  {_size(current)}/{_size(total)}"


def _size(number: float) -> str:
    """Docker's decimal sizes, with four digits: 1.983MB"""
    for unit in _UNITS[:-1]:
        if number < 1000:
            return f"{number:.4g}{unit}"
        number /= 1000
    return f"{number:.4g}{_UNITS[-1]}"
