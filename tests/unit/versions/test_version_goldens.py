"""Answers recorded from real engines at each version, against ours made from the newest of them.

`golden/engine-26.1` was recorded from Docker Engine 26.1.5, which speaks 1.24 to 1.45; its answers at 1.44 are the
canonical shape. `golden/engine-20.10` was recorded from 20.10.24, which speaks 1.12 to 1.41; its answers at 1.41 are
lifted here. Each file holds cases, each case a list of {versions, body}, equal neighbours joined. Bodies are as the
engine sent them, except for what is chance or the machine's: ids, times, counts, orders, paths, names. They were made
by `python -m tests.goldens whole`, see there.

Today's engines only half speak the old versions: they keep fields that engines of that time did not have, and some
that they changed for all versions at once. Where we differ from the recording on purpose, `DIVERGENCES` says so.
"""

import json
import re
from pathlib import Path

import pytest

from app.api.versions import CURRENT, downgrade_response, parse, upgrade_request
from tests.goldens.whole import SENT

GOLDEN = Path(__file__).parent / "golden"
ENGINES = ("engine-20.10", "engine-26.1")
OPERATIONS = (
    "containers.inspect",
    "containers.list",
    "containers.top",
    "containers.wait",
    "exec.inspect",
    "images.inspect",
    "images.list",
    "system.info",
    "system.version",
)

#: (operation, below this version, path and what differs from the recording). "missing" is recorded and not ours,
#: "added" is ours and not recorded, "type" and "value" differ.
DIVERGENCES = {
    # A client of the time never saw these; the engine has them in every version.
    ("containers.inspect", "1.21"): [
        "State.Status missing",
        "HostConfig.KernelMemory missing",
        "HostConfig.MemoryReservation missing",
        "HostConfig.OomScoreAdj missing",
        "HostConfig.DnsOptions missing",
        "HostConfig.VolumeDriver missing",
        "Config.StopSignal missing",
        # An empty object where the engine says null, for a container that has stopped.
        "NetworkSettings.Ports type",
    ],
    ("containers.inspect", "1.22"): [
        "HostConfig.LxcConf added",
        "HostConfig.BlkioWeightDevice missing",
        "HostConfig.BlkioDeviceReadBps missing",
        "HostConfig.BlkioDeviceWriteBps missing",
        "HostConfig.BlkioDeviceReadIOps missing",
        "HostConfig.BlkioDeviceWriteIOps missing",
        "HostConfig.ShmSize missing",
        "HostConfig.Tmpfs missing",
        "Mounts[].Propagation missing",
        "NetworkSettings.Networks.*.NetworkID missing",
        "NetworkSettings.Networks.*.IPAMConfig missing",
        "NetworkSettings.Networks.*.Links missing",
        "NetworkSettings.Networks.*.Aliases missing",
    ],
    ("containers.inspect", "1.23"): ["HostConfig.PidsLimit missing", "HostConfig.UsernsMode missing"],
    ("containers.inspect", "1.24"): [
        "ExecDriver added",
        "State.Health missing",
        "Config.Healthcheck missing",
        "HostConfig.IOMaximumIOps missing",
        "HostConfig.IOMaximumBandwidth missing",
    ],
    ("containers.inspect", "1.25"): [
        "Mounts[].Type missing",
        "Config.StopTimeout missing",
        "HostConfig.Mounts missing",
        "HostConfig.AutoRemove missing",
        "HostConfig.Init missing",
        "HostConfig.NanoCpus missing",
        "HostConfig.CpuCount missing",
        "HostConfig.CpuRealtimePeriod missing",
        "HostConfig.CpuRealtimeRuntime missing",
    ],
    ("containers.inspect", "1.40"): ["HostConfig.DeviceRequests missing", "HostConfig.KernelMemoryTCP missing"],
    ("containers.inspect", "1.41"): ["HostConfig.CgroupnsMode missing"],
    # 26.1 leaves these out in every version; clients of the time found them.
    ("containers.inspect", "1.42"): ["HostConfig.KernelMemory added", "HostConfig.KernelMemoryTCP added"],
    ("containers.inspect", "1.44"): ["NetworkSettings.Networks.*.DNSNames missing"],
    ("containers.list", "1.21"): ["[].ImageID missing"],
    ("containers.list", "1.22"): ["[].NetworkSettings missing"],
    ("containers.list", "1.23"): ["[].State missing", "[].Mounts missing"],
    ("containers.list", "1.25"): ["[].Mounts[].Type missing"],
    ("containers.list", "1.44"): ["[].NetworkSettings.Networks.*.DNSNames missing"],
    # Engines below API 1.34 had no Error; 20.10 sends it as null in every version and 26.1 leaves it out.
    ("containers.wait", "1.44"): ["Error missing"],
    # The container itself is embedded by the resource.
    ("exec.inspect", "1.22"): ["ContainerID missing", "ExitCode type"],
    ("exec.inspect", "1.24"): ["DetachKeys missing"],
    ("exec.inspect", "1.25"): ["Pid missing"],
    ("images.inspect", "1.21"): ["RepoTags missing", "RepoDigests missing"],
    ("images.inspect", "1.22"): ["RootFS missing"],
    # An empty list where the engine says null: clients loop over it.
    ("images.list", "1.43"): ["[].RepoDigests type"],
    ("system.info", "1.21"): ["ServerVersion missing", "CPUShares missing", "CPUSet missing"],
    ("system.info", "1.22"): [
        "ContainersRunning missing",
        "ContainersPaused missing",
        "ContainersStopped missing",
        "OSType missing",
        "Architecture missing",
        "Plugins missing",
    ],
    ("system.info", "1.23"): ["CgroupDriver missing", "KernelMemory missing"],
    ("system.info", "1.24"): [
        "SecurityOptions missing",
        "Swarm missing",
        "Runtimes missing",
        "DefaultRuntime missing",
    ],
    ("system.info", "1.39"): ["Warnings missing"],
    ("system.info", "1.40"): ["PidsLimit missing", "KernelMemoryTCP missing"],
    ("system.info", "1.41"): ["CgroupVersion missing"],
    # No package limits kernel memory, so info says that it is not supported.
    ("system.info", "1.42"): ["KernelMemory value"],
    ("system.info", "1.44"): ["CDISpecDirs missing"],
}


def recordings():
    for engine in ENGINES:
        for operation in OPERATIONS:
            for case, answers in json.loads((GOLDEN / engine / f"{operation}.json").read_text()).items():
                for answer in answers:
                    for version in answer["versions"].split():
                        yield pytest.param(
                            engine,
                            operation,
                            case,
                            version,
                            answer["body"],
                            id=f"{engine}-{operation}-{case}-{version}",
                        )


RECORDINGS = list(recordings())


def canonical(engine, operation, case):
    """The newest recorded answer of a case, lifted to API 1.44."""
    answers = json.loads((GOLDEN / engine / f"{operation}.json").read_text())[case]
    body = answers[-1]["body"]
    return body if "1.44" in answers[-1]["versions"] else lift(operation, body)


def lift(operation, body):
    """An answer of 20.10 at 1.41 as 1.44 has it; what the product's engine client does, told independently."""
    if operation == "containers.inspect":
        host = {key: value for key, value in body["HostConfig"].items() if value or not key.startswith("KernelMemory")}
        return {**body, "HostConfig": host}
    if operation == "containers.wait":
        return {key: value for key, value in body.items() if key != "Error" or value}
    if operation == "images.inspect":
        return {key: value for key, value in body.items() if key != "VirtualSize"}
    if operation == "images.list":
        return [
            {
                **{key: value for key, value in image.items() if key != "VirtualSize"},
                "RepoTags": [tag for tag in image["RepoTags"] or [] if tag != "<none>:<none>"],
                "RepoDigests": [digest for digest in image["RepoDigests"] or [] if digest != "<none>@<none>"],
            }
            for image in body
        ]
    if operation == "system.info":
        return {key: value for key, value in body.items() if key != "KernelMemory"}
    return body


def differences(recorded, ours, path=""):
    """How `ours` differs from `recorded`, as "path kind"."""
    if type(recorded) is not type(ours):
        yield f"{path} type"
    elif isinstance(recorded, dict):
        for key in recorded.keys() | ours.keys():
            # The keys of Networks are names, all of one shape.
            below = f"{path}.*" if path.endswith("NetworkSettings.Networks") else f"{path}.{key}".lstrip(".")
            if key not in ours:
                yield f"{below} missing"
            elif key not in recorded:
                yield f"{below} added"
            else:
                yield from differences(recorded[key], ours[key], below)
    elif isinstance(recorded, list):
        if len(recorded) != len(ours):
            yield f"{path} value"
        for one, other in zip(recorded, ours, strict=False):
            yield from differences(one, other, f"{path}[]")
    elif recorded != ours:
        yield f"{path} value"


def allowed(operation, version):
    return {
        difference
        for (of, below), listed in DIVERGENCES.items()
        if of == operation and version < parse(below)
        for difference in listed
    }


@pytest.mark.parametrize(("engine", "operation", "case", "version", "recorded"), RECORDINGS)
def test_answer_is_the_recorded_one(engine, operation, case, version, recorded):
    ours = downgrade_response(parse(version), operation, canonical(engine, operation, case))
    assert set(differences(recorded, ours)) <= allowed(operation, parse(version))


def test_every_divergence_is_real():
    """A line in DIVERGENCES that no recording shows is out of date; it must show just below its version."""
    seen = set()
    for recording in RECORDINGS:
        engine, operation, case, version, recorded = recording.values
        ours = downgrade_response(parse(version), operation, canonical(engine, operation, case))
        seen |= {(operation, difference) for difference in differences(recorded, ours)}
    listed = {(operation, difference) for (operation, _), lines in DIVERGENCES.items() for difference in lines}
    assert listed - seen == set()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_both_engines_cover_both_ends(operation):
    versions = {recording.values[3] for recording in RECORDINGS if recording.values[1] == operation}
    assert {"1.20", "1.24", "1.44"} <= versions
    assert str(CURRENT) in versions


@pytest.mark.parametrize("engine", ENGINES)
def test_creates_mean_what_the_engine_made_of_them(engine):
    """The body that was sent at each version, upgraded, asks for what the engine gave."""
    for answer in json.loads((GOLDEN / engine / "containers.create.json").read_text())["made"]:
        for text in answer["versions"].split():
            _, body = upgrade_request(parse(text), "containers.create", {}, SENT)
            host, made = body["HostConfig"], answer["body"]
            assert host["AutoRemove"] == made["AutoRemove"], text
            assert host.get("IpcMode", "private") == made["IpcMode"], text
            assert host.get("KernelMemoryTCP", 0) == made["KernelMemoryTCP"], text
            if "ConsoleSize" in made:  # 20.10 was sent none
                assert host.get("ConsoleSize", [0, 0]) == made["ConsoleSize"], text
            endpoints = body.get("NetworkingConfig", {}).get("EndpointsConfig", {})
            assert (body.get("MacAddress") or endpoints["bridge"]["MacAddress"]) == made["MacAddress"], text


def test_recordings_name_no_machine():
    for path in GOLDEN.rglob("*.json"):
        assert not re.search(r"/tmp/|/root/|/home/", path.read_text()), path
