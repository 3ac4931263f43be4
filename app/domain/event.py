"""Events: what an engine says happened, in the tenant's words, and the filters of `docker events`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from app.domain import image_view
from app.domain.container_state import ContainerState
from app.domain.label_filter import has_label
from app.errors import InvalidParameter

Filters = dict[str, list[str]]

#: Actions of containers that a tenant is told of, by their first word ("exec_create: sh" begins with one).
CONTAINER_ACTIONS = frozenset(
    [
        "archive-path",
        "attach",
        # "commit" is told by the service: the image that comes of it is ours.
        "copy",
        "create",
        "destroy",
        "detach",
        "die",
        "exec_create",
        "exec_detach",
        "exec_die",
        "exec_start",
        "export",
        "extract-to-dir",
        "health_status",
        "kill",
        "oom",
        "pause",
        "rename",
        "resize",
        "restart",
        "start",
        "stop",
        "top",
        "unpause",
        "update",
    ]
)
#: After these the container's row may differ from its engine's state.
CHANGES_STATE = frozenset(["start", "die", "destroy", "pause", "unpause", "oom", "update", "health_status"])
#: The state that follows from an event of these.
LEADS_TO = {
    "start": ContainerState.RUNNING,
    "die": ContainerState.EXITED,
    "pause": ContainerState.PAUSED,
    "unpause": ContainerState.RUNNING,
}

FILTERS = frozenset(
    [
        "config",
        "container",
        "daemon",
        "event",
        "image",
        "label",
        "network",
        "node",
        "plugin",
        "scope",
        "secret",
        "service",
        "type",
        "volume",
    ]
)

#: What is kept of an event's action, which holds the command of an exec, and of its attributes, which hold all labels.
MOST_ACTION_BYTES = 1024
MOST_ATTRIBUTE_BYTES = 16 * 1024


@dataclass(frozen=True)
class Event:
    account_id: UUID
    #: None for what only the database knows: a tag, a network made, a volume removed.
    node_id: UUID | None
    time_nano: int
    type: str
    action: str
    actor_id: str
    attributes: Mapping[str, str]
    #: 0 before it is stored.
    id: int = 0

    @property
    def verb(self) -> str:
        return self.action.partition(":")[0]


def bounded(event: Event) -> Event:
    """The event as it is stored: an index has the whole action, and neither a command nor labels of any length, told
    again at each step of a container, may fill the database. Of the attributes the longest are left out."""
    action, attributes = event.action, event.attributes
    if len(action.encode()) > MOST_ACTION_BYTES:
        action = action.encode()[:MOST_ACTION_BYTES].decode(errors="ignore")
    if sum(map(_weight, attributes.items())) > MOST_ATTRIBUTE_BYTES:
        left, kept = MOST_ATTRIBUTE_BYTES, set()
        for item in sorted(attributes.items(), key=lambda item: (item[0] not in ("name", "image"), _weight(item))):
            left -= _weight(item)
            if left < 0:
                break
            kept.add(item[0])
        attributes = {key: value for key, value in attributes.items() if key in kept}
    return replace(event, action=action, attributes=attributes)


def _weight(item: tuple[str, str]) -> int:
    return len(item[0].encode()) + len(item[1].encode())


def ours(account_id: UUID, kind: str, action: str, actor_id: str, attributes: Mapping[str, str]) -> Event:
    """An event that a service tells itself, for no engine knows of it. It happens now, by our own clock."""
    return Event(account_id, None, time.time_ns(), kind, action, actor_id, attributes)


def pruned(account_id: UUID, kind: str, reclaimed: int) -> Event:
    """`ours` of a prune, which freed so many bytes."""
    return ours(account_id, kind, "prune", "", {"reclaimed": str(reclaimed)})


def of_image(account_id: UUID, action: str, content: dict[str, Any], actor_id: str, name: str) -> Event:
    """`ours` about an image, whose labels are told with it; `content` is its inspect as it is kept."""
    return ours(account_id, "image", action, actor_id, {**(image_view.labels(content) or {}), "name": name})


def message(event: Event) -> dict[str, Any]:
    """The JSON object of GET /events at API 1.44 (moby api/types/events)."""
    shown: dict[str, Any] = {}
    if event.type == "container":
        shown = {"status": event.action, "id": event.actor_id, "from": event.attributes.get("image", "")}
    elif event.type == "image":
        shown = {"status": event.action, "id": event.actor_id}
    return {
        **shown,
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.actor_id, "Attributes": dict(event.attributes)},
        "scope": "local",
        "time": event.time_nano // 10**9,
        "timeNano": event.time_nano,
    }


def check_filters(filters: Filters) -> None:
    for key in filters:
        if key not in FILTERS:
            raise InvalidParameter(f"invalid filter '{key}'")


def passes(event: Event, filters: Filters) -> bool:
    """Whether an event passes all filters; values of one filter are alternatives, but for labels, which all count."""
    name = event.attributes.get("name", "")
    for key, values in filters.items():
        if not values:
            continue
        match key:
            case "type":
                ok = event.type in values
            case "event":
                ok = event.action in values or event.verb in values
            case "scope":
                ok = "local" in values
            case "label":
                ok = all(has_label(event.attributes, value) for value in values)
            case "image":
                image = name if event.type == "image" else event.attributes.get("image", "")
                about = {event.actor_id, _without_tag(event.actor_id), image, _without_tag(image)}
                ok = not about.isdisjoint(values)
            case _ if key == event.type:
                ok = any(event.actor_id.startswith(v) or name.startswith(v.removeprefix("/")) for v in values)
            case _:
                ok = False
        if not ok:
            return False
    return True


def _without_tag(image: str) -> str:
    """The repository; a colon before the last slash is a registry's port."""
    path = image.partition("@")[0]
    host, slash, name = path.rpartition("/")
    return host + slash + name.partition(":")[0]
