"""testcontainers for Python, unchanged, without Ryuk: that wants the engine's own socket.

Its programs run on their own, as a person's tests do: it reads its settings when it is imported.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.compose import give
from tests.e2e.stack import Stack

PROGRAM = """
import urllib.request
from testcontainers.core.container import DockerContainer
from testcontainers.core.image import DockerImage
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import HttpWaitStrategy, LogMessageWaitStrategy

with Network() as network:
    web = DockerContainer("busybox").with_command("httpd -f -v -h /etc").with_exposed_ports(80)
    web.with_network(network).with_network_aliases("web").with_env("A", "b").with_name("tc-web")
    with web.waiting_for(HttpWaitStrategy(80, "/passwd")):
        address = f"http://{web.get_container_host_ip()}:{web.get_exposed_port(80)}/passwd"
        print("page", urllib.request.urlopen(address, timeout=10).read().startswith(b"root:"))
        print("exec", web.exec(["sh", "-c", "echo $A"]).output)
        client = DockerContainer("busybox").with_network(network).with_command("sleep 600")
        with client:
            print("alias", client.exec("wget -qO- http://web/passwd").exit_code)
        ticker = DockerContainer("busybox").with_command("sh -c 'sleep 0.5; echo is ready; sleep 600'")
        with ticker.waiting_for(LogMessageWaitStrategy("is ready")):
            print("logs", ticker.get_logs()[0])

with DockerImage(path=IMAGE, tag="tc:one") as image:
    with DockerContainer(str(image)).with_command("cat /built") as built:
        built.get_wrapped_container().wait()
        print("built", built.get_logs()[0])

with DockerContainer("postgres").with_exposed_ports(5432) as base:
    LogMessageWaitStrategy("ready to accept connections").wait_until_ready(base)
    import psycopg2
    connection = psycopg2.connect(
        host=base.get_container_host_ip(), port=base.get_exposed_port(5432), user="postgres", dbname="postgres"
    )
    cursor = connection.cursor()
    cursor.execute("SELECT 6 * 7")
    print("database", cursor.fetchall())
    connection.close()
"""


@pytest.mark.timeout(600)
def test_containers_networks_images_and_a_database(stack: Stack, tmp_path: Path) -> None:
    account = give(stack, "dora")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo one >/built\n")
    # Published ports are at the node's address, which here is another one than the service's.
    env = stack.env(account) | {
        "TESTCONTAINERS_RYUK_DISABLED": "true",
        "TESTCONTAINERS_HOST_OVERRIDE": stack.node_address,
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", f"IMAGE = {str(tmp_path)!r}\n{PROGRAM}"],
        env=env, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "page True",
        r"exec b'b\n'",
        "alias 0",
        r"logs b'is ready\n'",
        r"built b'one\n'",
        "database [(42,)]",
    ]
    assert stack.request(account, "GET", "/v1.44/containers/json?all=1").json() == []
