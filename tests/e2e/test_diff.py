"""docker diff."""

from __future__ import annotations

from tests.e2e.behind import ask, message
from tests.e2e.clients import Client, Docker, every_client
from tests.e2e.stack import Stack


@every_client
def test_what_has_changed(stack: Stack, alice: str, bob: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    Docker(stack, bob, client)("create", "--name", "his", "busybox", "true")
    container = docker.container("create", "--name", "changed", "busybox", "sh", "-c", "touch /new; rm /etc/group")
    assert docker("diff", container).text == ""
    assert stack.request(alice, "GET", f"/containers/{container}/changes").body == b"null\n"
    docker("start", container)
    docker("wait", container)
    assert set(docker("diff", "changed").text.splitlines()) >= {"A /new", "C /etc", "D /etc/group"}
    answer = ask(stack, alice, "GET", f"/containers/{container}/changes")
    assert {"Path": "/new", "Kind": 1} in answer.json()
    assert all(set(change) == {"Path", "Kind"} for change in answer.json())
    for name in ("nosuch", "his"):
        refused = docker("diff", name, check=False)
        assert refused.code == 1 and f"No such container: {name}" in refused.said
    theirs = ask(stack, bob, "GET", "/containers/changed/changes")
    assert (theirs.status, message(theirs)) == (404, "No such container: changed")
