"""What a version decides beside the shape of a body: media types, error bodies, and what a call accepts.

Resources ask by name and never compare versions. The facts were read in moby's and docker/cli's sources and seen on
engine 20.10, which answers every version from 1.12 to 1.41.
"""

from __future__ import annotations

import json

from app.api.versions.api_version import ApiVersion, parse
from app.errors import InvalidParameter

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"

#: The longest start body that counts as none: no object that says something is shorter.
_NO_START_BODY = 7


def error_body(version: ApiVersion | None, message: str, operation: str = "") -> tuple[str, bytes]:
    """The media type and the body of an error: a line of plain text below 1.24, a JSON object since.

    Attach tells its errors as what it would have streamed, in every version. `version` is None where the path names
    none that can be read.
    """
    if operation == "containers.attach":
        return RAW_STREAM, f"{message}\r\n".encode(errors="replace")
    if version is not None and version < (1, 24):
        return TEXT, f"{message}\n".encode(errors="replace")
    return JSON, (json.dumps({"message": message}, ensure_ascii=False, separators=(",", ":")) + "\n").encode(
        errors="replace"
    )


def has_route(version: ApiVersion, until: str) -> bool:
    """Whether the version still has a route that went away with `until`; "" is never."""
    return not until or version < parse(until)


def check_route(version: ApiVersion, since: str, route: str) -> None:
    """Raises InvalidParameter where the version does not have the route yet."""
    if since and version < parse(since):
        # `docker inspect NAME` asks for one kind of thing after the other, and goes on where one is "not supported".
        raise InvalidParameter(f"{route} requires minimum API version {since} and is not supported in {version}")


def stream_media_type(version: ApiVersion, operation: str, tty: bool, upgraded: bool) -> str:
    """The media type of the output of containers.attach, containers.logs and exec.start.

    Since 1.42 a stream of stdout and stderr frames says so. A hijack without an Upgrade header, which is answered with
    200, stays raw in every version. `upgraded` means nothing for logs.
    """
    framed = not tty and version >= (1, 42)
    if framed and (upgraded or operation == "containers.logs"):
        return MULTIPLEXED_STREAM
    return RAW_STREAM


def check_start_body(version: ApiVersion, content_length: int | None) -> bool:
    """Whether a start request has a body. Raises InvalidParameter when it must not have one.

    Below 1.24 a HostConfig is accepted there. `content_length` is None for a chunked body, whose length is unknown.
    """
    has_one = content_length is None or content_length > _NO_START_BODY
    if has_one and version >= (1, 24):
        raise InvalidParameter(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
        )
    return has_one


def exec_start_checks_content_type(version: ApiVersion) -> bool:
    """Whether exec start insists on application/json; CLI 1.8 and 1.9 send its JSON as text/plain."""
    return version >= (1, 22)


def exec_inspect_embeds_container(version: ApiVersion) -> bool:
    """Whether exec inspect carries the container's whole inspect object.

    The resource puts the current version's object under `Container`; the downgrade walks it with the rest.
    """
    return version < (1, 22)


def websocket_frames_are_text(version: ApiVersion) -> bool:
    """Whether an attach by websocket sends text frames; binary ones since 1.28."""
    return version < (1, 28)


def wait_failure_is_empty_body(version: ApiVersion, condition: str) -> bool:
    """Whether a failed removal is told to a `wait` by no body at all, because its answer has no `Error` yet."""
    return version < (1, 34) and condition == "removed"


def load_reports_progress(version: ApiVersion) -> bool:
    """Whether image load answers with a stream of JSON messages; older versions answer with nothing."""
    return version >= (1, 23)


def network_list_shows_containers(version: ApiVersion) -> bool:
    """Whether the list of networks tells which containers are on each. Since 1.28 one asks for each network."""
    return version < (1, 28)
