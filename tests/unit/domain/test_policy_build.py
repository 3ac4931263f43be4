"""The policy of POST /build, parameter by parameter."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.policy import BuildSpec, Rules, decide_build
from app.domain.spec import Namespace
from app.errors import Error, Forbidden, InvalidParameter, NotImplemented

NONE: dict[str, Any] = {
    **dict.fromkeys(("dockerfile", "remote", "target", "platform", "networkmode", "cgroupparent", "isolation"), ""),
    **dict.fromkeys(("version", "cpusetcpus", "cpusetmems"), ""),
    **dict.fromkeys(("memory", "memswap", "cpushares", "cpuperiod", "cpuquota", "shmsize"), 0),
    **dict.fromkeys(("q", "nocache", "pull", "squash", "forcerm"), False),
    "rm": True,
    **dict.fromkeys(("buildargs", "labels", "ulimits", "cachefrom")),
    **{name: [] for name in ("t", "extrahosts", "securityopt")},
}


def decided(**asked: Any) -> BuildSpec:
    return decide_build({**NONE, **asked}, Rules())


def test_nothing_asked() -> None:
    assert decided() == BuildSpec()


def test_what_is_taken() -> None:
    spec = decided(
        dockerfile="./sub/Dev",
        t=["web", "reg.example:5000/a/b:1", "web:latest"],
        buildargs={"A": "1", "B": None},
        labels={"a": "b"},
        cachefrom=["web", "alpine:3"],
        networkmode="none",
        extrahosts=["a:10.0.0.1", "b:10.0.0.2"],
        memory=64 << 20,
        memswap=-1,
        shmsize=1 << 20,
        ulimits=[{"Name": "nofile", "Soft": 10, "Hard": 20}],
        target="one",
        platform="linux/amd64",
        q=True,
        pull=True,
        nocache=True,
    )
    assert spec.dockerfile == "sub/Dev" and [str(tag) for tag in spec.tags] == ["web:latest", "reg.example:5000/a/b:1"]
    assert spec.arguments == {"A": "1", "B": None} and spec.labels == {"a": "b"}
    assert spec.cache_from == ("web", "alpine:3") and spec.network == Namespace("none")
    assert spec.extra_hosts == ("a:10.0.0.1", "b:10.0.0.2") and spec.memory == 64 << 20 and spec.shm_size == 1 << 20
    assert spec.ulimits == ({"Name": "nofile", "Soft": 10, "Hard": 20},)
    assert (spec.target, spec.platform, spec.quiet, spec.pull, spec.no_cache) == (
        "one",
        "linux/amd64",
        True,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"dockerfile": "/etc/passwd"}, InvalidParameter),
        ({"dockerfile": "a/../../b"}, InvalidParameter),
        ({"dockerfile": "a\nb"}, InvalidParameter),
        ({"t": ["UPPER"]}, InvalidParameter),
        ({"t": ["a@sha256:" + "0" * 64]}, InvalidParameter),
        ({"t": [f"a:{n}" for n in range(20)]}, InvalidParameter),
        ({"remote": "https://example.com/x.git"}, NotImplemented),
        ({"version": "2"}, NotImplemented),
        ({"squash": True}, NotImplemented),
        ({"networkmode": "host"}, Forbidden),
        ({"extrahosts": ["a:host-gateway"]}, Forbidden),
        ({"extrahosts": ["a"]}, InvalidParameter),
        ({"extrahosts": ["a:10.0.0.1,b:10.0.0.2"]}, InvalidParameter),
        ({"securityopt": ["seccomp=unconfined"]}, Forbidden),
        ({"cgroupparent": "/x"}, Forbidden),
        ({"cpusetcpus": "0"}, Forbidden),
        ({"cpusetmems": "0"}, Forbidden),
        ({"isolation": "hyperv"}, InvalidParameter),
        ({"buildargs": {"BUILDKIT_SYNTAX": "x/y"}}, Forbidden),
        ({"buildargs": ["A=1"]}, InvalidParameter),
        ({"buildargs": {"A": 1}}, InvalidParameter),
        ({"buildargs": {"A": "x" * 140_000}}, InvalidParameter),
        ({"labels": {"sdc.account": "x"}}, Forbidden),
        ({"labels": {"a": 1}}, InvalidParameter),
        ({"cachefrom": {"a": 1}}, InvalidParameter),
        ({"memory": 1}, InvalidParameter),
        ({"memswap": 1}, InvalidParameter),
        ({"shmsize": -1}, InvalidParameter),
        ({"cpuperiod": 1}, InvalidParameter),
        ({"ulimits": [{"Name": "rtprio", "Soft": 1, "Hard": 1}]}, Forbidden),
        ({"platform": "windows/amd64"}, InvalidParameter),
    ],
)
def test_what_is_refused(asked: dict[str, Any], kind: type[Error]) -> None:
    with pytest.raises(kind):
        decided(**asked)
