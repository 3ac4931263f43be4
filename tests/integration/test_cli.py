"""`sdc-docker` against a real database: every verb, its exit status, what it prints for people and for programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import app, db
from app.errors import Error
from tests.integration.world import World
from tests.machine import ROOT

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF1Xk3Lh1Sd7mBR6ZKyTb5hXkrX7gYkKn0X0yT2gkW1w"


def test_what_is_installed_has_the_migrations() -> None:
    """They lie beside `app`, in a wheel as in a checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["packages"]["find"]["include"]
    for package in ("app", "app.cli", "migrations", "migrations.versions"):
        assert [pattern for pattern in patterns if fnmatch(package, pattern)], package
    assert Path(db._alembic().get_main_option("script_location") or "") == ROOT / "migrations"


class Command:
    """`sdc-docker` in this process."""

    def __init__(self, url: str) -> None:
        self._env = {"SDC_DATABASE_URL": url, "COLUMNS": "200"}

    def __call__(self, *words: str) -> str:
        """What it prints; it must end with 0."""
        done = CliRunner().invoke(app, words, env=self._env)
        assert done.exit_code == 0, (words, done.output, done.exception)
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))

    def refused(self, *words: str) -> str:
        """The sentence; the command must be refused."""
        done = CliRunner().invoke(app, words, env=self._env)
        assert isinstance(done.exception, Error), (words, done.output, done.exception)
        return done.exception.message

    def misused(self, *words: str) -> str:
        done = CliRunner().invoke(app, words, env=self._env)
        assert done.exit_code == 2, (words, done.output, done.exception)
        return done.output


@pytest.fixture
def command(world: World) -> Command:
    return Command(world.url)


def test_accounts(command: Command, tmp_path: Path) -> None:
    (tmp_path / "laptop.pub").write_text(f"{KEY} ann@laptop\n")
    assert command("account", "add", "carol", "--key", str(tmp_path / "laptop.pub")).startswith("SHA256:")
    shown = command.json("account", "show", "carol")
    assert set(shown) >= {"login", "id", "state", "quota", "keys", "running", "images", "volumes", "networks"}
    assert shown["quota"]["containers"] == {"used": 0, "max": 100}
    assert shown["keys"][0]["name"] == "laptop"
    command("account", "quota", "carol", "--containers", "7", "--memory", "4g", "--cpus", "1.5")
    command("account", "disable", "carol")
    (row,) = [a for a in command.json("account", "list") if a["login"] == "carol"]
    assert (row["state"], row["quota"]["memory"]["max"], row["quota"]["nano_cpus"]["max"]) == (
        "disabled",
        4 << 30,
        1_500_000_000,
    )
    table = command("account", "list")
    assert "0 of 7" in table and "0 B of 4 GiB" in table and "0 of 1.5" in table
    assert "disabled" in command("account", "show", "carol")
    command("account", "enable", "carol")
    assert command.json("account", "show", "carol")["state"] == "enabled"
    assert command.refused("account", "show", "nobody") == "there is no account nobody"
    assert command.refused("account", "add", "carol") == "there is an account carol already"
    assert "name at least one limit" in command.misused("account", "quota", "carol")
    assert "a size is a number" in command.misused("account", "quota", "carol", "--memory", "much")


def test_keys(command: Command, tmp_path: Path) -> None:
    (tmp_path / "laptop.pub").write_text(f"{KEY} ann@laptop\n")
    fingerprint = command("key", "add", "alice", str(tmp_path / "laptop.pub"), "--name", "mine").strip()
    assert command.json("key", "list", "alice") == [{"name": "mine", "fingerprint": fingerprint}]
    assert fingerprint in command("key", "list", "alice")
    command("key", "remove", "alice", fingerprint)
    assert command.refused("key", "remove", "alice", fingerprint) == f"account alice has no key {fingerprint}"


def test_nodes(command: Command, world: World) -> None:
    world.run(world.alice, "web")
    (row,) = command.json("node", "list")
    assert (row["name"], row["containers"], row["cordoned"]) == ("n1", 1, False)
    command("node", "cordon", "n1", "--reason", "new [disk]")
    assert "up, cordoned" in command("node", "list")
    shown = command("node", "show", "n1")
    assert "yes: new [disk]" in shown and "t4-standard-1G" in shown and "nobody" in shown
    assert command.json("node", "show", "n1")["packages"] == [{"package": "t4-standard-1G", "containers": 1}]
    command("node", "uncordon", "n1")
    assert "is not empty" in command.refused("node", "remove", "n1")
    assert command.refused("node", "show", "n2") == "there is no node n2"


def test_packages(command: Command) -> None:
    command("package", "add", "tiny", "--memory", "64m", "--cpus", "0.25")
    (tiny,) = [p for p in command.json("package", "list") if p["name"] == "tiny"]
    assert (tiny["memory"], tiny["swap"], tiny["nano_cpus"]) == (64 << 20, 256 << 20, 250_000_000)
    assert (tiny["disk"], tiny["pids"], tiny["disabled_at"]) == (1600 << 20, 544, None)
    command("package", "disable", "tiny")
    assert "withdrawn" in command("package", "list")
    command("package", "enable", "tiny")
    assert "withdrawn" not in command("package", "list")
    assert command.refused("package", "disable", "huge") == "there is no package huge"
    assert "at least 6m" in command.misused("package", "add", "tinier", "--memory", "1m", "--cpus", "1")


def test_images_and_pools(command: Command, world: World) -> None:
    world.create(world.alice, "web")
    assert {i["account"] for i in command.json("image", "list")} == {"alice", "bob"}
    assert [i["account"] for i in command.json("image", "list", "--unused")] == ["bob"]
    assert "busybox:latest" in command("image", "list", "--account", "alice")
    assert command.refused("image", "list", "--node", "n2") == "there is no node n2"
    pool = {"pool": "10.224.0.0/12", "subnets": 4096, "taken": 4, "free": 4092, "outside": 0}
    assert command.json("network-pool", "list") == [pool]
    assert "4092" in command("network-pool", "list")
    assert command.json("network-pool", "networks")[0]["account"] == "alice"
    assert "bridge" in command("network-pool", "networks")


def test_audit(command: Command) -> None:
    command("account", "disable", "bob")
    command.refused("account", "disable", "nobody")
    (row,) = command.json("audit", "--account", "bob")
    assert (row["verb"], row["target"], row["result"], row["source"]) == ("account.disable", "bob", "done", "operator")
    keys = {"id", "at", "actor", "detail", "status", "reason", "left_out", "request_id", "client", "milliseconds"}
    assert set(row) >= keys
    assert [r["target"] for r in command.json("audit", "--refused")] == ["nobody"]
    assert command.json("audit", "--since", "2h", "--until", "1h") == []
    assert "account.disable" in command("audit", "--verb", "account", "--limit", "5")
    assert "a time is like" in command.misused("audit", "--since", "yesterday")


def test_db(command: Command, world: World) -> None:
    facts = command.json("db", "status")
    assert facts["revision"] == facts["head"] and facts["size"] > 0 and facts["connections"] > 0
    assert "revision" in command("db", "status")
    said = command("db", "backup")
    assert "pg_dump" in said and "pg_restore" in said and "CA's key" in said
    command("db", "upgrade")
    world.sql("UPDATE alembic_version SET version_num = '0000'")
    assert "this version needs" in command("db", "status")


def test_a_password_is_not_shown() -> None:
    url = "postgresql+psycopg2://sdc:s3cr3t@db.example/sdc"
    done = CliRunner().invoke(app, ["db", "backup"], env={"SDC_DATABASE_URL": url})
    assert done.exit_code == 0 and "s3cr3t" not in done.stdout and "postgresql://sdc@db.example/sdc" in done.stdout


@pytest.mark.parametrize(
    "words", [["frobnicate"], ["account", "frobnicate"], ["account", "show"], ["node", "list", "--frobnicate"], []]
)
def test_wrong_usage(command: Command, words: list[str]) -> None:
    command.misused(*words)


# --- as a program of its own -----------------------------------------------------------------------------------------


def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SDC_")}
    command = [sys.executable, "-m", "app.cli", *words]
    return subprocess.run(command, cwd=ROOT, env=kept | env, capture_output=True, text=True, timeout=60, check=False)


def test_exit_statuses_and_words(database_url: str) -> None:
    done = run("account", "show", "nobody", SDC_DATABASE_URL=database_url)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "sdc-docker: there is no account nobody\n")
    unset = run("account", "list")
    assert unset.returncode == 1 and unset.stderr.startswith("sdc-docker: SDC_DATABASE_URL must be set")
    away = run("account", "list", SDC_DATABASE_URL="postgresql+psycopg2://sdc@/sdc?host=/nowhere")
    assert (away.returncode, away.stderr) == (1, "sdc-docker: the service's database cannot be reached now\n")


def test_a_schema_that_does_not_fit(postgres: Any) -> None:
    with postgres.database("template0") as url:
        done = run("account", "list", SDC_DATABASE_URL=url)
        assert done.returncode == 1 and "run: sdc-docker db upgrade" in done.stderr
        assert "Traceback" not in done.stderr
        status = run("db", "status", SDC_DATABASE_URL=url)
        assert status.returncode == 0 and "none, this version needs" in status.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    script = run("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert script.returncode == 0 and "_SDC_DOCKER_COMPLETE" in script.stdout and "sdc-docker" in script.stdout
    words = {"COMP_WORDS": "sdc-docker network", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "sdc-docker network"}
    done = run(_SDC_DOCKER_COMPLETE=f"complete_{shell}", _TYPER_COMPLETE_FISH_ACTION="get-args", **words)
    assert "network-pool" in done.stdout and "doctor" not in done.stdout
