"""docker update."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.clients import CLIENTS, Client, Docker
from tests.e2e.stack import Stack

MIB = 1 << 20


def used(stack: Stack, account: str) -> tuple[int, int, int]:
    statement = "SELECT used_containers, used_memory, used_nano_cpus FROM accounts WHERE login = %s"
    return stack.psql(statement, (account,))[0]  # type: ignore[return-value]


def limits(stack: Stack, container: str) -> tuple[int, int, int]:
    host = stack.engine_container(container)["HostConfig"]  # type: ignore[index]
    return host["Memory"], host["MemorySwap"], host["NanoCpus"]


@pytest.mark.parametrize("client", [client for client in CLIENTS if client.api != "1.20"], ids=str)
def test_limits_and_restart_policy(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    container = docker.container("run", "-d", "-m", "128m", "busybox", "sleep", "600")
    before = used(stack, alice)
    assert docker("update", "-m", "256m", container).text.strip() == container
    assert limits(stack, container)[:2] == (256 * MIB, 256 * MIB)
    assert used(stack, alice)[1] == before[1] + 128 * MIB
    docker("update", "--memory", "64m", "--cpu-shares", "512", "--restart", "on-failure:3", container)
    assert used(stack, alice)[1] == before[1] - 64 * MIB
    policy = "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}"
    shown = docker("inspect", "-f", f"{{{{.HostConfig.Memory}}}} {{{{.HostConfig.CpuShares}}}} {policy}", container)
    assert shown.text.split() == [str(64 * MIB), "512", "on-failure", "3"]
    docker("update", "--cpu-quota", "50000", container)
    assert limits(stack, container)[2] == 500_000_000
    assert used(stack, alice)[2] == 500_000_000
    docker("rm", "-f", container)
    assert used(stack, alice) == (0, 0, 0)


def test_refusals(stack: Stack, alice: str, bob: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("create", "--name", "sized", "-m", "64m", "busybox", "true")
    cases = [
        ({"Memory": 1}, 400, "Minimum memory limit allowed is 6MB"),
        ({"Memory": "x"}, 400, ""),
        ({"Memory": 1 << 60}, 400, "no package supports"),
        ({"Memory": 64 * MIB, "MemorySwap": MIB * 8}, 400, "Minimum memoryswap limit should be larger"),
        ({"MemorySwap": -1}, 403, "unlimited swap"),
        ({"CpusetCpus": "0"}, 403, "CpusetCpus"),
        ({"BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1}]}, 403, "BlkioDeviceReadBps"),
        ({"PidsLimit": 1 << 30}, 403, "PidsLimit"),
        ({"RestartPolicy": {"Name": "sometimes"}}, 400, "invalid restart policy"),
        ({"NanoCpus": 5}, 400, "Range of CPUs is from 0.01"),
        ({"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1}]}, 403, "ulimits"),
        (None, 400, "EOF"),
        ([], 400, ""),
    ]
    with Unchanged(stack):
        for body, status, words in cases:
            answer = ask(stack, alice, "POST", f"/containers/{container}/update", body)
            assert answer.status == status and words in message(answer), (body, answer)
        for name in ("sized", container):
            answer = ask(stack, bob, "POST", f"/containers/{name}/update", {"Memory": 64 * MIB}, typed=name)
            assert (answer.status, message(answer)) == (404, f"No such container: {name}")
        old = stack.request(alice, "POST", "/v1.21/containers/sized/update", {"Memory": 64 * MIB})
        assert old.status == 400 and b"requires minimum API version 1.22" in old.body
    assert ask(stack, alice, "POST", f"/containers/{container}/update", {}).json() == {"Warnings": None}


def test_the_quota_counts(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    containers = [docker.container("create", "-m", "128m", "busybox", "true") for _ in range(4)]
    most = stack.psql("SELECT max_memory FROM accounts WHERE login = 'alice'")[0][0]
    try:
        stack.psql("UPDATE accounts SET max_memory = %s WHERE login = 'alice'", (5 * 128 * MIB,))
        with ThreadPoolExecutor(4) as pool:
            answers = list(
                pool.map(
                    lambda c: stack.request(alice, "POST", f"/containers/{c}/update", {"Memory": 256 * MIB}), containers
                )
            )
        assert sorted(answer.status for answer in answers) == [200, 403, 403, 403]
        assert {message(a) for a in answers if a.status == 403} == {
            "quota exceeded: memory 640 MiB of 640 MiB, 128 MiB more wanted"
        }
        assert used(stack, alice)[1] == 640 * MIB
        assert sorted(limits(stack, c)[0] // MIB for c in containers) == [128, 128, 128, 256]
    finally:
        stack.psql("UPDATE accounts SET max_memory = %s WHERE login = 'alice'", (most,))
