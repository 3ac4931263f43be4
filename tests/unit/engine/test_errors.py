from __future__ import annotations

import time

import pytest

from app import errors
from app.engine.errors import from_status, scrub

UUID = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (304, errors.NotModified),
        (400, errors.InvalidParameter),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (500, errors.Internal),
        (501, errors.NotImplemented),
        (503, errors.Unavailable),
        (418, errors.Internal),
    ],
)
def test_from_status(status: int, kind: type[errors.Error]) -> None:
    error = from_status(status, "words")
    assert type(error) is kind and error.message == "words"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("No such container: c-1", "No such container: web"),
        ("feedfeed is feedfeed99", "short is long"),
        (f"c-{UUID} on n-{UUID} with v-{UUID}", "(object) on (object) with (object)"),
        ("veth on br-0123456789ab", "veth on (bridge)"),
        ("open /var/lib/docker/overlay2/x/merged: no", "open (path): no"),
        ('"/run/containerd/io/x" and /tmp/docker-x', '"(path)" and (path)'),
        (f'mounting "/data/engine/volumes/{"0" * 64}/_data" to rootfs at "/x"', 'mounting "(path)" to rootfs at "/x"'),
        (f"/srv/d/volumes/v-{UUID}/_data/sub: no", "(path): no"),
        ("open /srv/d/overlay2/x/merged/etc: no", "open (path): no"),
        (f"/srv/d/containers/{'0' * 64}/hosts", "(path)"),
        ("/app/containers/run.sh and /volumes/_data", "/app/containers/run.sh and /volumes/_data"),
        ("/etc/passwd in the container", "/etc/passwd in the container"),
        ("/home/user/docker", "/home/user/docker"),
        ("", ""),
    ],
)
def test_scrub(message: str, shown: str) -> None:
    assert scrub(message, {"c-1": "web", "feedfeed": "short", "feedfeed99": "long", "": "never"}) == shown


@pytest.mark.parametrize("word", ["(/", "/tmp", "/run/", "/volumes/", "/a/volumes/b", "/etc/dock", "0" * 63, "c-"])
def test_a_long_message_costs_no_time(word: str) -> None:
    began = time.process_time()
    scrub(word * (1024 * 1024 // len(word)), {})
    assert time.process_time() - began < 5.0
