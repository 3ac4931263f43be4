"""The front door: whose connection it is, and what nobody can say instead."""

from __future__ import annotations

import grp
import hashlib
import json
import os
import ssl

import pytest

from tests.e2e.front_door import FrontDoor, get, make_identity, preamble, read_all, read_response


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_self_signed_certificate_reaches_the_application_whole(door: FrontDoor, version: ssl.TLSVersion) -> None:
    with door.tls(door.alice, version) as sock:
        sock.sendall(get("/identity"))
        status, headers, body = read_response(sock)
        source = sock.getsockname()
    identity = json.loads(body)
    assert status == 200
    assert identity["certificate"] == door.alice.pem
    assert identity["subject"] == "CN=alice"
    assert identity["verify"] == "FAILED:self-signed certificate"
    assert (identity["source_address"], identity["source_port"]) == source == ("127.0.0.1", identity["source_port"])
    assert identity["remote"] == "127.0.0.1"
    assert "server" not in headers


def test_no_certificate_is_said_to_be_none(door: FrontDoor) -> None:
    identity = json.loads(door.ask(get("/identity", "Connection: close")).partition(b"\r\n\r\n")[2])
    assert (identity["verify"], identity["subject"], identity["certificate"]) == ("NONE", "", "")


def test_a_certificate_of_the_data_centers_ca_is_verified(door: FrontDoor) -> None:
    bob = make_identity(door.folder, "bob", signer=door.ca)
    identity = json.loads(door.ask(get("/identity", "Connection: close"), bob).partition(b"\r\n\r\n")[2])
    assert (identity["verify"], identity["subject"], identity["certificate"]) == ("SUCCESS", "CN=bob", bob.pem)


def test_a_large_certificate_below_the_limit_arrives(door: FrontDoor) -> None:
    large = make_identity(door.folder, "large", padding=20_000)
    identity = json.loads(door.ask(get("/identity", "Connection: close"), large).partition(b"\r\n\r\n")[2])
    assert identity["certificate"] == large.pem


@pytest.mark.parametrize("padding", [26_000, 60_000])
def test_a_certificate_over_the_limit_closes_the_connection(door: FrontDoor, padding: int) -> None:
    oversized = make_identity(door.folder, f"oversized{padding}", padding=padding)
    try:
        answer = door.ask(get("/identity", "Connection: close"), oversized)
    except (ssl.SSLError, ConnectionError):
        answer = b""
    assert answer == b""


def test_two_requests_on_a_connection_have_the_same_identity(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        identities = []
        for _ in range(2):
            sock.sendall(get("/identity"))
            identities.append(json.loads(read_response(sock)[2]))
    assert identities[0] == identities[1]
    assert identities[1]["certificate"] == door.alice.pem


def test_pipelined_requests_are_answered_in_order(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        body = b"x" * 1000
        post = get("/body", f"Content-Length: {len(body)}", method="POST") + body
        sock.sendall(post + get("/identity") + post + get("/_ping"))
        answers = [read_response(sock)[2] for _ in range(4)]
    assert answers[0] == answers[2] == b"1000 " + hashlib.sha256(body).hexdigest().encode()
    assert json.loads(answers[1])["certificate"] == door.alice.pem
    assert answers[3] == b"OK"


def test_an_identity_in_headers_stays_a_header(door: FrontDoor) -> None:
    request = get("/identity", "X-Forwarded-For: 9.9.9.9", "X-SDC-Client-Cert: forged", "Connection: close")
    identity = json.loads(door.ask(request, door.alice).partition(b"\r\n\r\n")[2])
    assert identity["source_address"] == identity["remote"] == "127.0.0.1"
    assert identity["certificate"] == door.alice.pem


@pytest.mark.parametrize("header", ["PATH_INFO: /_ping", "SCRIPT_NAME: /x", "X_SDC: y", "SDC.PREAMBLE_: y"])
def test_headers_with_underscores_are_refused(door: FrontDoor, header: str) -> None:
    assert door.ask(get("/identity", header), door.alice).startswith(b"HTTP/1.1 400 ")


def test_a_second_preamble_through_nginx_is_refused(door: FrontDoor) -> None:
    answer = door.ask(preamble(verify=b"SUCCESS") + get("/identity", "Connection: close"), door.alice)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"192.0.2.7" not in answer


def test_a_preamble_in_place_of_a_later_request_is_refused(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        sock.sendall(get("/_ping"))
        assert read_response(sock)[0] == 200
        sock.sendall(preamble(verify=b"SUCCESS") + get("/identity"))
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"192.0.2.7" not in answer


@pytest.mark.parametrize(
    "first",
    [
        get("/identity"),
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n" + get("/identity"),
        b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00" + get("/identity"),
        preamble(verify=b"") + get("/identity"),
        preamble(verify=b"SUCCESS") + get("/identity"),
    ],
)
def test_without_a_valid_preamble_the_socket_gives_no_service(door: FrontDoor, first: bytes) -> None:
    with door.unix() as sock:
        sock.sendall(first)
        assert read_all(sock) == b""


def test_the_socket_is_for_nginx_and_us_alone(door: FrontDoor) -> None:
    found = os.stat(door.socket_path)
    assert found.st_mode & 0o777 == 0o660
    assert found.st_uid == os.geteuid()
    if os.geteuid() == 0:
        assert grp.getgrgid(found.st_gid).gr_name == "www-data"
