import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api import params
from app.errors import Error, InvalidParameter


def query(**values):
    return {name: [value] if isinstance(value, str) else value for name, value in values.items()}


def test_a_query_string():
    parsed = params.parse_query("t=a&t=b&name=%2Fweb&all=&x=%C3%A4+b")
    assert parsed == {"t": ["a", "b"], "name": ["/web"], "all": [""], "x": ["ä b"]}
    assert params.parse_query("") == {}
    # WSGI decodes raw bytes as latin-1.
    assert params.parse_query("x=\u00c3\u00a4") == {"x": ["ä"]}


@pytest.mark.parametrize("text", ["x=%ff", "x=\u00ff", "x=%00", "%00=x", "&".join(["a=b"] * 1001)])
def test_bad_query_strings(text):
    with pytest.raises(InvalidParameter, match="invalid query string"):
        params.parse_query(text)


def test_once_or_several_times():
    assert params.one(query(name="x"), "name") == "x"
    assert params.one({}, "name") == ""
    assert params.one({}, "name", "default") == "default"
    assert params.one(query(name=""), "name", "default") == ""
    assert params.several(query(t=["a", "b"]), "t") == ["a", "b"]
    assert params.several({}, "t") == []
    for read in (params.one, params.boolean, params.integer, params.timestamp):
        with pytest.raises(InvalidParameter, match='parameter "x" is given more than once'):
            read(query(x=["1", "2"]), "x")


@pytest.mark.parametrize("text", ["", "0", "no", "No", "FALSE", "none", " false "])
def test_false(text):
    assert params.boolean(query(x=text), "x", default=True) is False


@pytest.mark.parametrize("text", ["1", "true", "True", "yes", "2", "x", "-", "00"])
def test_true(text):
    assert params.boolean(query(x=text), "x") is True


def test_absent_booleans():
    assert params.boolean({}, "x") is False
    assert params.boolean({}, "x", default=True) is True


@pytest.mark.parametrize(("text", "number"), [("5", 5), ("-1", -1), ("+7", 7), ("007", 7), ("", None)])
def test_integers(text, number):
    assert params.integer(query(t=text), "t") == number


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a=%zz", 'invalid URL escape "%zz"'),
        ("a=1&b=%4", 'invalid URL escape "%4"'),
        ("%", 'invalid URL escape "%"'),
        ("a=1;b=2", "invalid semicolon separator in query"),
    ],
)
def test_queries_that_go_does_not_read(text, words):
    with pytest.raises(InvalidParameter) as refused:
        params.parse_query(text)
    assert refused.value.message == words


def test_absent_integers():
    assert params.integer({}, "t") is None
    assert params.integer({}, "t", 10) == 10


@pytest.mark.parametrize("text", ["x", "1.5", "1e3", "0x1", " 1", "1 ", "\u0661", "1\n"])
def test_no_integers(text):
    with pytest.raises(InvalidParameter, match=r'^strconv\.Atoi: parsing ".*": invalid syntax$'):
        params.integer(query(t=text), "t")


def test_integers_out_of_range():
    for text in ("9" * 20, "-" + "9" * 19):
        with pytest.raises(InvalidParameter, match=f'^strconv\\.Atoi: parsing "{text}": value out of range$'):
            params.integer(query(t=text), "t")
    for text in ("-1", "601"):
        with pytest.raises(InvalidParameter, match='invalid value for "t"'):
            params.integer(query(t=text), "t", minimum=0, maximum=600)
    with pytest.raises(InvalidParameter):
        params.integer(query(t="9223372036854775808"), "t")


@pytest.mark.parametrize(
    ("text", "nanoseconds", "again"),
    [
        ("0", 0, "0.000000000"),
        ("1700000000", 1_700_000_000 * 10**9, "1700000000.000000000"),
        ("1700000000.5", 1_700_000_000_500_000_000, "1700000000.500000000"),
        ("1700000000.000000001", 1_700_000_000_000_000_001, "1700000000.000000001"),
        ("1700000000.0000000019", 1_700_000_000_000_000_001, "1700000000.000000001"),
        ("-1.5", -1_500_000_000, "-1.500000000"),
    ],
)
def test_timestamps(text, nanoseconds, again):
    assert params.timestamp(query(since=text), "since") == nanoseconds
    assert params.timestamp_text(nanoseconds) == again


def test_absent_timestamps():
    assert params.timestamp({}, "since") is None
    assert params.timestamp(query(since=""), "since") is None


@pytest.mark.parametrize(
    "text", ["x", "1.", ".5", "1.5.5", "2024-01-01", "5m", "1e9", "inf", "9" * 12, "1\n", "\u0661"]
)
def test_no_timestamps(text):
    with pytest.raises(InvalidParameter, match="failed to parse value as time or duration"):
        params.timestamp(query(since=text), "since")


@pytest.mark.parametrize(
    ("text", "lines"), [("all", None), ("", None), ("x", None), ("-1", None), ("0", 0), ("10", 10), ("9" * 19, None)]
)
def test_tail(text, lines):
    assert params.tail(query(tail=text)) == lines


def test_tail_absent():
    assert params.tail({}) is None


def test_detach_keys():
    assert params.detach_keys({}) == ""
    assert params.detach_keys(query(detachKeys="ctrl-a,x")) == "ctrl-a,x"
    with pytest.raises(InvalidParameter, match=r"Invalid detach keys \(x1\) provided"):
        params.detach_keys(query(detachKeys="x1"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("{}", {}),
        ("null", {}),
        ('{"label":["a=b","c","a=b"],"status":[]}', {"label": ["a=b", "c"], "status": []}),
        ('{"label":{"a=b":true,"c":true,"d":false}}', {"label": ["a=b", "c"]}),
        ('{"label":{"Foo":true,"foo":true}}', {"label": ["Foo", "foo"]}),
        ('{"name":null}', {"name": []}),
    ],
)
def test_filters(text, found):
    assert params.filters(query(filters=text)) == found


def test_no_filters():
    assert params.filters({}) == {}


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[]",
        '"x"',
        '{"a":"b"}',
        '{"a":[1]}',
        '{"a":{"b":1}}',
        '{"a":["b"],"c":{"d":true}}',
        '{"a":[["b"]]}',
        '{"a":["b"],"a":["c"]}',
        '{"a":["\\u0000"]}',
        '{"a":["b"]}{}',
        "[" * 100_000,
        '{"a":["\ud800"]}',
    ],
)
def test_bad_filters(text):
    with pytest.raises(InvalidParameter, match=r"^invalid filter$"):
        params.filters(query(filters=text))


def test_unknown_filters():
    assert params.filters(query(filters='{"id":["x"]}'), {"id"}) == {"id": ["x"]}
    with pytest.raises(InvalidParameter, match=r"^Invalid filter 'foo'$"):
        params.filters(query(filters='{"foo":["x"]}'), {"id"})


CREDENTIALS = {"username": "me", "password": "p?>~\u00ff\u00ff", "serveraddress": "registry.example.com"}


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("extra", ["", "x", "xx"])
def test_registry_auth(encode, padded, extra):
    credentials = CREDENTIALS | {"email": "e" + extra}
    header = encode(json.dumps(credentials, ensure_ascii=False).encode()).decode()
    assert params.registry_auth(header if padded else header.rstrip("=")) == credentials


def _header(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "e30=",
        "e30",
        "!!!",
        "AAAA",
        "=",
        "\u00e9",
        "bnVsbA==",
        _header(["x"]),
        _header("x"),
        _header({"username": 5, "password": None}),
        _header({"username": "a\r\nX-Evil: 1"}),
        _header({"unknown": "x"}),
        "A" * (64 * 1024 + 4),
        base64.b64encode(b"[" * 40_000).decode(),
    ],
)
def test_registry_auth_that_says_nothing(header):
    assert params.registry_auth(header) == {}


def test_registry_auth_in_other_letters():
    assert params.registry_auth(_header({"IdentityToken": "t", "Username": "u"})) == {
        "identitytoken": "t",
        "username": "u",
    }


@settings(max_examples=100, deadline=None, database=None)
@given(st.text(max_size=60))
def test_any_text(text):
    params.registry_auth(text)
    for read in (
        lambda: params.filters({"filters": [text]}),
        lambda: params.parse_query(text),
        lambda: params.timestamp({"x": [text]}, "x"),
        lambda: params.integer({"x": [text]}, "x"),
        lambda: params.detach_keys({"detachKeys": [text]}),
    ):
        try:
            read()
        except Error as refusal:
            refusal.message.encode()
    assert isinstance(params.boolean({"x": [text]}, "x"), bool)
    params.tail({"tail": [text]})
