"""How much of a request is waited for before it gets a thread."""

from __future__ import annotations

import pytest

from app.server.head import SMALL_BODY, Head


def collect(data: bytes) -> Head:
    head = Head()
    head.buffer += data
    head.complete()
    return head


def request(*headers: str, first: str = "POST /x HTTP/1.1") -> bytes:
    return "\r\n".join([first, *headers, "", ""]).encode()


def test_a_head_is_complete_with_its_last_byte_whatever_the_split() -> None:
    data = request("Host: x", "Content-Length: 7")
    head = Head()
    for position, byte in enumerate(data):
        assert not head.complete(), position
        head.buffer.append(byte)
    assert head.complete()
    assert (head.size, head.small_body) == (len(data), 7)


def test_what_follows_the_head_is_not_part_of_it() -> None:
    data = request("Host: x")
    assert collect(data + b"body\r\n\r\n").size == len(data)


@pytest.mark.parametrize(
    ("headers", "small_body"),
    [
        (["content-length:12"], 12),
        (["CONTENT-LENGTH: \t 12 \t"], 12),
        ([f"Content-Length: {SMALL_BODY}"], SMALL_BODY),
        ([f"Content-Length: {SMALL_BODY + 1}"], 0),
        (["Content-Length: 99999999999999999999"], 0),
        ([], 0),
        (["Content-Length: 12", "Content-Length: 12"], 0),
        (["Content-Length: 12", "Transfer-Encoding: chunked"], 0),
        (["Transfer-Encoding: chunked"], 0),
        (["Content-Length: -1"], 0),
        (["Content-Length: 0x10"], 0),
        (["X-Content-Length: 12"], 0),
    ],
)
def test_only_a_plain_small_length_is_waited_for(headers: list[str], small_body: int) -> None:
    assert collect(request("Host: x", *headers)).small_body == small_body


@pytest.mark.parametrize(
    ("data", "expects"),
    [
        (request("Expect: 100-continue", "Content-Length: 5"), True),
        (request("Content-Length: 5", "EXPECT:100-Continue"), True),
        (request("Content-Length: 5", "X: Expect: 100-continue"), False),
        (request("Content-Length: 5", "Expect: 200-ok"), False),
        (request("Content-Length: 5", "Expect: 100-continue", first="POST /x HTTP/1.0"), False),
        (request("Content-Length: 5"), False),
    ],
)
def test_a_client_that_waits_for_continue_is_recognised(data: bytes, expects: bool) -> None:
    assert collect(data).expects_continue is expects
