"""Compose 1.29.2 and v2, unchanged: a stack of five services from `up` to `down -v`, and single words of both."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import stack as stacks
from tests.e2e.compose import SERVICES, SHOP, V2, Compose, Generation, both_generations, containers, give
from tests.e2e.compose import left as left_of
from tests.e2e.stack import Stack
from tests.machine import wait_until


@pytest.fixture(scope="module")
def account(stack: Stack) -> Iterator[str]:
    """An account of these tests' own, with the database's image."""
    yield give(stack, "dora")
    stack.remove_all("dora")


@pytest.fixture
def compose(stack: Stack, account: str, generation: Generation, tmp_path: Path) -> Iterator[Compose]:
    running = Compose(generation, stack.env(account), tmp_path)
    yield running
    if left_of(stack, account, running.project):
        running("down", "-v", "--remove-orphans", "-t", "0", check=False)


def ids(stack: Stack, account: str) -> dict[str, str]:
    """Service -> id of its container, of the shop."""
    found = containers(stack, account, "shop").values()
    return {one["Labels"]["com.docker.compose.service"]: one["Id"] for one in found}


@both_generations
@pytest.mark.timeout(900)
def test_five_services_from_up_to_down(stack: Stack, account: str, generation: Generation, compose: Compose) -> None:
    compose.write(SHOP)
    name = generation.name
    compose("build")
    compose("up", "-d")
    assert sorted(containers(stack, account, "shop")) == [name("shop", service) for service in SERVICES]
    # Behind each other: the front, the application, the database; the worker has written.
    wait_until(lambda: compose.get("web", 80, "/cgi-bin/index") == "hello 1\n", "the worker's first turn", timeout=90)
    shows_it(stack, account, compose)
    follows_it(compose)
    runs_and_copies(stack, account, compose)
    scales(stack, account, compose)
    changes(stack, account, compose)
    compose("stop", "-t", "1", "worker")
    assert containers(stack, account, "shop")[name("shop", "worker")]["State"] == "exited"
    compose("start", "worker")
    compose("kill", "worker")
    compose("rm", "-f", "worker")
    assert name("shop", "worker") not in containers(stack, account, "shop")
    compose("down", "-v")
    assert left_of(stack, account, "shop") == []


def shows_it(stack: Stack, account: str, compose: Compose) -> None:
    """ps, port, top, and who reaches whom."""
    name = compose.generation.name
    shown = compose("ps").text
    assert all(name("shop", service) in shown for service in SERVICES)
    assert "healthy" in shown
    assert compose("port", "web", "80").text.startswith(f"{stack.node_address}:")
    top = compose("top").text
    assert "httpd -f -p 80" in top and "postgres: checkpointer" in top
    # Only who is on the network behind reaches what is there.
    networks = containers(stack, account, "shop")[name("shop", "cache")]["NetworkSettings"]["Networks"]
    address = networks["shop_back"]["IPAddress"]
    ask = ("wget", "-qO-", f"http://{address}/none")
    assert "404" in compose("exec", "-T", "app", "timeout", "20", *ask, check=False).said
    assert compose("exec", "-T", "web", "timeout", "2", *ask, check=False).said == ""


def follows_it(compose: Compose) -> None:
    """events and logs -f while something happens."""
    with compose.background("events") as events, compose.background("logs", "-f", "worker") as logs:
        logs.wait_for("turn")

        def listens() -> bool:
            """Nothing but an event says so."""
            compose("kill", "-s", "CONT", "cache")
            return "container kill" in events.text

        wait_until(listens, "the first event")
        before = logs.text.count("turn")
        compose("restart", "-t", "0", "cache")
        wait_until(lambda: logs.text.count("turn") > before, "more turns")
        compose("pause", "worker")
        assert "aused" in compose("ps", "-a").text
        compose("unpause", "worker")
        events.wait_for("container restart", "container pause", "container unpause")


def runs_and_copies(stack: Stack, account: str, compose: Compose) -> None:
    """run, cp."""
    name = compose.generation.name
    # `run` has the networks and the environment of the service.
    told = compose("run", "--rm", "-T", "app", "sh", "-c", 'echo "$GREETING" && psql -At -c "SELECT 6*7"')
    assert told.text.split() == ["hello", "42"]
    # Configuration by cp, where Compose has it.
    (compose.folder / "page").write_text("from outside")
    if compose.generation.major > 1:
        compose("cp", "page", "cache:/cache/page")
        compose("cp", "cache:/cache/page", "back")
        assert (compose.folder / "back").read_text() == "from outside"
    else:
        stack.docker(account, "cp", str(compose.folder / "page"), f"{name('shop', 'cache')}:/cache/page")
    assert compose("exec", "-T", "app", "wget", "-qO-", "http://cache/page").text == "from outside"


def scales(stack: Stack, account: str, compose: Compose) -> None:
    """More of one, fewer again."""
    name = compose.generation.name
    up = ("up", "-d", "--no-build", "--scale")
    compose(*up, "cache=3")
    assert {name("shop", "cache", n) for n in (1, 2, 3)} < set(containers(stack, account, "shop"))
    compose(*up, "cache=1")
    assert sorted(containers(stack, account, "shop")) == [name("shop", service) for service in SERVICES]


def changes(stack: Stack, account: str, compose: Compose) -> None:
    """What is changed is made anew; the volumes stay."""
    old = ids(stack, account)
    compose.env["PAUSE"] = "0.2"
    compose("up", "-d", "--no-build")
    new = ids(stack, account)
    assert {service for service in SERVICES if old[service] != new[service]} == {"worker"}
    file = compose.folder / "docker-compose.yml"
    file.write_text(file.read_text().replace("interval: 1s", "interval: 2s"))
    compose("up", "-d", "--no-build", "db")
    assert ids(stack, account)["db"] != new["db"]
    assert compose("exec", "-T", "cache", "cat", "/cache/page").text == "from outside"
    wait_until(
        lambda: compose.get("web", 80, "/cgi-bin/index") == "hello 1\n", "the database with its data", timeout=90
    )


TWO = {
    "docker-compose.yml": """
        version: "2.4"
        services:
          one: {image: "${BUSYBOX}", command: "sh -c 'trap exit TERM; echo one is there; while sleep 0.2; do :; done'"}
          two: {image: "${BUSYBOX}", command: "sleep 600", stop_signal: SIGKILL, depends_on: [one]}
        """
}


def stock(stack: Stack) -> dict[str, str]:
    """Environment for the engine's own socket."""
    kept = {name: value for name, value in stack.env("alice").items() if not name.startswith("DOCKER_")}
    return {**kept, "DOCKER_HOST": stack.engine.url, "DOCKER_CONFIG": stack.env("alice")["DOCKER_CONFIG"]}


def states(compose: Compose) -> list[tuple[str, str]]:
    """Name and state of each container of the project. Which signal was the last differs from run to run."""
    shown = "{{.Name}} {{.State.Status}}"
    listed = subprocess.run(
        [stacks.clis()["20"], "ps", "-aq", "--filter", f"label=com.docker.compose.project={compose.project}"],
        env=compose.env, capture_output=True, text=True, timeout=30, check=True,
    ).stdout.split()  # fmt: skip
    told = subprocess.run(
        [stacks.clis()["20"], "inspect", "-f", shown, *listed],
        env=compose.env, capture_output=True, text=True, timeout=30, check=True,
    ).stdout.splitlines()  # fmt: skip
    return sorted(tuple(line.split()) for line in told)  # type: ignore[misc]


@both_generations
@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_the_end_of_an_attached_up_leaves_what_stock_leaves(
    stack: Stack, alice: str, generation: Generation, sig: signal.Signals, tmp_path: Path
) -> None:
    image = stack.request(alice, "GET", "/v1.44/images/busybox/json").json()["Id"]
    found = []
    for env in (stack.env(alice), stock(stack)):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        compose = Compose(generation, env | {"BUSYBOX": image}, folder, project="ended")
        compose.write(TWO)
        try:
            with compose.background("up") as up:
                # Not what `up` itself shows: Compose 1.29 waits for a TLS connection to become readable when it has
                # read the line's head and left the rest of the record, at a stock engine behind TLS as well.
                wait_until(lambda of=compose: "one is there" in of("logs", "one", check=False).text, "the first")
                wait_until(lambda of=compose: [s[1] for s in states(of)] == ["running"] * 2, "both")
                code = up.end(sig)
            # Compose 2 ends with 130 or 2: whichever of its own two ways to end is faster.
            found.append((code != 0, states(compose)))
        finally:
            compose("down", "-v", "-t", "0", check=False)
    assert found[0] == found[1]


@pytest.mark.parametrize("generation", [V2], ids=str)
def test_configs_and_secrets_are_put_in_as_files(account: str, compose: Compose) -> None:
    compose.write(
        {
            "docker-compose.yml": """
                services:
                  web:
                    image: busybox
                    command: httpd -f -h /www
                    stop_signal: SIGKILL
                    configs: [{source: page, target: /www/page, mode: 0444}]
                    secrets: [word]
                    healthcheck: {test: "wget -qO- http://127.0.0.1/page", interval: 1s}
                configs: {page: {content: "it is ${WHAT}"}}
                secrets: {word: {environment: WORD}}
                """
        }
    )
    compose.env |= {"WHAT": "there", "WORD": "sesame"}
    compose("up", "-d", "--wait")
    assert compose("exec", "-T", "web", "wget", "-qO-", "http://127.0.0.1/page").text == "it is there"
    assert compose("exec", "-T", "web", "cat", "/run/secrets/word").text == "sesame"
    assert "shop" in compose("ls").text and "busybox" in compose("images").text


@both_generations
def test_what_is_refused_is_said_and_leaves_nothing(stack: Stack, account: str, compose: Compose) -> None:
    compose.write(
        {
            "docker-compose.yml": """
                version: "2.4"
                services:
                  web: {image: busybox, command: sleep 600, volumes: ["./here:/there"]}
                """
        }
    )
    refused = compose("up", "-d", check=False)
    assert refused.code != 0 and "host" in refused.said
    assert containers(stack, account, "shop") == {}
    compose("down", "-v")
    assert left_of(stack, account, "shop") == []


@both_generations
def test_the_exit_of_one_ends_all(stack: Stack, account: str, generation: Generation, compose: Compose) -> None:
    compose.write(
        {
            "docker-compose.yml": """
                version: "2.4"
                services:
                  job: {image: busybox, command: "sh -c 'sleep 1; echo done; exit 7'", depends_on: [base]}
                  base: {image: busybox, command: sleep 600, stop_signal: SIGKILL}
                """
        }
    )
    done = compose("up", "--abort-on-container-exit", "--exit-code-from", "job", check=False)
    assert done.code == 7 and "done" in done.text, done
    assert {c["State"] for c in containers(stack, account, "shop").values()} == {"exited"}
