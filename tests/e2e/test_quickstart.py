"""deploy/quickstart: one command from a fresh machine to docker run, and back."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.e2e.stack import ADDRESS, Stack, clis, quickstart
from tests.machine import Engine, folder, free_port, wait_until

#: Each `up` of a new home makes its Python environment.
pytestmark = pytest.mark.timeout(600)


def test_status_shows_parts_engine_and_accounts(stack: Stack) -> None:
    status = stack.status()

    parts = {name: part["state"] for name, part in status["parts"].items()}
    assert parts == dict.fromkeys(
        ["postgres", "dockerd", "registry", "gunicorn", "cloudapi", "observer", "nginx"], "running"
    )
    for part in status["parts"].values():
        assert Path(f"/proc/{part['pid']}").exists()
    (engine,) = status["engines"]
    assert engine["private"] and engine["answers"]
    assert stat.S_ISSOCK(os.stat(engine["socket"]).st_mode)
    assert {"alice", "bob"} <= set(status["accounts"])
    assert status["answers"] is True
    said = stack.quickstart("status").text
    assert "gunicorn" in said and engine["socket"] in said
    assert f"https://{stack.cloudapi}" in said


def test_env_prints_only_export_lines_that_work(stack: Stack) -> None:
    for account, words in (("alice", ["env"]), ("bob", ["env", "bob"])):
        done = stack.quickstart(*words)
        assert done.code == 0 and done.said == ""
        lines = done.text.splitlines()
        assert [line.split("=")[0] for line in lines] == [
            "export DOCKER_HOST",
            "export DOCKER_CERT_PATH",
            "export DOCKER_TLS_VERIFY",
            "export COMPOSE_HTTP_TIMEOUT",
            "export DOCKER_BUILDKIT",
        ]
        script = "\n".join(lines) + "\ndocker info"
        env = {"PATH": os.environ["PATH"], "HOME": str(stack.home / "run")}
        info = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, timeout=60, check=False)
        assert f"SDCAccount: {account}" in info.stdout, info.stderr


def test_env_of_an_unknown_account_says_how_to_add_it(stack: Stack) -> None:
    done = stack.quickstart("env", "nobody-here")
    assert done.code == 1
    assert done.text == ""
    assert "no account nobody-here" in done.said and "account nobody-here" in done.said


def test_a_second_up_changes_nothing_and_is_quick(stack: Stack) -> None:
    before = stack.status()
    files = _files(stack.home)
    started = _computed()

    done = stack.quickstart("up")

    took = _computed() - started
    assert done.code == 0, done.said
    assert stack.status()["parts"] == before["parts"]
    assert _files(stack.home) == files
    assert "SDCAccount: alice" in done.text and "hello" in done.text
    assert took < 6  # About 1 s, and 15 s where it sets something up.


def _computed() -> float:
    """Seconds of a processor that commands have taken so far: what else the machine does is not in them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _files(home: Path) -> dict[str, bytes]:
    """Content of what the set-up wrote."""
    kept = [*home.glob("accounts/*/*"), *home.glob("ca/*"), home / "state.json", home / "nginx" / "nginx.conf"]
    kept += [home / "run" / "supervisord.conf", home / "engine" / "daemon.json", home / "bin" / "sdc-docker"]
    return {str(path): path.read_bytes() for path in kept}


def test_account_is_added_once_with_its_own_key(stack: Stack) -> None:
    first = stack.quickstart("account", "carol")
    assert first.code == 0, first.said
    key = (stack.certificates("carol") / "key.pem").read_bytes()

    second = stack.quickstart("account", "carol")
    assert second.code == 0, second.said
    assert (stack.certificates("carol") / "key.pem").read_bytes() == key
    assert key != (stack.certificates("alice") / "key.pem").read_bytes()
    assert stack.docker("carol", "run", "--rm", "busybox", "echo", "hi").text == "hi\n"
    assert "busybox" in stack.docker("carol", "images").text


@pytest.mark.parametrize("name", ["../evil", "a b", "-x", ""])
def test_an_impossible_account_name_is_refused(stack: Stack, name: str) -> None:
    before = stack.psql("SELECT count(*) FROM accounts")
    done = stack.quickstart("account", "--", name)
    assert done.code == 1
    assert "cannot be an account's login" in done.said
    assert stack.psql("SELECT count(*) FROM accounts") == before


def test_certificates_are_long_lived_and_keys_are_private(stack: Stack) -> None:
    certificates = stack.certificates("alice")
    for path, name in ((certificates / "cert.pem", "alice"), (stack.home / "ca" / "server.pem", "my.triton")):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        assert lifetime.days > 3650
        assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == name
    server = x509.load_pem_x509_certificate((stack.home / "ca" / "server.pem").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "my.triton"} <= set(names.get_values_for_type(x509.DNSName))
    assert ADDRESS in {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    for secret in (certificates / "id", certificates / "key.pem", stack.home / "ca" / "ca.key"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(certificates.stat().st_mode) == 0o700


def test_the_application_socket_is_for_nginx_alone(stack: Stack) -> None:
    about = stack.app_socket.stat()
    assert stat.S_IMODE(about.st_mode) == 0o660


@pytest.mark.parametrize("part", ["nginx", "gunicorn", "cloudapi", "observer", "dockerd", "postgres"])
def test_a_part_that_dies_is_started_again(stack: Stack, part: str) -> None:
    old = stack.pid(part)
    os.kill(old, signal.SIGKILL)

    wait_until(lambda: stack.pid(part) not in (0, old), f"{part} runs again")

    def works() -> bool:
        return stack.docker("alice", "run", "--rm", "busybox", "echo", "again", check=False).stdout == b"again\n"

    wait_until(works, f"docker run works after {part} died", timeout=120)
    # It runs, and does not only try to: nothing of the dead one is in its way.
    time.sleep(3)
    assert stack.status()["parts"][part]["state"] == "running"
    assert stack.pid(part) == stack.pid(part) != 0


# --- what it cannot do, it says ------------------------------------------------------------------------------------


def test_a_taken_port_is_named_with_its_owner() -> None:
    with folder("quickstart") as parent, socket.create_server((ADDRESS, 0)) as other:
        home, port = parent / "home", other.getsockname()[1]
        done = quickstart("up", "--home", str(home), "--address", ADDRESS, "--port", str(port), "--engine", "private")
        assert done.code == 1
        assert f"port {port} at {ADDRESS} is taken by" in done.said
        assert f"process {os.getpid()}" in done.said
        # It could be repeated with another port, and it can be taken down.
        assert quickstart("down", "--home", str(home)).code == 0
        assert not home.exists()


def test_so_is_one_for_cloudapi_but_its_default_gives_way() -> None:
    # As far from the Docker port as 8443 is from 2376.
    distance = 8443 - 2376
    with folder("quickstart") as parent, _with_a_free_port_below(distance) as other:
        home, taken = parent / "home", other.getsockname()[1]
        words = ["up", "--home", str(home), "--address", ADDRESS, "--engine", "unix:///no/sock", "--port"]
        done = quickstart(*words, str(free_port()), "--cloudapi-port", str(taken))
        assert f"port {taken} at {ADDRESS} is taken by" in done.said and "--cloudapi-port" in done.said
        # The default would be the same port; the engine is all that is missing.
        assert "/no/sock" in quickstart(*words, str(taken - distance)).said
        assert quickstart("down", "--home", str(home)).code == 0


def _with_a_free_port_below(distance: int) -> socket.socket:
    """A server at a port that has a free one so far below it."""
    for _ in range(100):
        server = socket.create_server((ADDRESS, 0))
        with contextlib.suppress(OSError), socket.socket() as below:
            below.bind((ADDRESS, server.getsockname()[1] - distance))
            return server
        server.close()
    raise AssertionError("no free port below another")


def test_a_foreign_address_is_refused() -> None:
    with folder("quickstart") as parent:
        home = parent / "home"
        for address, reason in (("203.0.113.7", "no address of this machine"), ("example", "must be an IP address")):
            done = quickstart("up", "--home", str(home), "--address", address, "--port", str(free_port()))
            assert done.code == 1
            assert reason in done.said
        assert quickstart("down", "--home", str(home)).code == 0


def test_a_folder_with_other_files_is_left_alone() -> None:
    with folder("quickstart") as home:
        (home / "letter").write_text("mine")
        done = quickstart("up", "--home", str(home))
        assert done.code == 1 and "not this command's" in done.said
        assert quickstart("down", "--home", str(home)).code == 1
        assert [path.name for path in home.iterdir()] == ["letter"]


def test_an_engine_that_does_not_answer_or_is_too_old_is_named() -> None:
    with folder("quickstart") as parent:
        home = parent / "home"
        missing = quickstart(
            "up", "--home", str(home), "--address", ADDRESS, "--port", str(free_port()), "--engine", "unix:///no/sock"
        )
        assert missing.code == 1 and "/no/sock" in missing.said
        with _old_engine(parent / "old.sock"):
            old = quickstart(
                "up", "--home", str(home), "--address", ADDRESS, "--port", str(free_port()),
                "--engine", f"unix://{parent}/old.sock",
            )  # fmt: skip
        assert old.code == 1
        assert re.search(r"19\.03.*1\.40.*1\.41", old.said)
        assert quickstart("down", "--home", str(home)).code == 0


_OLD_ENGINE = """
import http.server, json, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self): return "client"
    def log_message(self, *words): pass
    def do_GET(self):
        body = b"[]" if "images" in self.path else json.dumps({"Version": "19.03.15", "ApiVersion": "1.40"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
socketserver.UnixStreamServer(sys.argv[1], Handler).serve_forever()
"""


class _old_engine:
    """Something that says it is Docker 19.03."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._process = subprocess.Popen(["/usr/bin/python3", "-c", _OLD_ENGINE, str(self._path)])
        wait_until(self._path.exists, "the old engine")

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait(5)


def test_without_apt_what_is_missing_is_named() -> None:
    """On a machine that has all but one program, and nothing to install it with."""
    with folder("quickstart") as parent:
        programs = parent / "programs"
        programs.mkdir()
        for path in Path("/usr/bin").iterdir():
            if path.name != "xz" and not path.name.startswith("apt"):
                (programs / path.name).symlink_to(path)
        home = parent / "home"
        words = ["up", "--home", str(home), "--address", ADDRESS, "--port", str(free_port()), "--engine", "private"]
        done = quickstart(*words, env={"PATH": str(programs)})
        assert done.code == 1
        assert "there is no apt-get to install them: xz-utils" in done.said
        assert quickstart("down", "--home", str(home)).code == 0
        assert not home.exists()


def test_an_ordinary_user_is_told_to_be_root() -> None:
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-s", "up"],
        input=Path(__file__).resolve().parents[2].joinpath("deploy/quickstart").read_bytes(),
        capture_output=True, timeout=60, check=False, cwd="/",
    )  # fmt: skip
    assert done.returncode == 1
    assert b"must be root" in done.stderr


def test_words_it_does_not_know_are_refused() -> None:
    assert quickstart("dance").code == 2
    assert "Usage" in quickstart("--help").text
    assert quickstart("status", "--home", "relative").code == 1
    assert "nothing is set up" in quickstart("env", "--home", "/nowhere/at/all").said


# --- and back ------------------------------------------------------------------------------------------------------


def test_down_removes_what_up_made_and_nothing_else() -> None:
    forwarding = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    with folder("quickstart") as parent:
        home = parent / "home"
        try:
            # With a way out this time, which is what touches the firewall.
            words = ["--home", str(home), "--address", ADDRESS, "--port", str(free_port()), "--engine", "private"]
            started = quickstart("up", *words, "--account", "dave")
            assert started.code == 0, started.said
            assert "export DOCKER_HOST=" in started.text
            name = f"sdc-{json.loads((home / 'state.json').read_text())['id']}"
            made = _traces(home, name)
            assert all(made.values()), made
            _leave_something_running(home)
        finally:
            ended = quickstart("down", "--home", str(home))
        assert ended.code == 0, ended.said
        assert not home.exists()
        left = _traces(home, name)
        assert not any(left.values()), left
        assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == forwarding
        again = quickstart("down", "--home", str(home))
        assert again.code == 0 and "Nothing is set up" in again.text


def test_a_shared_engine_keeps_what_is_not_ours(engine: Engine) -> None:
    """`down` takes away from an engine that it found only what its own accounts made there."""
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "Labels": {"sdc.fleet": "another-fleet"}}
    status, theirs = engine.call("POST", "/containers/create?name=c-theirs", body)
    assert status == 201, theirs
    engine.call("POST", "/volumes/create", {"Name": "v-theirs"})
    before = _on_engine(engine)
    with folder("quickstart") as parent:
        home = parent / "home"
        try:
            words = ["--home", str(home), "--address", ADDRESS, "--port", str(free_port()), "--engine", engine.url]
            started = quickstart("up", *words, "--account", "erin")
            assert started.code == 0, started.said
            _leave_something_running(home)
            assert _on_engine(engine) != before
        finally:
            ended = quickstart("down", "--home", str(home))
        assert ended.code == 0, ended.said
        assert _on_engine(engine) == before
        assert not _processes_of(home)


def _on_engine(engine: Engine) -> dict[str, list[str]]:
    return {
        "containers": sorted(one["Id"] for one in engine.containers()),
        "images": sorted(one["Id"] for one in engine.call("GET", "/images/json?all=1")[1]),
        "networks": sorted(one["Id"] for one in engine.call("GET", "/networks")[1]),
        "volumes": sorted(one["Name"] for one in engine.call("GET", "/volumes")[1]["Volumes"] or []),
    }


def _leave_something_running(home: Path) -> None:
    """A container that ignores SIGTERM, publishes a port, has a named volume and comes back when it ends."""
    lines = quickstart("env", "--home", str(home)).text.replace("export ", "").splitlines()
    env = {"DOCKER_CONFIG": str(home), "PATH": os.environ["PATH"]} | dict(line.split("=", 1) for line in lines)
    words = ["run", "-d", "--restart", "always", "-p", "8080:80", "-v", "kept:/d", "busybox", "sleep", "1000"]
    subprocess.run([clis()[max(clis(), key=int)], *words], env=env, timeout=60, check=True, capture_output=True)


def _traces(home: Path, name: str) -> dict[str, str]:
    """What a set-up with a private engine leaves outside of its folder, as lines that name it."""
    short = name.removeprefix("sdc-")
    commands = {
        "links": f"ip -o link | grep {name}",
        "namespaces": f"ip netns list | grep {name}",
        "rules": f"(iptables -w -S; iptables -w -t nat -S) | grep 'sdc-docker {short}'",
        "mounts": f"grep {home} /proc/self/mountinfo",
        "groups": f"ls -d /sys/fs/cgroup/*/{name} /sys/fs/cgroup/{name}",
    }
    found = {
        what: subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=10, check=False).stdout
        for what, command in commands.items()
    }
    return found | {"processes": "\n".join(_processes_of(home))}


def _processes_of(home: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(home).encode() in words:
            found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found
