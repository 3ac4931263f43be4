"""What a version decides beside the shape of a body, against what engines 20.10 and 26.1 answered."""

import json
import re
from pathlib import Path

import pytest

from app.api import versions
from app.api.versions import ApiVersion, parse
from app.errors import InvalidParameter

STREAMS = json.loads((Path(__file__).parent / "golden" / "engine-26.1" / "streams.json").read_text())


@pytest.mark.parametrize("minor", [2, 20, 21, 22, 23])
def test_errors_are_a_line_of_text_below_1_24(minor):
    assert versions.error_body(ApiVersion(1, minor), "No such container: nope") == (
        "text/plain; charset=utf-8",
        b"No such container: nope\n",
    )


@pytest.mark.parametrize("version", [None, ApiVersion(1, 24), ApiVersion(1, 44), ApiVersion(1, 60)], ids=str)
def test_errors_are_json_since(version):
    assert versions.error_body(version, "No such container: nope") == (
        "application/json",
        b'{"message":"No such container: nope"}\n',
    )


@pytest.mark.parametrize("version", [None, ApiVersion(1, 20)], ids=str)
@pytest.mark.parametrize("message", ['a "b" <c> & é', "\udcff broken", "two\nlines", ""])
def test_any_message_can_be_told(version, message):
    media_type, body = versions.error_body(version, message)
    text = body.decode()
    assert text.endswith("\n")
    told = json.loads(text)["message"] if media_type == "application/json" else text[:-1]
    assert told == message.encode(errors="replace").decode()
    assert "\\u003c" not in text


@pytest.mark.parametrize(("version", "operation", "tty", "upgraded", "status", "media_type"), STREAMS)
def test_stream_media_types_are_the_engines(version, operation, tty, upgraded, status, media_type):
    assert (status == 101) == upgraded
    assert versions.stream_media_type(parse(version), operation, tty, upgraded) == media_type


@pytest.mark.parametrize("minor", [20, 23])
@pytest.mark.parametrize("length", [None, 0, 7, 8, 5000])
def test_start_may_have_a_body_below_1_24(minor, length):
    versions.check_start_body(ApiVersion(1, minor), length)


@pytest.mark.parametrize("minor", [24, 44])
def test_start_has_no_body_since(minor):
    for length in (0, 2, 7):
        versions.check_start_body(ApiVersion(1, minor), length)
    for length in (None, 8):
        with pytest.raises(InvalidParameter) as caught:
            versions.check_start_body(ApiVersion(1, minor), length)
        assert caught.value.message == (
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
        )


@pytest.mark.parametrize(
    ("flag", "first_true", "first_false"),
    [
        (versions.exec_start_checks_content_type, 22, None),
        (versions.exec_inspect_embeds_container, None, 22),
        (versions.load_reports_progress, 23, None),
        (lambda version: versions.wait_failure_is_empty_body(version, "removed"), None, 34),
        (lambda version: versions.wait_failure_is_empty_body(version, "not-running"), None, 20),
    ],
)
def test_flags_turn_at_their_version(flag, first_true, first_false):
    turn = first_true if first_true is not None else first_false
    for minor in range(20, 45):
        assert flag(ApiVersion(1, minor)) == ((minor >= turn) == (first_true is not None))


def test_only_this_package_compares_versions():
    """No other module of the API asks which version it serves."""
    api = Path(versions.__file__).parents[1]
    comparison = re.compile(r"\bversion\s*(?:<|>)|ApiVersion\(\d")
    asking = [
        str(path.relative_to(api))
        for path in sorted(api.rglob("*.py"))
        if path.parent.name != "versions" and comparison.search(path.read_text())
    ]
    assert asking == []
