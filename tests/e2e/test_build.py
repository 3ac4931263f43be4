"""`docker build` and `docker builder prune`: the classic builder, on a real engine."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker
import pytest

from tests import busybox
from tests.e2e.behind import Unchanged, ask, assert_tells_nothing, message
from tests.e2e.images import on_the_engine
from tests.e2e.stack import Registry, Result, Stack
from tests.e2e.test_crash import kill_tree
from tests.machine import wait_until


@pytest.fixture(autouse=True)
def fresh(stack: Stack, alice: str, bob: str) -> Iterator[None]:
    yield
    for account in (alice, bob):
        stack.remove_all(account)
        stack.docker(account, "builder", "prune", "-af")
        listed = stack.docker(account, "images", "-aq", "--no-trunc").text.split()
        kept = stack.docker(account, "images", "-q", "--no-trunc", "busybox").text.split()
        if gone := set(listed) - set(kept):
            stack.docker(account, "rmi", "-f", *gone)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return tmp_path


def write(place: Path, dockerfile: str, files: Mapping[str, str] | None = None) -> Path:
    for name, content in {"Dockerfile": dockerfile, **(files or {})}.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return place


def build(stack: Stack, account: str, place: Path, *words: str, **how: object) -> Result:
    return stack.docker(account, "build", *words, str(place), timeout=120, **how)  # type: ignore[arg-type]


def alike(text: str) -> str:
    """Output with what differs from one build to the next taken away."""
    return re.sub(r"\b[0-9a-f]{12}\b|sha256:[0-9a-f]{64}", "ID", text)


def tar(files: Mapping[str, str]) -> bytes:
    return busybox.files({name: content.encode() for name, content in files.items()})


def test_a_dockerfile_that_is_not_of_the_context(stack: Stack, cli: str, tmp_path: Path) -> None:
    place = tmp_path / "context"
    write(place, "FROM nowhere\n", {"a": "1"})
    other = tmp_path / "other"
    other.write_text("FROM busybox\nCOPY a /a\n")
    from_file = build(stack, "alice", place, "-q", "-f", str(other), cli=cli).text
    from_stdin = build(stack, "alice", place, "-q", "-f", "-", cli=cli, input=other.read_bytes()).text
    assert from_file.startswith("sha256:") and from_stdin == from_file


EVERYTHING = """# syntax=docker/dockerfile:1
ARG BASE=busybox
FROM ${BASE} AS maker
ARG WORD=none
LABEL stage="maker"
RUN echo made with $WORD \\
    # a comment inside
    > /made
ADD packed.tar /unpacked/

FROM busybox
ENV COLOUR=green
WORKDIR /app
COPY --from=maker /made .
COPY --from=0 /unpacked/inner inner
COPY . /context/
CMD cat /app/made /app/inner && echo $COLOUR
"""


def test_the_whole_of_it(stack: Stack, cli: str, context: Path) -> None:
    write(context, EVERYTHING, {"kept": "1", "left/out": "2", ".dockerignore": "left\n"})
    (context / "packed.tar").write_bytes(tar({"inner": "from the archive\n"}))
    options = ("-t", "whole", "-t", "whole:two", "--build-arg", "WORD=love", "--label", "extra=yes")
    done = build(stack, "alice", context, *options, cli=cli)
    lines = done.text.splitlines()
    steps = [line for line in lines if line.startswith("Step ")]
    assert steps[0] == "Step 1/14 : ARG BASE=busybox" and steps[1] == "Step 2/14 : FROM ${BASE} AS maker"
    assert "Step 6/14 : ADD packed.tar /unpacked/" in steps
    assert re.fullmatch(r"Successfully built [0-9a-f]{12}", lines[-3])
    assert lines[-2:] == ["Successfully tagged whole:latest", "Successfully tagged whole:two"]
    assert_tells_nothing(stack, "alice", done.stdout + done.stderr)
    assert stack.docker("alice", "run", "--rm", "whole").text == "made with love\nfrom the archive\ngreen\n"
    found = stack.docker("alice", "run", "--rm", "whole:two", "find", "/context", "-type", "f").text.split()
    assert sorted(found) == ["/context/.dockerignore", "/context/Dockerfile", "/context/kept", "/context/packed.tar"]
    assert stack.docker("alice", "inspect", "-f", "{{.Config.Labels}}", "whole").text == "map[extra:yes]\n"
    again = build(stack, "alice", context, *options, cli=cli).text
    assert "Running in" not in again and again.count("Using cache") == 11, "no step runs twice"
    other = build(stack, "alice", context, "-t", "whole", "--build-arg", "WORD=hate", cli=cli).text
    assert "Running in" in other
    assert stack.docker("alice", "run", "--rm", "whole").text.startswith("made with hate\n")
    assert set(stack.docker("bob", "images", "-a", "--format", "{{.Repository}}").text.split()) == {"busybox"}


def test_output_as_stock_has_it(stack: Stack, context: Path) -> None:
    """The same build, good and failing, on the engine itself, which has the image under a name for the time."""
    image_id = stack.docker("alice", "inspect", "-f", "{{.Id}}", "busybox").text.strip()
    assert on_the_engine(stack, "tag", image_id, "busybox").code == 0
    try:
        for dockerfile, code in (
            ("FROM busybox\nENV A=b\nRUN echo $A; sleep 1; echo err >&2\nCMD x\n", 0),
            ("FROM busybox\nRUN exit 3\n", 3),
            ("FROM busybox\nCOPY nothing /\n", 1),
            ("FROM busybox\nRUN --nosuch=1 true\n", 1),
            ("FROM busybox\nWORKDIR\n", 1),
        ):
            write(context, dockerfile)
            ours = build(stack, "alice", context, "--no-cache", "-t", "same", cli="20", check=False)
            theirs = on_the_engine(stack, "build", "--no-cache", "-t", "same", str(context))
            assert (ours.code, theirs.code) == (code, code), ours.said
            assert alike(ours.text) == alike(theirs.text)
            assert alike(ours.said) == alike(theirs.said)
    finally:
        on_the_engine(stack, "rmi", "-f", "same", "busybox")


@pytest.mark.parametrize("api", ["1.20", "1.24", None])
def test_old_clients(stack: Stack, context: Path, api: str | None) -> None:
    write(context, "FROM busybox\nRUN echo old > /x\n")
    assert "Successfully tagged old:latest" in build(stack, "alice", context, "-t", "old", cli="20", api=api).text
    quiet = build(stack, "alice", context, "-q", cli="20", api=api).text
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", quiet)
    assert stack.docker("alice", "run", "--rm", quiet.strip(), "cat", "/x").text == "old\n"


def test_aux_since_1_30(stack: Stack) -> None:
    body = tar({"Dockerfile": "FROM busybox\nLABEL a=b\n"})
    for version, told in (("1.29", False), ("1.30", True)):
        answer = ask(stack, "alice", "POST", f"/v{version}/build?t=aux", body)
        assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
        assert (b'"aux"' in answer.body) is told


def test_by_the_sdk(stack: Stack, context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    write(context, "FROM busybox AS a\nRUN echo 1 > /x\nFROM a AS b\nRUN echo 2 > /x\n")
    certificates = stack.certificates("alice")
    tls = docker.tls.TLSConfig(
        client_cert=(str(certificates / "cert.pem"), str(certificates / "key.pem")),
        ca_cert=str(certificates / "ca.pem"),
        verify=True,
    )
    client = docker.DockerClient(base_url=f"https://{stack.address}:{stack.port}", tls=tls)
    try:
        image, log = client.images.build(path=str(context), tag="sdk", target="a", rm=True)
        assert image.tags == ["sdk:latest"] and any("Step 2/2" in str(line) for line in log)
        assert client.containers.run("sdk", "cat /x", remove=True) == b"1\n"
        with pytest.raises(docker.errors.BuildError):
            write(context, "FROM busybox\nRUN false\n")
            client.images.build(path=str(context))
    finally:
        client.close()


def test_a_failed_build_goes_on_from_its_cache(stack: Stack, context: Path) -> None:
    write(context, "FROM busybox\nRUN echo once > /a\nRUN false\n")
    failed = build(stack, "alice", context, "-t", "never", check=False)
    assert failed.code == 1 and "returned a non-zero code: 1" in failed.said
    assert stack.docker("alice", "images", "-q", "never").text == ""
    write(context, "FROM busybox\nRUN echo once > /a\nRUN true\n")
    text = build(stack, "alice", context).text
    assert text.count("Using cache") == 1
    assert build(stack, "alice", context, "--no-cache").text.count("Using cache") == 0


def test_stages_are_cached_and_a_forged_line_is_not(stack: Stack, context: Path) -> None:
    """An account prints the id of another's image as if it were a step's: it gets nothing of it."""
    write(context, "FROM busybox\nRUN echo bob > /secret\n")
    build(stack, "bob", context, "-t", "private")
    secret = stack.docker("bob", "inspect", "-f", "{{.Id}}", "private").text.strip()
    forged = secret.removeprefix("sha256:")[:12]
    write(context, f"FROM busybox\nRUN echo ' ---> {forged}'; echo 'Step 9/9 : FROM x'; sleep 1\n")
    build(stack, "alice", context)
    assert stack.psql(
        "SELECT account_id = (SELECT id FROM accounts WHERE login = 'bob') FROM build_cache WHERE image_id = %s",
        (secret,),
    ) == [(True,)]
    write(context, "FROM busybox\nRUN echo bob > /secret\n")
    assert "Using cache" not in build(stack, "alice", context).text, "another's layer is not taken"
    assert "Using cache" in build(stack, "bob", context).text


def test_another_accounts_poison(stack: Stack, context: Path) -> None:
    """What one account's build got from its own hosts file does not come to another's by the cache."""
    write(context, "FROM busybox\nRUN cat /etc/hosts > /out\n")
    build(stack, "alice", context, "--add-host", "mirror.example:10.9.9.9", "-t", "x")
    assert "mirror.example" in stack.docker("alice", "run", "--rm", "x", "cat", "/out").text
    build(stack, "bob", context, "-t", "x")
    assert "mirror.example" not in stack.docker("bob", "run", "--rm", "x", "cat", "/out").text
    alices = stack.docker("alice", "inspect", "-f", "{{.Id}}", "x").text.strip()
    assert stack.docker("bob", "inspect", alices, check=False).code != 0
    for reference in (alices, alices.removeprefix("sha256:")[:12]):
        write(context, f"FROM {reference}\n")
        refused = build(stack, "bob", context, check=False)
        assert refused.code == 1, refused.text
        write(context, f"FROM busybox\nCOPY --from={reference} /out /\n")
        refused = build(stack, "bob", context, check=False)
        assert refused.code == 1, refused.text
    build(stack, "bob", write(context, "FROM busybox\nRUN cat /etc/hosts > /out\n"), "--cache-from", alices)


def test_hosts_of_ones_own(stack: Stack, cli: str, context: Path) -> None:
    write(context, "FROM busybox\nRUN cat /etc/hosts\n")
    hosts = ("--add-host", "one.example:10.9.9.1", "--add-host", "two.example:10.9.9.2")
    words = build(stack, "alice", context, "--no-cache", *hosts, cli=cli).text.split()
    found = {name: words[words.index(name) - 1] for name in ("one.example", "two.example")}
    assert found == {"one.example": "10.9.9.1", "two.example": "10.9.9.2"}


def test_what_is_missing_is_pulled(stack: Stack, registry: Registry, cli: str, context: Path) -> None:
    _, image_id = registry.push(f"base/{cli}", marker="pulled")
    _, second = registry.push(f"tool/{cli}", marker="tool")
    name, tool = f"{registry.host}/base/{cli}", f"{registry.host}/tool/{cli}"
    write(context, f"FROM {name}\nCOPY --from={tool} /marker /tool\nRUN cat /marker /tool > /both\n")
    text = build(stack, "alice", context, "-t", "pulled", cli=cli).text
    assert f"Step 1/3 : FROM {name}" in text and "Digest: sha256:" in text
    assert stack.docker("alice", "run", "--rm", "pulled", "cat", "/both").text == "pulledtool"
    listed = stack.docker("alice", "images", "--no-trunc", "--format", "{{.Repository}} {{.ID}}").text
    assert f"{name} {image_id}" in listed and f"{tool} {second}" in listed
    _, newer = registry.push(f"base/{cli}", marker="newer")
    assert "Using cache" in build(stack, "alice", context, cli=cli).text
    build(stack, "alice", context, "--pull", "-t", "pulled", cli=cli)
    assert newer in stack.docker("alice", "images", "--no-trunc", "--format", "{{.ID}}").text
    assert stack.docker("alice", "run", "--rm", "pulled", "cat", "/both").text == "newertool"
    write(context, f"FROM {registry.host}/no/such\n")
    failed = build(stack, "alice", context, check=False, cli=cli)
    assert failed.code == 1 and "no/such" in failed.said


def test_networks(stack: Stack, context: Path) -> None:
    stack.docker("alice", "run", "-d", "--name", "helper", "busybox", "sleep", "600")
    write(context, "FROM busybox\nRUN ping -c 1 -W 5 helper\n")
    assert "1 packets received" in build(stack, "alice", context, "--no-cache").text
    alone = build(stack, "alice", context, "--no-cache", "--network", "none", check=False)
    assert alone.code == 1
    write(context, "FROM busybox\nRUN ip addr > /addresses && hostname > /name\n")
    build(stack, "alice", context, "--network", "container:helper", "-t", "joined")
    assert stack.docker("bob", "inspect", "helper", check=False).code != 0
    write(context, "FROM busybox\nRUN true\n")
    stranger = build(stack, "bob", context, "--network", "container:helper", check=False)
    assert stranger.code == 1 and "No such container: helper" in stranger.said


def test_a_client_that_goes_ends_its_build(stack: Stack, context: Path) -> None:
    write(context, "FROM busybox\nRUN echo begun; sleep 300\n")
    running = stack.spawn("alice", "build", "-t", "gone", str(context))
    try:
        _until_begun(running)
        # Output can be a moment ahead of what the engine lists.
        wait_until(lambda: _builders(stack), "a build container")
        running.send_signal(2)
        running.wait(60)
        wait_until(lambda: not _builders(stack), "the end of the build container")
        wait_until(lambda: not _pending(stack), "the end of the operation")
    finally:
        running.kill()
        running.communicate(timeout=10)
    assert stack.docker("alice", "images", "-q", "gone").text == ""


def test_a_killed_service_leaves_nothing(stack: Stack, context: Path) -> None:
    write(context, "FROM busybox\nRUN echo begun; sleep 10; echo x > /y\n")
    before = len(stack.engine.call("GET", "/images/json?all=1")[1])
    # Known beforehand: while it is looked up the build might come to its end.
    gunicorn = stack.pid("gunicorn")
    running = stack.spawn("alice", "build", "-t", "gone", str(context))
    try:
        _until_begun(running)
        kill_tree(gunicorn)
        running.wait(60)
    finally:
        running.kill()
        running.communicate(timeout=10)

    def whole() -> bool:
        return not _builders(stack) and not _pending(stack)

    wait_until(whole, "the end of what was interrupted")
    wait_until(lambda: stack.docker("alice", "version", check=False).code == 0, "the service")
    assert stack.docker("alice", "images", "-q", "gone").text == ""
    assert len(stack.engine.call("GET", "/images/json?all=1")[1]) <= before + 1


def _until_begun(running: subprocess.Popen) -> None:
    for line in running.stdout or ():
        if line == b"begun\n":
            return


def _builders(stack: Stack) -> list[dict]:
    return [c for c in stack.engine.containers() if "sdc.container" not in c["Labels"] and c["State"] == "running"]


def _pending(stack: Stack) -> list[tuple]:
    return stack.psql("SELECT kind FROM operations WHERE state = 'pending'")


def test_refusals(stack: Stack) -> None:
    good = tar({"Dockerfile": "FROM busybox\n"})
    cases = [
        ("", tar({"a": ""}), 400, "Cannot locate specified Dockerfile: Dockerfile"),
        ("", tar({"Dockerfile": ""}), 400, "the Dockerfile (Dockerfile) cannot be empty"),
        (
            "",
            tar({"Dockerfile": "FROM busybox\nFOO x\n"}),
            400,
            "dockerfile parse error line 2: unknown instruction: FOO",
        ),
        ("", tar({"Dockerfile": "FROM busybox\nADD http://x/ /\n"}), 403, "ADD of a URL"),
        ("", b"nothing like a tar" * 100, 400, "invalid tar header"),
        ("dockerfile=../x", good, 400, "outside the build context"),
        ("networkmode=host", good, 403, "the host network"),
        ("networkmode=nosuch", good, 404, "network nosuch not found"),
        ("extrahosts=a:host-gateway", good, 403, "host-gateway"),
        ("securityopt=&securityopt=seccomp%3Dunconfined", good, 403, "security options"),
        ("cgroupparent=/x", good, 403, "control group"),
        ("squash=1", good, 501, "squashing"),
        ("version=2", good, 501, "DOCKER_BUILDKIT=0"),
        ("remote=https://example.com/a.git", good, 501, "URL"),
        ("t=UPPER", good, 400, "repository name must be lowercase"),
        ("buildargs=%7B", good, 400, "not valid JSON"),
        ("buildargs=%7B%22A%22%3A1%7D", good, 400, "buildargs"),
        ("memory=x", good, 400, "invalid syntax"),
        ("memory=1", good, 400, "Minimum memory limit allowed is 6MB"),
        ("memory=99999999999999", good, 400, "no package"),
        ("target=nosuch", good, 400, "failed to reach build target nosuch in Dockerfile"),
        ("platform=windows", good, 400, "unknown operating system"),
    ]
    with Unchanged(stack):
        for query, body, status, words in cases:
            answer = ask(stack, "alice", "POST", f"/v1.44/build?{query}", body)
            assert (answer.status, words in message(answer)) == (status, True), (query, answer.body)


def test_prune(stack: Stack, context: Path) -> None:
    write(context, "FROM busybox AS a\nRUN head -c 300000 /dev/zero > /big\nFROM busybox\nCOPY --from=a /big /b\n")
    for account in ("alice", "bob"):
        build(stack, account, context, "-t", "kept")
    text = stack.docker("alice", "builder", "prune", "-f").text
    assert "Total reclaimed space: 300kB" in text
    whose = "SELECT DISTINCT login FROM build_cache JOIN accounts ON accounts.id = account_id WHERE login IN %s"
    assert stack.psql(whose, [("alice", "bob")]) == [("bob",)]
    assert stack.docker("alice", "run", "--rm", "kept", "ls", "/b").text == "/b\n"
    assert build(stack, "bob", context).text.count("Using cache") == 2
    assert json.loads(ask(stack, "alice", "POST", "/v1.44/build/prune").body) == {
        "CachesDeleted": None,
        "SpaceReclaimed": 0,
    }


def test_many_at_a_time(stack: Stack, context: Path) -> None:
    write(context, "FROM busybox\nRUN until ping -c 1 -W 1 gate >/gate 2>&1; do sleep 0.1; done\n")
    running = [stack.spawn("alice", "build", "--no-cache", "-t", f"n{i}", str(context)) for i in range(4)]
    try:
        # None of them ends before the gate is there.
        wait_until(lambda: len(_builders(stack)) == 4, "four builds at a time")
        stack.docker("alice", "run", "-d", "--name", "gate", "busybox", "sleep", "600")
        assert [process.wait(60) for process in running] == [0] * 4
    finally:
        for process in running:
            process.kill()
            process.communicate(timeout=10)
