"""docker commit."""

from __future__ import annotations

import io
import json
import tarfile

from tests.e2e.behind import Unchanged, ask, assert_tells_nothing, message
from tests.e2e.clients import Client, Docker, two_clients
from tests.e2e.stack import Stack


@two_clients
def test_an_image_of_a_container(stack: Stack, alice: str, bob: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = docker.container(
        "run", "-d", "--label", "tier=web", "busybox", "sh", "-c", "echo kept >/mark; sleep 600"
    )
    docker("exec", container, "sh", "-c", "until [ -s /mark ]; do sleep 0.05; done")
    said = docker(
        "commit",
        "-m",
        "a word",
        "-a",
        "me",
        "-c",
        "ENV COLOUR=red",
        "-c",
        'CMD ["cat", "/mark"]',
        container,
        "made:one",
    )
    image = said.text.strip()
    assert image.startswith("sha256:")
    assert docker("run", "--rm", "made:one").text == "kept\n"
    shown = json.loads(docker("inspect", "--type", "image", "made:one").text)[0]
    assert (shown["Id"], shown["Comment"], shown["Author"]) == (image, "a word", "me")
    # An inspect of 1.20 has no names.
    assert shown.get("RepoTags", ["made:one"]) == ["made:one"]
    assert "COLOUR=red" in shown["Config"]["Env"] and shown["Config"]["Labels"] == {"tier": "web"}
    assert "a word" in docker("history", image).text
    assert docker("inspect", "-f", "{{.State.Paused}}", container).text == "false\n"

    # The image itself tells nothing of what is behind, wherever it is taken.
    saved = docker("save", "made:one").stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        for name in archive.getnames():
            if name.endswith(".json") or name.endswith("/json"):
                assert_tells_nothing(stack, alice, archive.extractfile(name).read())  # type: ignore[union-attr]
    engine_images = stack.engine.call("GET", "/images/json?all=1")[1]
    assert not [tag for found in engine_images for tag in found["RepoTags"] or [] if "/commit" in tag]
    theirs = ask(stack, bob, "GET", f"/images/{image}/json", typed=image)
    assert theirs.status == 404
    docker("rm", "-f", container)
    docker("rmi", "made:one")


def test_without_a_name_and_twice(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("create", "busybox", "true")
    answer = ask(stack, alice, "POST", f"/commit?container={container}&pause=0", {"Env": ["A=1"], "User": "nobody"})
    assert answer.status == 201 and set(answer.json()) == {"Id"}
    config = stack.request(alice, "GET", f"/images/{answer.json()['Id']}/json").json()["Config"]
    assert "A=1" in config["Env"] and config["User"] == "nobody"
    again = docker("commit", container, "named").text.strip()
    other = docker("commit", "-m", "other", container, "named").text.strip()
    assert again != other
    assert docker("inspect", "--type", "image", "-f", "{{.Id}}", "named").text.strip() == other
    docker("rm", container)
    docker("rmi", "-f", again, other, answer.json()["Id"])


def test_refusals(stack: Stack, alice: str, bob: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("create", "--name", "source", "busybox", "true")
    cases = [
        ("container=nosuch", None, 404, "No such container: nosuch"),
        ("", None, 400, 'invalid name or ID supplied: ""'),
        (f"container={container}&repo=Upper", None, 400, "repository name must be lowercase"),
        (f"container={container}&repo=a&tag=b/c", None, 400, "invalid tag format"),
        (f"container={container}&changes=RUN+x", None, 400, "run is not a valid change command"),
        (f"container={container}&changes=ENV+a", None, 400, "ENV must have two arguments"),
        (f"container={container}&changes=LABEL+sdc.account%3Dx", None, 403, "reserved label"),
        (f"container={container}", {"Labels": {"sdc.account": "x"}}, 403, "reserved label"),
        (f"container={container}", {"Env": "x"}, 400, ""),
    ]
    with Unchanged(stack):
        for query, body, status, words in cases:
            answer = ask(stack, alice, "POST", f"/commit?{query}", body, typed="sdc.account")
            assert answer.status == status and words in message(answer), (query, answer)
        for name in ("source", container):
            answer = ask(stack, bob, "POST", f"/commit?container={name}", typed=name)
            assert (answer.status, message(answer)) == (404, f"No such container: {name}")
