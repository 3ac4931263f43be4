"""Settings: every one is on the page, the page has no other, and a wrong value is named in a sentence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import ProcessSettings, Settings

ROOT = Path(__file__).resolve().parents[2]
URL = {"SDC_DATABASE_URL": "postgresql+psycopg2://sdc@/sdc"}
_NAME = re.compile(r"SDC_[A-Z_]*[A-Z]")


def known() -> set[str]:
    return set(_NAME.findall((ROOT / "app/settings.py").read_text()))


def test_every_setting_is_on_the_page_and_nothing_else() -> None:
    rows = [line for line in (ROOT / "deploy/SETTINGS.md").read_text().splitlines() if line.startswith("| `SDC_")]
    named = [_NAME.findall(row.split("|")[1])[0] for row in rows]
    assert len(named) == len(set(named))
    assert set(named) == known()
    for row in rows:
        assert len(row.split("|")) == 7, row  # name, meaning, default, unit, who reads it
        assert all(cell.strip() for cell in row.split("|")[1:-1]), row


def test_nobody_else_reads_them() -> None:
    reads = re.compile(r"environ[^\n]*SDC_|getenv\([^\n]*SDC_")
    sources = [*ROOT.glob("app/**/*.py"), *ROOT.glob("deploy/gunicorn*.conf.py")]
    # The operator's command hands the database's URL on to the migrations, which run as a program of their own.
    allowed = {ROOT / "app/settings.py", ROOT / "app/cli/db.py"}
    found = [path for path in sources if path not in allowed and reads.search(path.read_text())]
    assert not found


def test_the_example_names_known_settings_alone() -> None:
    example = (ROOT / "deploy/systemd/environment.example").read_text()
    assert set(_NAME.findall(example)) <= known()
    assert re.search(r"^SDC_DATABASE_URL=", example, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SDC_DATABASE_URL", ""),
        ("SDC_DATABASE_URL", "mysql://x"),
        ("SDC_NETWORK_POOL", "10.0.0.0/33"),
        ("SDC_NETWORK_POOL", "10.0.0.0/25"),
        ("SDC_THREADS", "many"),
        ("SDC_THREADS", "0"),
        ("SDC_THREADS", "-4"),
        ("SDC_THREADS", "٣"),
        ("SDC_DATABASE_POOL", "1e3"),
        ("SDC_LOG_LEVEL", "loud"),
        ("SDC_LOG_DRIVERS", "syslog, journald"),
        ("SDC_RUN_DIR", "run"),
        ("SDC_METRICS", "0.0.0.0:9323"),
        ("SDC_METRICS", "localhost:9323"),
        ("SDC_METRICS", "127.0.0.1:0"),
        ("SDC_METRICS", "metrics.sock"),
        ("SDC_WORKERS", "0"),
        ("SDC_STOP_SECONDS", "1"),
        ("SDC_RETIRE_SECONDS", "forever"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    environ = URL | {name: value}
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        Settings.from_environ(environ)
        ProcessSettings.from_environ(environ)


def test_defaults() -> None:
    settings = ProcessSettings.from_environ({})
    assert (settings.socket, settings.metrics) == ("/run/sdc-docker/api.sock", "/run/sdc-docker/metrics.sock")
    assert ProcessSettings.from_environ({"SDC_METRICS": "[::1]:9323", "SDC_WORKERS": ""}).workers == 2


WRONG = [
    ("sdc-docker-api", "app.wsgi", {"SDC_LOG_DRIVERS": "journald"}, "SDC_LOG_DRIVERS may name fluentd, gelf", 4),
    ("sdc-docker-api", "app.wsgi", {"SDC_DATABASE_URL": ""}, "SDC_DATABASE_URL must be set", 4),
    ("sdc-docker-api", "app.wsgi", {"SDC_REGISTRY": "no host"}, "SDC_REGISTRY must be the host", 4),
    ("sdc-docker-api", "app.wsgi", {"SDC_REGISTRY": "registry.dc"}, "SDC_REGISTRY_AUTH_FILE: ", 4),
    ("sdc-docker-cloudapi", "app.cloudapi_wsgi", {"SDC_DATABASE_POOL": "0"}, "SDC_DATABASE_POOL must be", 4),
    ("sdc-docker-cloudapi", "app.cloudapi_wsgi", {"SDC_DOCKER_ADDRESS": "here"}, "SDC_DOCKER_ADDRESS must be", 4),
    ("sdc-docker-observer", "app.observer", {"SDC_NETWORK_POOL": "all"}, "SDC_NETWORK_POOL: ", 78),
    (
        "sdc-docker-observer",
        "app.observer",
        {"SDC_DATABASE_URL": "postgresql+psycopg2://u:p@h:x/y"},
        "SDC_DATABASE_URL: ",
        78,
    ),
]


@pytest.mark.parametrize(
    ("part", "module", "environ", "words", "status"),
    WRONG,
    ids=[f"{part}-{[*environ]}" for part, _, environ, *_ in WRONG],
)
def test_a_part_that_is_told_something_wrong_says_so_and_is_not_started_again(
    part: str, module: str, environ: dict[str, str], words: str, status: int
) -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("SDC_")} | URL | environ
    ran = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stderr.startswith(f"{part}: {words}") and ran.stderr.count("\n") == 1
    assert ran.returncode == status


@pytest.mark.parametrize(
    "url", ["u:p@h:5432/x", "u:p/w#?1@h/x", "u@[::1]:5432/x", "[::1]/x", "/x?host=/run/pg", "u@/x?host=/run/pg", "h"]
)
def test_a_database(url: str) -> None:
    Settings.from_environ({"SDC_DATABASE_URL": f"postgresql+psycopg2://{url}"})
