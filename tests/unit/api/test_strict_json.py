"""The texts that an engine and Python's own reader understand differently, and what else is no plain JSON."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api import strict_json
from app.errors import Error, InvalidParameter, TooLarge


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"{}", {}),
        (b' \r\n\t{"a": [1, -2, 0.5, true, false, null, "x"]}\n ', {"a": [1, -2, 0.5, True, False, None, "x"]}),
        (b"null", None),
        ('{"\u00e4":"\u20ac"}'.encode(), {"ä": "€"}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"1e9", 1e9),
        (b'{"Labels":{"Foo":"1","foo":"2"},"volumes":{"/Data":{},"/data":{}}}', None),
        (b'{"NetworkingConfig":{"EndpointsConfig":{"Net":{},"net":{}}}}', None),
        ('{"Labels":{"stra\u00dfe":"","strasse":""}}'.encode(), None),
    ],
)
def test_plain_json(data, value):
    assert strict_json.loads(data) == (json.loads(data) if value is None else value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "invalid JSON: got EOF while reading request body"),
        (b" \n", "invalid JSON: got EOF while reading request body"),
        (b'{"HostConfig":{"Privileged":true},"HostConfig":{"Memory":6291456}}', 'duplicate key "HostConfig"'),
        (b'{"a":{"b":[{"c":1,"c":1}]}}', 'duplicate key "c"'),
        (b'{"Labels":{"a":"1","a":"2"}}', 'duplicate key "a"'),
        (b'{"HostConfig":{},"hostconfig":{"privileged":true}}', 'duplicate key "hostconfig"'),
        ('{"HostConfig":{"NetworkMode":"none","Networ\u212aMode":"host"}}'.encode(), "duplicate key"),
        (b'{"HostConfig":{"NetworkMode":"none","Networ\\u212aMode":"host"}}', "duplicate key"),
        (b'{"SecurityOpt":[],"\\u017fecurityOpt":["seccomp=unconfined"]}', "duplicate key"),
        (b'{"Labels":{"x":{"A":1,"a":1}}}', 'duplicate key "a"'),
        (b'{"Labels":{"Labels":{"A":1,"a":1}}}', 'duplicate key "a"'),
        (b'{"EndpointsConfig":{"net":{"Aliases":[],"aliases":[]}}}', 'duplicate key "aliases"'),
        (b'{"a":NaN}', "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "Infinity"),
        (b"1e999", "float64"),
        (b"-1e999", "float64"),
        (b"{} {}", "unexpected content after JSON"),
        (b'{"Image":"x"}{"Image":"y"}', "unexpected content after JSON"),
        (b"{}\0", "unexpected content after JSON"),
        (b"9223372036854775808", "int64"),
        (b"-9223372036854775809", "int64"),
        (b"[" + b"9" * 5000 + b"]", "int64"),
        (b"9" * 1_000_000, "int64"),
        (b"\xff\xfe{\0}\0", "UTF-8"),
        (b'"\xff"', "UTF-8"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b"\xef\xbb\xbf{}", "invalid character"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udc00":1}', "surrogate"),
        (b'["\\ude00\\ud83d"]', "surrogate"),
        (b'{"Labels":{"a":"\\u0000"}}', "NUL"),
        (b'{"a\\u0000":1}', "NUL"),
        (b'"\0"', "invalid character"),
        (b'"a\nb"', "invalid character"),
        (b"{'a':1}", "invalid character"),
        (b'{"a":1,}', "invalid character"),
        (b"[1,]", "invalid character"),
        (b"01", "unexpected content after JSON"),
        (b"+1", "invalid character '+'"),
        (b"truth", "invalid character 't'"),
        (b"// x\n{}", "invalid character '/'"),
        (b'{"a":', "unexpected end of JSON input"),
        (b'{"a', "unexpected end of JSON input"),
        (b"\xc2\xa0{}", "invalid character"),
    ],
)
def test_refused(data, message):
    with pytest.raises(InvalidParameter) as refusal:
        strict_json.loads(data)
    assert message in refusal.value.message
    assert len(refusal.value.message) < 200


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
def test_deep_nesting(data):
    with pytest.raises(InvalidParameter, match=r"32 levels|unexpected end"):
        strict_json.loads(data)


def test_the_deepest():
    assert strict_json.loads(b"[" * 32 + b"]" * 32)
    with pytest.raises(InvalidParameter, match="more than 32 levels"):
        strict_json.loads(b"[" * 33 + b"]" * 33)
    with pytest.raises(InvalidParameter, match="more than 32 levels"):
        strict_json.loads(b'{"a":' * 33 + b"1" + b"}" * 33)


def test_the_most_values():
    assert len(strict_json.loads(b"[" + b",".join([b"1"] * 9_999) + b"]")) == 9_999
    with pytest.raises(InvalidParameter, match="more than 10000 values"):
        strict_json.loads(b"[" + b",".join([b"1"] * 10_000) + b"]")


def test_the_largest():
    assert len(strict_json.loads(b'"' + b"x" * (1024 * 1024 - 2) + b'"')) == 1024 * 1024 - 2
    with pytest.raises(TooLarge):
        strict_json.loads(b'"' + b"x" * (1024 * 1024 - 1) + b'"')
    with pytest.raises(TooLarge):
        strict_json.loads(b"[1, 2]", max_bytes=5)


def test_texts_whose_keys_are_data():
    data = b'{"label":{"Foo":true,"foo":true}}'
    with pytest.raises(InvalidParameter, match="duplicate key"):
        strict_json.loads(data)
    assert strict_json.loads(data, data_keys=True) == json.loads(data)
    with pytest.raises(InvalidParameter, match="duplicate key"):
        strict_json.loads(b'{"label":{"foo":true,"foo":true}}', data_keys=True)


@settings(max_examples=200, deadline=None, database=None)
@given(
    st.binary(max_size=60) | st.text(alphabet='{}[]":,0123456789.eE+-\\u truefalsnNI\n"', max_size=40).map(str.encode)
)
def test_any_bytes(data):
    try:
        value = strict_json.loads(data)
    except Error as refusal:
        refusal.message.encode()
        return
    assert value == json.loads(data)


@settings(max_examples=100, deadline=None, database=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        lambda child: st.lists(child, max_size=4) | st.dictionaries(st.sampled_from("abcde"), child, max_size=4),
        max_leaves=20,
    )
)
def test_what_is_plain_comes_back(value):
    assert strict_json.loads(json.dumps(value).encode()) == value
