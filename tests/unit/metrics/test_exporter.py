"""Numbers of several processes, living and ended, in one answer; each process here is a real one."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from app.domain.figure import Figure
from app.metrics.exporter import Exporter
from tests.machine import UnixConnection

ROOT = Path(__file__).resolve().parents[3]
PROCESS = """
import sys
from pathlib import Path
from app import metrics

metrics.start(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    metrics.count_request("containers.list", "GET", 200, 0.02)
metrics.count_request("", "BREW", 404, None)
metrics.set_streams({"logs": 2}, 100, 2000)
metrics.set_streams({"attach": 1}, 150, 2500)
metrics.set_worker(connections=3, busy=1, threads=16, waiting=0)
metrics.count_engine_call("GET", "/containers/secret-name/json", "ok", 0.003)
print("ready", flush=True)
sys.stdin.read()
"""


def process(folder: Path, requests: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROCESS, str(folder), str(requests)]
    started = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None and started.stdout.readline() == "ready\n"
    return started


def end(running: subprocess.Popen[str]) -> None:
    running.communicate("", timeout=20)


def exporter(tmp_path: Path, figures: Iterable[Figure] = ()) -> Exporter:
    return Exporter(str(tmp_path / "m.sock"), tmp_path / "metrics", lambda: figures)


def read(tmp_path: Path, path: str = "/metrics") -> tuple[int, str]:
    connection = UnixConnection(tmp_path / "m.sock")
    connection.request("GET", path)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def test_living_and_ended_processes_are_added_up_and_files_of_ended_ones_go(tmp_path: Path) -> None:
    served = exporter(tmp_path)
    try:
        folder = tmp_path / "metrics"
        first, second = process(folder, 3), process(folder, 4)
        both = read(tmp_path)[1]
        assert 'sdc_requests_total{method="GET",operation="containers.list",status="200"} 7.0' in both
        assert 'sdc_requests_total{method="other",operation="none",status="404"} 2.0' in both
        assert 'sdc_streams{kind="attach"} 2.0' in both and 'sdc_streams{kind="logs"} 0.0' in both
        assert 'sdc_relay_bytes_total{direction="down"} 5000.0' in both
        assert 'sdc_api{what="threads"} 32.0' in both
        assert "secret-name" not in both

        end(first)
        one = read(tmp_path)[1]
        assert 'operation="containers.list",status="200"} 7.0' in one
        assert 'sdc_request_seconds_count{operation="containers.list"} 7.0' in one
        assert 'sdc_streams{kind="attach"} 1.0' in one
        assert not list(folder.glob(f"*_{first.pid}-*"))

        end(second)
        assert 'operation="containers.list",status="200"} 7.0' in read(tmp_path)[1]
        assert sorted(path.name for path in folder.iterdir()) == ["counter_ended.db", "histogram_ended.db"]
        # A process that comes by the same id is another one.
        third = process(folder, 1)
        (counter,) = folder.glob(f"counter_{third.pid}-*")
        counter.rename(folder / f"counter_{third.pid}-1.db")
        assert 'operation="containers.list",status="200"} 8.0' in read(tmp_path)[1]
        assert not (folder / f"counter_{third.pid}-1.db").exists()
        end(third)
    finally:
        served.stop()


def test_figures_are_told_and_their_failure_costs_nothing_else(tmp_path: Path) -> None:
    def fails() -> Iterable[Figure]:
        raise ValueError("the database is away")

    served = exporter(tmp_path, [Figure("sdc_nodes", "Nodes.", ("state",), {("up",): 2.0})])
    assert 'sdc_nodes{state="up"} 2.0' in read(tmp_path)[1]
    served.stop()
    served = Exporter(str(tmp_path / "m.sock"), tmp_path / "metrics", fails)
    try:
        status, text = read(tmp_path)
        assert status == 200 and "sdc_database_up 0.0" in text
        assert read(tmp_path, "/")[0] == 404
        assert (tmp_path / "m.sock").stat().st_mode & 0o777 == 0o660
    finally:
        served.stop()


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_it_may_listen_at_a_loopback_address(tmp_path: Path, address: str) -> None:
    served = Exporter(f"{address}:0", tmp_path / "metrics", list)
    try:
        port = served._server.server_address[1]
        connection = http.client.HTTPConnection(address.strip("[]"), port, timeout=30)
        connection.request("GET", "/metrics")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        served.stop()


def test_scrapes_at_the_same_time_do_not_disturb_one_another(tmp_path: Path) -> None:
    served = exporter(tmp_path)
    try:
        end(process(tmp_path / "metrics", 5))
        found: list[str] = []
        threads = [threading.Thread(target=lambda: found.append(read(tmp_path)[1])) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(found) == 5
        assert all('operation="containers.list",status="200"} 5.0' in text for text in found)
    finally:
        served.stop()
