"""Every field that Docker's API knows is decided by name: a new one in Docker's types makes a test here fail."""

import pytest

from app.domain.policy import mounts, process, security
from app.domain.policy.execs import EXEC
from app.domain.policy.log_config import _LOG_CONFIG
from app.domain.policy.network import _BINDING
from app.domain.policy.resources import _ULIMIT
from app.domain.policy.table import BODY, ENDPOINT, HOST_CONFIG, IPAM, NETWORKING, RESOURCES

# The structs of moby's api/types at API 1.44 and what was added to them up to 1.56.
CONFIG = """
    Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts Tty OpenStdin StdinOnce Env Cmd
    Healthcheck ArgsEscaped Image Volumes WorkingDir Entrypoint NetworkDisabled MacAddress OnBuild Labels StopSignal
    StopTimeout Shell
"""
CONFIG_BEFORE_1_21 = "Memory MemorySwap CpuShares Cpuset PortSpecs VolumesFrom VolumeDriver PublishService"
REQUEST = "HostConfig NetworkingConfig"
CONTAINER_RESOURCES = """
    CpuShares Memory NanoCpus CgroupParent BlkioWeight BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps
    BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpusetCpus
    CpusetMems Devices DeviceCgroupRules DeviceRequests KernelMemory KernelMemoryTCP MemoryReservation MemorySwap
    MemorySwappiness OomKillDisable PidsLimit Ulimits CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth
"""
HOST = """
    Binds ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom
    ConsoleSize Annotations CapAdd CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup
    Links OomScoreAdj PidMode Privileged PublishAllPorts ReadonlyRootfs SecurityOpt StorageOpt Tmpfs UTSMode
    UsernsMode ShmSize Sysctls Runtime Isolation Mounts MaskedPaths ReadonlyPaths Init
"""
HOST_OF_OLD = "LxcConf Capabilities"
ENDPOINT_SETTINGS = """
    IPAMConfig Links Aliases MacAddress DriverOpts GwPriority NetworkID EndpointID Gateway IPAddress IPPrefixLen
    IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen DNSNames
"""
EXEC_OPTIONS = """
    User Privileged Tty ConsoleSize AttachStdin AttachStderr AttachStdout Detach DetachKeys Env WorkingDir Cmd Container
"""


@pytest.mark.parametrize(
    ("struct", "fields"),
    [
        (BODY, f"{CONFIG} {CONFIG_BEFORE_1_21} {REQUEST}"),
        (HOST_CONFIG, f"{HOST} {HOST_OF_OLD} {CONTAINER_RESOURCES}"),
        (ENDPOINT, ENDPOINT_SETTINGS),
        (IPAM, "IPv4Address IPv6Address LinkLocalIPs"),
        (NETWORKING, "EndpointsConfig"),
        (
            mounts._MOUNT,
            "Type Source Target ReadOnly Consistency BindOptions VolumeOptions ImageOptions TmpfsOptions "
            "ClusterOptions",
        ),
        (mounts._VOLUME_OPTIONS, "NoCopy Labels Subpath DriverConfig"),
        (mounts._DRIVER, "Name Options"),
        (mounts._TMPFS_OPTIONS, "SizeBytes Mode Options"),
        (process._HEALTH, "Test Interval Timeout StartPeriod StartInterval Retries"),
        (security._RESTART, "Name MaximumRetryCount"),
        (_LOG_CONFIG, "Type Config"),
        (_BINDING, "HostIp HostPort"),
        (_ULIMIT, "Name Soft Hard"),
        (EXEC, EXEC_OPTIONS),
    ],
)
def test_every_field_is_classified(struct, fields):
    assert sorted(struct.names) == sorted(fields.split())


def test_resources_are_the_part_that_update_shares():
    assert sorted(RESOURCES) == sorted(CONTAINER_RESOURCES.split())
    assert all(HOST_CONFIG.decisions[name] is decision for name, decision in RESOURCES.items())
