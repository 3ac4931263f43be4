"""CloudAPI on the running service: who is let in, who is refused and how, and what a key's removal ends."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import stat
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from tests import signing
from tests.e2e.clients import Docker
from tests.e2e.cloudapi import Cloud
from tests.e2e.stack import Response, Stack
from tests.e2e.test_identity import certify, name
from tests.machine import wait_until


@pytest.fixture
def cloud(stack: Stack) -> Cloud:
    return Cloud(stack, "alice")


def refusal(answer: Response) -> tuple[int, str]:
    """Status and code of an error, which must have CloudAPI's shape."""
    assert answer.headers["Content-Type"] == "application/json", answer
    assert set(answer.json()) == {"code", "message"}, answer
    for secret in (b"Traceback", b"postgres", b"SELECT", b"psycopg", b'File "', b".sock"):
        assert secret not in answer.body
    return answer.status, answer.json()["code"]


def test_what_the_data_center_offers(stack: Stack, cloud: Cloud) -> None:
    ping = cloud.send("GET", "/--ping")
    assert (ping.status, ping.json()["ping"]) == (200, "pong")
    assert ping.headers["Api-Version"] and ping.headers["Request-Id"] and ping.headers["Date"]
    for owner in ("my", "alice"):
        account = cloud("GET", f"/{owner}").json()
        assert account["login"] == "alice"
        urls = {"cloudapi": f"https://{stack.cloudapi}", "docker": f"tcp://{stack.address}:{stack.port}"}
        assert cloud("GET", f"/{owner}/services").json() == urls
        assert cloud("GET", f"/{owner}/datacenters").json() == {stack.about["datacenter"]: urls["cloudapi"]}
        packages = cloud("GET", f"/{owner}/packages").json()
        assert cloud("GET", f"/{owner}/packages/{packages[0]['id']}").json() == packages[0]
        assert [p["memory"] for p in packages] == sorted(p["memory"] for p in packages)


def test_networks_are_the_accounts_own(stack: Stack, cloud: Cloud, alice: str) -> None:
    stack.docker("alice", "create", "busybox", "true")
    (network,) = [n for n in cloud("GET", "/my/networks").json() if n["name"] == "bridge"]
    assert cloud("GET", f"/my/networks/{network['id']}").json() == network
    bob = Cloud(stack, "bob")
    assert network["id"] not in bob("GET", "/my/networks").body.decode()
    assert refusal(bob("GET", f"/my/networks/{network['id']}")) == (404, "ResourceNotFound")


@pytest.mark.parametrize("kind", signing.KINDS)
def test_every_kind_of_key_by_every_id(stack: Stack, cloud: Cloud, kind: str) -> None:
    private = signing.key(kind)
    with cloud.registered(private, f"the {kind} key"):
        other = Cloud(stack, "alice", private)
        ids = (signing.md5(private), f"MD5:{signing.md5(private)}", signing.sha256(private), f"the {kind} key")
        for key_id in ids:
            assert other("GET", "/my", key_id=f"/alice/keys/{key_id}").json()["login"] == "alice"
        for headers in ("date", "(request-target) host date"):
            assert other("GET", "/my", headers=headers, host="cloud.example").status == 200
        # As the seed's own helper and curl scripts do it.
        assert other("GET", "/my", headers="date", bare=True).status == 200
        assert other("GET", "/my", headers="x-date", x_date=formatdate(usegmt=True)).status == 200
        for digest in ("sha384", "sha512") if kind != "ed25519" else ():
            assert other("GET", "/my", algorithm=f"{kind}-{digest}").status == 200
    assert refusal(other("GET", "/my")) == (401, "InvalidCredentials")


def test_who_has_not_signed_is_refused(stack: Stack, cloud: Cloud) -> None:
    mine, his, strange = cloud.key, Cloud(stack, "bob").key, signing.key("ecdsa", 7)
    answers = [
        # No such account, another's key, an unknown key, a known key's id with another's signature.
        Cloud(stack, "nobody", mine)("GET", "/my"),
        Cloud(stack, "alice", his)("GET", "/my"),
        Cloud(stack, "alice", strange)("GET", "/my"),
        Cloud(stack, "alice", strange)("GET", "/my", key_id=f"/alice/keys/{signing.md5(mine)}"),
    ]
    assert {refusal(answer) for answer in answers} == {(401, "InvalidCredentials")}
    # The names and ids in it are those that the client said; otherwise it is one and the same.
    said = answers[3].json()["message"]
    assert answers[0].json()["message"] == said.replace("alice", "nobody")
    assert answers[2].json()["message"] == said.replace(signing.md5(mine), signing.md5(strange))

    good = signing.signed(mine, "alice", "GET", "/my/keys")
    assert cloud.send("GET", "/my/keys", headers=good).status == 200
    for method, target in (("DELETE", "/my/keys"), ("GET", "/my"), ("GET", "/my/keys?a=b"), ("GET", "/alice/keys")):
        assert refusal(cloud.send(method, target, headers=good)) == (401, "InvalidCredentials")
    for headers in ({}, {"authorization": "Basic YWxpY2U6"}, {"x-auth-token": "{}"}, {"x-sdc-account": "alice"}):
        assert refusal(cloud.send("GET", "/my/keys", headers=headers)) == (401, "InvalidCredentials")
    sha1 = good | {"authorization": good["authorization"].replace("ecdsa-sha256", "rsa-sha1")}
    assert refusal(cloud.send("GET", "/my/keys", headers=sha1)) == (401, "InvalidCredentials")
    assert refusal(cloud.send("GET", "/my", headers={"authorization": "Signature x"})) == (400, "InvalidHeader")


def test_a_wrong_clock_is_told(cloud: Cloud) -> None:
    for seconds in (-280, 280):
        assert cloud("GET", "/my", date=formatdate(time.time() + seconds, usegmt=True)).status == 200
    for seconds in (-310, 330, -86400):
        answer = cloud("GET", "/my", date=formatdate(time.time() + seconds, usegmt=True))
        assert refusal(answer) == (400, "InvalidHeader")
        assert "clock skew" in answer.json()["message"]


def test_another_account_is_out_of_reach(stack: Stack, cloud: Cloud) -> None:
    bob = Cloud(stack, "bob")
    before = bob("GET", "/my/keys").json()
    fingerprint = before[0]["fingerprint"]
    for owner in ("bob", "nobody"):
        calls = [("GET", ""), ("GET", "/keys"), ("POST", "/keys"), ("DELETE", f"/keys/{fingerprint}"), ("GET", "/x")]
        for method, path in calls:
            body = {"key": signing.public_line(signing.key("rsa"))} if method == "POST" else None
            answer = cloud(method, f"/{owner}{path}", body)
            assert refusal(answer) == (403, "NotAuthorized")
            assert answer.json()["message"] == f"You do not have permission to access {owner}"
    assert refusal(cloud("DELETE", f"/my/keys/{fingerprint}")) == (404, "ResourceNotFound")
    assert bob("GET", "/my/keys").json() == before


def test_a_disabled_account_is_refused(stack: Stack) -> None:
    bob = Cloud(stack, "bob")
    assert stack.sdc_docker("account", "disable", "bob").code == 0
    try:
        assert refusal(bob("GET", "/my")) == (403, "NotAuthorized")
    finally:
        assert stack.sdc_docker("account", "enable", "bob").code == 0
    assert bob("GET", "/my").status == 200


def test_removing_a_key_ends_what_it_opened(stack: Stack, cloud: Cloud, alice: str, tmp_path: Path) -> None:
    private = signing.key("ecdsa", 1)
    pair = certify(tmp_path, private, name("alice"))
    assert stack.request(None, "GET", "/info", certificate=pair).status == 401
    with cloud.registered(private, "short-lived") as fingerprint:
        assert stack.request(None, "GET", "/info", certificate=pair).status == 200
        connection = stack.connect(None, certificate=pair)
        connection.sendall(b"GET /v1.44/events HTTP/1.1\r\nHost: docker\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert cloud("DELETE", f"/my/keys/{fingerprint}").status == 204
        assert stack.request(None, "GET", "/info", certificate=pair).status == 401
        connection.settimeout(60)
        while connection.recv(65536):
            pass
        connection.close()
    recorded = stack.psql(
        "SELECT verb || ' ' || source || ' ' || actor || ' ' || host(client) FROM audit "
        f"WHERE target = '{signing.sha256(private)}' ORDER BY id"
    )
    assert [row[0] for row in recorded] == ["key.add cloudapi alice 127.0.0.1", "key.remove cloudapi alice 127.0.0.1"]


def test_keys_that_cannot_be_added(cloud: Cloud) -> None:
    before = cloud("GET", "/my/keys").json()
    for body, code in (
        ({}, "MissingParameter"),
        ({"key": "ssh-rsa nonsense"}, "InvalidArgument"),
        ({"key": before[0]["key"]}, "InvalidArgument"),
        ({"key": before[0]["key"], "login": "bob"}, "InvalidArgument"),
    ):
        assert refusal(cloud("POST", "/my/keys", body)) == (409, code)
    good = {"key": signing.public_line(signing.key("rsa", 1))}
    assert refusal(cloud("POST", "/my/keys", good, content_md5="AAAA")) == (400, "BadDigest")
    assert refusal(cloud("POST", "/my/keys", good, headers="date digest", digest="SHA-256=AAAA")) == (400, "BadDigest")
    assert cloud("GET", "/my/keys").json() == before


def test_the_front_stops_what_is_too_much(stack: Stack, cloud: Cloud) -> None:
    assert refusal(cloud("POST", "/my/keys", b"x" * 70_000)) == (413, "RequestTooLarge")
    assert refusal(cloud.send("GET", "/--ping", headers={"x-long": "x" * 40_000})) == (400, "BadRequest")
    # From an address of its own, so that nobody else is slowed down.
    answers = [cloud.send("GET", "/--ping", source="127.0.0.9") for _ in range(20)]
    assert {answer.status for answer in answers} == {200}
    host, _, port = stack.cloudapi.rpartition(":")
    context = ssl.create_default_context(cafile=stack.about["ca_file"])

    def throttled() -> bool:
        """Whether one of 400 requests without a pause is: their rate counts, which is the machine's."""
        with (
            socket.create_connection((host, int(port)), timeout=60, source_address=("127.0.0.9", 0)) as raw,
            context.wrap_socket(raw, server_hostname=host) as connection,
        ):
            connection.sendall(b"GET /--ping HTTP/1.1\r\nHost: x\r\n\r\n" * 400)
            seen = b""
            while seen.count(b"HTTP/1.1 ") < 400 and (data := connection.recv(65536)):
                seen += data
        return b"HTTP/1.1 429" in seen and b'{"code":"RequestThrottled"' in seen

    wait_until(throttled, "a refusal of what is too much")
    assert cloud.send("GET", "/--ping").status == 200


def test_no_socket_has_the_others_rule(stack: Stack, cloud: Cloud) -> None:
    """The Docker socket has no ears for a signature, CloudAPI's none for a preamble, nor the port for a certificate."""
    for path in (stack.app_socket, stack.cloudapi_socket):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    signed = signing.signed(cloud.key, "alice", "GET", "/my")
    head = "".join(f"{field}: {value}\r\n" for field, value in signed.items())
    with socket.socket(socket.AF_UNIX) as docker:
        docker.settimeout(60)
        docker.connect(str(stack.app_socket))
        docker.sendall(f"GET /info HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
        assert docker.recv(65536) == b""
    assert stack.request(None, "GET", "/info", headers=signing.signed(cloud.key, "alice", "GET", "/info")).status == 401
    with socket.socket(socket.AF_UNIX) as ours:
        ours.settimeout(60)
        ours.connect(str(stack.cloudapi_socket))
        ours.sendall(
            b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + b"\x7f\0\0\1" * 3 + b"GET /my HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        assert not ours.recv(65536).startswith(b"HTTP/1.1 200")
    answer = cloud.send("GET", "/my", headers={"x-real-ip": "alice", "x-forwarded-for": "alice"})
    assert refusal(answer) == (401, "InvalidCredentials")


def test_while_it_is_away_the_front_says_so(stack: Stack, cloud: Cloud, alice: str) -> None:
    pid, killed = stack.pid("cloudapi"), time.time_ns()
    os.kill(pid, signal.SIGKILL)
    seen: set[tuple[int, str]] = set()

    def back() -> bool:
        """With a new socket: a worker of the killed one may go on for a second."""
        answer = cloud("GET", "/my")
        if answer.status != 200:
            assert answer.headers["Retry-After"]
            seen.add(refusal(answer))
        socket_file = stack.cloudapi_socket
        return answer.status == 200 and socket_file.exists() and socket_file.stat().st_ctime_ns > killed

    wait_until(back, "CloudAPI is back")
    assert seen <= {(503, "ServiceUnavailable")}
    assert Docker(stack, "alice")("info").code == 0
