"""nginx's words -> what happened to a client and what it should do. The lines are nginx 1.22's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.services.doctor.finding import Verdict
from app.services.doctor.handshakes import Refusal, cause, from_log, judge, read

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


def line(tls: str, verify: str = "NONE", status: int = 500, at: str = "2026-05-04T11:59:00+00:00") -> str:
    return f'{at} [refused] client: 192.0.2.7, status: {status}, tls: "{tls}", verify: "{verify}", subject: "CN=alice"'


@pytest.mark.parametrize(
    ("tls", "verify", "status", "words"),
    [
        ("TLSv1.3 TLS_AES_256_GCM_SHA384", "FAILED:certificate has expired", "500", "certificate has expired"),
        ("TLSv1.3 TLS_AES_256_GCM_SHA384", "FAILED:certificate is not yet valid", "500", "not valid yet"),
        ("TLSv1.3 TLS_AES_256_GCM_SHA384", "FAILED:something new", "500", "something new"),
        ("TLSv1.3 TLS_AES_256_GCM_SHA384", "NONE", "500", "did not trust our certificate"),
        ("TLSv1.2 (NONE)", "NONE", "500", "did not trust our certificate"),
        ("TLSv1.1 (NONE)", "NONE", "500", "below 1.2"),
        ("TLSv1.3 (NONE)", "NONE", "500", "no TLS on the TLS port"),
        ("- -", "-", "500", "no TLS on the TLS port"),
        ("TLSv1.3 TLS_AES_256_GCM_SHA384", "NONE", "502", "did not accept the connection"),
        ("TLSv1.3 TLS_AES_256_GCM_SHA384", "NONE", "503", "too many connections"),
    ],
)
def test_causes_of_our_lines(tls: str, verify: str, status: str, words: str) -> None:
    meaning, advice = cause(status, tls, verify)
    assert words in meaning and advice


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "2026/05/04 11:59:00 [info] 17#17: *3 SSL_do_handshake() failed (SSL: error:0A000418:SSL routines::tlsv1 "
            "alert unknown ca:SSL alert number 48) while SSL handshaking, client: 192.0.2.7, server: 0.0.0.0:2376",
            "does not trust our CA",
        ),
        (
            "2026/05/04 11:59:00 [info] 17#17: *4 client SSL certificate verify error: (10:certificate has expired) "
            "while SSL handshaking, client: 192.0.2.7, server: 0.0.0.0:2376",
            "client's certificate has expired",
        ),
        (
            "2026/05/04 11:59:00 [info] 17#17: *5 SSL_do_handshake() failed (SSL: error:0A00009C:SSL routines::http "
            "request) while SSL handshaking, client: 192.0.2.7, server: 0.0.0.0:2376",
            "plain HTTP",
        ),
        (
            "2026/05/04 11:59:00 [info] 17#17: *5 peer closed connection in SSL handshake while SSL handshaking, "
            "client: 192.0.2.7, server: 0.0.0.0:2376",
            "did not trust our certificate",
        ),
    ],
)
def test_causes_of_nginx_own_lines(text: str, words: str) -> None:
    (found,) = read([text])
    assert words in found.cause and found.client == "192.0.2.7"


def test_other_lines_are_none() -> None:
    assert list(read(["2026/05/04 11:59:00 [notice] 17#17: start worker process 18", "", "nonsense [refused]"])) == []


def test_judgement() -> None:
    assert judge([], NOW).verdict is Verdict.OK
    scans = [Refusal(NOW, "192.0.2.9", *cause("500", "TLSv1.3 (NONE)", "NONE"))] * 40
    assert judge(scans, NOW).verdict is Verdict.OK
    expired = Refusal(
        NOW - timedelta(minutes=5), "192.0.2.7", *cause("500", "TLSv1.3 X", "FAILED:certificate has expired")
    )
    found = judge([*scans, expired], NOW)
    assert found.verdict is Verdict.WARN
    assert "certificate has expired (1)" in found.seen and "TLS port, or nothing (40)" in found.seen
    assert found.advice == expired.advice


def test_a_log(tmp_path: Path) -> None:
    log = tmp_path / "nginx.log"
    old = line("TLSv1.1 (NONE)", at="2026-05-02T11:59:00+00:00")
    new = line("TLSv1.3 X", "FAILED:certificate has expired", at="2026-05-04T13:58:00+02:00")
    log.write_bytes(f"{old}\n{new}\n".encode() + b"\xff\xfe broken \x00\n")
    found = from_log(log, NOW)
    assert "expired (1)" in found.seen and "2 minutes ago" in found.seen and "below" not in found.seen
    missing = from_log(tmp_path / "none", NOW)
    assert missing.verdict is Verdict.WARN and "SDC_NGINX_LOG" in missing.advice


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "nginx.log"
    filler = ("x" * 200 + "\n").encode()
    log.write_bytes(
        (line("TLSv1.1 (NONE)") + "\n").encode() + filler * 30_000 + (line("TLSv1.2 (NONE)") + "\n").encode()
    )
    found = from_log(log, NOW)
    assert "did not trust" in found.seen and "below 1.2" not in found.seen
