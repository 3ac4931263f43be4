"""`GET /metrics`: what all processes of this machine counted, and figures of the database, in Prometheus' text form.

It listens at a Unix socket (0660) or at a loopback address: there is no login, and it is the operator's alone.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from app.domain.figure import Figure
from app.metrics import process_start

log = structlog.get_logger()

#: In place of a process id: the sums of processes that have ended.
ENDED = "ended"


class Exporter:
    """Serves from a thread of its own, from the start until `stop`."""

    def __init__(self, address: str, folder: Path, figures: Callable[[], Iterable[Figure]]) -> None:
        self._folder = folder
        self._figures = figures
        self._one_at_a_time = threading.Lock()
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            server_version, sys_version = "sdc", ""
            timeout = 10

            def do_GET(self) -> None:
                found = self.path.partition("?")[0] == "/metrics"
                body = exporter.text() if found else b"/metrics is here\n"
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

            def address_string(self) -> str:
                return "local"

        self._server = _server(address, Handler)
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def text(self) -> bytes:
        registry = CollectorRegistry()
        registry.register(_Figures(self._figures))
        with self._one_at_a_time:
            self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            fold_ended(self._folder)
            MultiProcessCollector(registry, path=str(self._folder))
            return generate_latest(registry)


class _Figures:
    """A collector over figures; where they cannot be had, the rest is told all the same."""

    def __init__(self, figures: Callable[[], Iterable[Figure]]) -> None:
        self._get = figures

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            figures = list(self._get())
        except Exception as error:
            log.warning("no figures of the database", error=str(error))
            figures = [Figure("sdc_database_up", "Whether the database answers.", (), {(): 0})]
        for figure in figures:
            family = GaugeMetricFamily(figure.name, figure.help, labels=figure.labels)
            for labels, number in figure.rows.items():
                family.add_metric(labels, number)
            yield family


def _server(address: str, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    host, _, port = address.rpartition(":")
    if not address.startswith("/"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        kind = type("Server", (ThreadingHTTPServer,), {"address_family": family, "daemon_threads": True})
        return kind((host.strip("[]"), int(port)), handler)  # type: ignore[no-any-return]
    with contextlib.suppress(FileNotFoundError):
        os.unlink(address)
    server = _UnixServer(address, handler)  # type: ignore[arg-type]
    os.chmod(address, 0o660)
    return server


class _UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX
    daemon_threads = True

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "local", 0


def fold_ended(folder: Path) -> None:
    """What ended processes counted is kept as one sum, what they showed at the time is gone, and so are their files."""
    for path in folder.glob("*.db"):
        words = path.stem.split("_")
        pid, _, began = words[-1].partition("-")
        if not pid.isdigit() or process_start(int(pid)) == began:
            continue
        if words[0] != "gauge":
            sums = MmapedDict(str(folder / f"{words[0]}_{ENDED}.db"))
            try:
                for key, number, when, _ in MmapedDict.read_all_values_from_file(str(path)):
                    sums.write_value(key, sums.read_value(key)[0] + number, when)
            finally:
                sums.close()
        path.unlink()
