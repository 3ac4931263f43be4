"""The version type, its range, and the engine's sentences for what is outside."""

import pytest

from app.api.versions import CURRENT, MAXIMUM, MINIMUM, check, parse
from app.errors import InvalidParameter


def test_versions_order_by_their_numbers():
    texts = ["1.100", "1.9", "1.44", "1.20", "1.10", "1.2"]
    assert [str(version) for version in sorted(parse(text) for text in texts)] == [
        "1.2",
        "1.9",
        "1.10",
        "1.20",
        "1.44",
        "1.100",
    ]


def test_the_range():
    assert [str(MINIMUM), str(MAXIMUM)] == ["1.20", "1.44"]
    assert CURRENT is MAXIMUM
    for minor in range(20, 45):
        check(parse(f"1.{minor}"))


@pytest.mark.parametrize("text", ["1.45", "1.52", "1.999"])
def test_too_new(text):
    with pytest.raises(InvalidParameter) as caught:
        check(parse(text))
    assert caught.value.message == f"client version {text} is too new. Maximum supported API version is 1.44"


@pytest.mark.parametrize("text", ["1.0", "1.2", "1.9", "1.19"])
def test_too_old(text):
    with pytest.raises(InvalidParameter) as caught:
        check(parse(text))
    assert caught.value.message == (
        f"client version {text} is too old. Minimum supported API version is 1.20, "
        "please upgrade your client to a newer version"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [("2", "client version 2 is too new."), ("1.44.1", "client version 1.44.1 is too new."), ("0.9", "too old.")],
)
def test_other_numbers_get_the_sentence_of_the_range(text, words):
    with pytest.raises(InvalidParameter) as caught:
        parse(text)
    assert words in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.",
        ".24",
        "1.24.",
        "1.24.1",
        "v1.24",
        "1.24 ",
        "1.+24",
        "1.2e1",
        "1.1234567",
        "1.२४",
        "1,24",
        "latest",
    ],
)
def test_malformed_versions_are_refused(text):
    with pytest.raises(InvalidParameter):
        check(parse(text))


def test_a_long_version_is_not_echoed_whole():
    with pytest.raises(InvalidParameter) as caught:
        parse("9" * 10_000)
    assert len(caught.value.message) < 100
