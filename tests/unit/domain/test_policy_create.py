"""What a create request becomes: the bodies that real clients send, and what is rewritten on the way."""

import json

import pytest

from app.domain.policy import Rules, decide_create
from app.domain.policy.security import MASKED_PATHS, READ_ONLY_PATHS
from app.domain.spec import Endpoint, Namespace, PortBinding, Resources, TmpfsMount, VolumeMount

# `docker run -d busybox top` as CLI 28.2.2 sends it (API 1.44).
CLI_28 = json.loads("""
{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,
"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":["top"],"Image":"busybox","Volumes":{},"WorkingDir":"",
"Entrypoint":null,"OnBuild":null,"Labels":{},"HostConfig":{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"",
"Config":{}},"NetworkMode":"default","PortBindings":{},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},
"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[40,120],"CapAdd":null,"CapDrop":null,
"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"","Cgroup":"",
"Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,
"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,
"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],
"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,
"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,
"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,"Ulimits":[],
"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null},
"NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":null,"Links":null,"Aliases":null,"MacAddress":"",
"DriverOpts":null,"GwPriority":0,"NetworkID":"","EndpointID":"","Gateway":"","IPAddress":"","IPPrefixLen":0,
"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"DNSNames":null}}}}
""")

# The same as CLI 1.8.3 sends it (API 1.20).
CLI_1_8 = json.loads("""
{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":true,"AttachStderr":true,
"PortSpecs":null,"ExposedPorts":{},"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":[],"Cmd":["top"],
"Image":"busybox","Volumes":{},"VolumeDriver":"","WorkingDir":"","Entrypoint":null,"NetworkDisabled":false,
"MacAddress":"","OnBuild":null,"Labels":{},"HostConfig":{"Binds":null,"ContainerIDFile":"","LxcConf":[],"Memory":0,
"MemorySwap":0,"CpuShares":0,"CpuPeriod":0,"CpusetCpus":"","CpusetMems":"","CpuQuota":0,"BlkioWeight":0,
"OomKillDisable":false,"MemorySwappiness":-1,"Privileged":false,"PortBindings":{},"Links":null,
"PublishAllPorts":false,"Dns":null,"DnsSearch":null,"ExtraHosts":null,"VolumesFrom":null,"Devices":[],
"NetworkMode":"default","IpcMode":"","PidMode":"","UTSMode":"","CapAdd":null,"CapDrop":null,"GroupAdd":null,
"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"SecurityOpt":null,"ReadonlyRootfs":false,"Ulimits":null,
"LogConfig":{"Type":"","Config":{}},"CgroupParent":"","ConsoleSize":[0,0]}}
""")

LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "5"}}


def create(body=None, /, *, name=None, platform="", **fields):
    return decide_create(
        {"Image": "busybox", **fields} if body is None else body, name=name, platform=platform, rules=Rules()
    )


def host(**fields):
    return create(HostConfig=fields)


def test_the_body_of_a_new_client():
    spec = create(CLI_28, name="/web")
    assert (spec.image, spec.name, spec.warnings) == ("busybox", "web", ())
    assert spec.config == {
        "Hostname": "",
        "Domainname": "",
        "User": "",
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": [],
        "Cmd": ["top"],
        "Entrypoint": None,
        "WorkingDir": "",
        "Labels": {},
    }
    assert spec.host == {
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
        "CgroupnsMode": "private",
        "ShmSize": 64 * 1024**2,
        "LogConfig": LOG,
        "ReadonlyRootfs": False,
        "ConsoleSize": [40, 120],
        "Dns": [],
        "DnsOptions": [],
        "DnsSearch": [],
        "OomScoreAdj": 0,
        "Ulimits": [],
    }
    assert spec.endpoints == {"bridge": Endpoint()}
    assert spec.resources == Resources()
    assert (spec.network, spec.ipc, spec.pid) == (Namespace(), Namespace(), Namespace())


def test_the_body_of_an_old_client():
    spec = create(CLI_1_8)
    assert spec.warnings == ()
    assert spec.config["Cmd"] == ["top"]
    assert spec.endpoints == {}


def test_the_smallest_body():
    spec = create()
    assert spec.config["Cmd"] is None
    assert spec.host == {
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
        "CgroupnsMode": "private",
        "ShmSize": 64 * 1024**2,
        "LogConfig": LOG,
    }


def test_null_is_absent_everywhere():
    names = [name for name in CLI_28 if name not in ("Image", "HostConfig", "NetworkingConfig")]
    everything = dict.fromkeys(names) | {
        "Image": "busybox",
        "HostConfig": dict.fromkeys(CLI_28["HostConfig"]),
        "NetworkingConfig": {"EndpointsConfig": None},
    }
    assert create(everything) == create()
    assert create(HostConfig=None, NetworkingConfig=None) == create()


def test_the_process():
    spec = create(
        Hostname="my_host.example.com",
        Domainname="example.com",
        User="1000:www",
        Env=["A=b\nc", "B", "C=", "affinity:container!=x"],
        Cmd="ls",
        Entrypoint=[],
        Shell=["/bin/ash"],
        WorkingDir="/srv/../tmp",
        Tty=True,
        OpenStdin=True,
        StopSignal="SIGUSR1",
        StopTimeout=0,
        NetworkDisabled=True,
    )
    assert spec.config["Env"] == ["A=b\nc", "B", "C=", "affinity:container!=x"]
    assert spec.config["Cmd"] == ["ls"]
    assert spec.config["Entrypoint"] == []
    assert spec.config["WorkingDir"] == "/srv/../tmp"
    assert (spec.config["StopSignal"], spec.config["StopTimeout"]) == ("SIGUSR1", 0)
    assert spec.config["NetworkDisabled"] is True


def test_probes_are_not_more_often_than_once_a_second():
    check = {
        "Test": ["CMD-SHELL", "true"],
        "Interval": 500_000_000,
        "Timeout": 3 * 10**9,
        "Retries": 3,
        "StartPeriod": 0,
    }
    spec = create(Healthcheck=check)
    assert spec.config["Healthcheck"] == {
        "Test": ["CMD-SHELL", "true"],
        "Interval": 10**9,
        "Timeout": 3 * 10**9,
        "Retries": 3,
    }
    assert spec.warnings == ("Healthcheck.Interval was raised to 1s",)
    assert create(Healthcheck={"Test": ["NONE"]}).config["Healthcheck"] == {"Test": ["NONE"]}
    assert "Healthcheck" not in create(Healthcheck={}).config


def test_ports():
    spec = create(
        ExposedPorts={"8000-8002": {}, "53/UDP": None},
        HostConfig={
            "PortBindings": {
                "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
                "81": [{"HostIp": "", "HostPort": ""}, {"HostPort": "0"}],
                "82/sctp": [{"HostPort": "9000-9010"}],
                "83/tcp": None,
                "443/tcp": [{"HostPort": "443"}],
            }
        },
    )
    assert list(spec.config["ExposedPorts"]) == [
        *("8000/tcp", "8001/tcp", "8002/tcp", "53/udp", "80/tcp", "81/tcp", "82/sctp", "83/tcp", "443/tcp")
    ]
    assert spec.ports == (
        PortBinding(80, "tcp", 8080, 8080),
        PortBinding(81, "tcp"),
        PortBinding(81, "tcp"),
        PortBinding(82, "sctp", 9000, 9010),
        PortBinding(443, "tcp", 443, 443),
    )
    assert not spec.publish_all
    assert host(PublishAllPorts=True).publish_all


def test_exposed_ranges_may_overlap_up_to_the_limit():
    assert len(create(ExposedPorts={"1-512": {}}).config["ExposedPorts"]) == 512


def test_volumes():
    spec = create(
        Volumes={"/data": {}, "/v/../odd:path": {}, "/named": {}, "/dev/shm": {}},
        HostConfig={
            "Binds": ["vol:/named:ro,nocopy", "/anonymous", "www:/srv/:rw"],
            "Mounts": [
                {"Type": "volume", "Source": "xyz", "Target": "/x", "ReadOnly": True, "Consistency": "cached"},
                {
                    "Type": "volume",
                    "Target": "/y",
                    "VolumeOptions": {
                        "NoCopy": True,
                        "Labels": {"a": "b"},
                        "DriverConfig": {"Name": "local", "Options": {"size": "10G"}},
                    },
                },
                {"Type": "volume", "Source": "zyx", "Target": "/z", "BindOptions": None, "VolumeOptions": None},
            ],
            "VolumesFrom": ["one", "/two:ro"],
            "VolumeDriver": "local",
        },
    )
    assert spec.volumes == (
        VolumeMount("/named", "vol", True, True, driver="local", origin="Binds"),
        VolumeMount("/anonymous", None, driver="local", origin="Binds"),
        VolumeMount("/srv", "www", driver="local", origin="Binds"),
        VolumeMount("/x", "xyz", True),
        VolumeMount("/y", None, no_copy=True, labels={"a": "b"}, driver="local", size=10 * 1024**3),
        VolumeMount("/z", "zyx"),
        VolumeMount("/data", None, driver="local", origin="Volumes"),
        VolumeMount("/odd:path", None, driver="local", origin="Volumes"),
        VolumeMount("/dev/shm", None, driver="local", origin="Volumes"),
    )
    assert spec.covered == ("/named",)
    assert spec.binds == ("vol:/named:ro,nocopy", "/anonymous", "www:/srv/:rw")
    assert spec.volumes_from == (("one", "rw"), ("two", "ro"))


def test_an_selinux_label_is_a_warning():
    spec = host(Binds=["vol:/x:z"])
    assert spec.volumes[0].name == "vol"
    assert "SELinux" in spec.warnings[0]


def test_tmpfs():
    spec = host(
        Tmpfs={"/run": "rw,noexec,size=64k,mode=1777,uid=5", "/tmp": "", "/dev/shm/x": "ro"},
        Mounts=[
            {
                "Type": "tmpfs",
                "Target": "/t",
                "ReadOnly": True,
                "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o700, "Options": [["exec"], ["gid", "7"]]},
            }
        ],
    )
    assert spec.tmpfs == (
        TmpfsMount("/t", 1 << 20, 0o700, ("exec", "gid=7"), True, "Mounts"),
        TmpfsMount("/run", 64 * 1024, 0o1777, ("noexec", "uid=5"), False, "Tmpfs"),
        TmpfsMount("/tmp", origin="Tmpfs"),
        TmpfsMount("/dev/shm/x", read_only=True, origin="Tmpfs"),
    )


@pytest.mark.parametrize(
    ("mode", "namespace"),
    [
        ("", Namespace()),
        ("default", Namespace()),
        ("bridge", Namespace()),
        ("none", Namespace("none")),
        ("container:/web", Namespace("container", "web")),
        ("backend", Namespace("network", "backend")),
        ("Host", Namespace("network", "Host")),
    ],
)
def test_network_modes(mode, namespace):
    assert host(NetworkMode=mode).network == namespace


@pytest.mark.parametrize(
    ("mode", "namespace"),
    [
        ("private", Namespace("private")),
        ("shareable", Namespace("shareable")),
        ("container:x", Namespace("container", "x")),
    ],
)
def test_ipc_modes(mode, namespace):
    assert host(IpcMode=mode).ipc == namespace


def test_pid_mode():
    assert host(PidMode="container:x").pid == Namespace("container", "x")


def test_endpoints():
    spec = create(
        MacAddress="02-00-00-00-00-0A",
        HostConfig={"NetworkMode": "front"},
        NetworkingConfig={
            "EndpointsConfig": {
                "front": {
                    "Aliases": ["web", "web", "my_web"],
                    "Links": ["db:database"],
                    "IPAMConfig": {"IPv4Address": "10.1.2.3", "IPv6Address": "FD00::5", "LinkLocalIPs": []},
                    "IPAddress": "172.17.0.2",
                    "NetworkID": "x",
                },
                "back": None,
            }
        },
    )
    assert spec.endpoints == {
        "front": Endpoint(("web", "my_web"), (("db", "database"),), "10.1.2.3", "fd00::5", "02:00:00:00:00:0a"),
        "back": Endpoint(),
    }


def test_networks_that_are_written_with_the_mode_itself():
    for mode in ("none", "container:x"):
        spec = create(HostConfig={"NetworkMode": mode}, NetworkingConfig={"EndpointsConfig": {mode: {"NetworkID": ""}}})
        assert spec.endpoints == {}


def test_the_containers_mac_address_is_the_default_networks():
    assert create(MacAddress="02:00:00:00:00:01").endpoints == {"bridge": Endpoint(mac="02:00:00:00:00:01")}


@pytest.mark.parametrize(
    ("link", "parsed"),
    [("db", ("db", "db")), ("db:database", ("db", "database")), ("/db:/web/database", ("db", "database"))],
)
def test_links(link, parsed):
    assert host(Links=[link]).links == (parsed,)


def test_hosts_and_resolver():
    spec = host(
        Dns=["1.1.1.1", "127.0.0.1", "2606:4700:4700::1111"],
        DnsSearch=["example.com", "."],
        DnsOptions=["ndots:1"],
        ExtraHosts=["a:10.0.0.1", "b=10.0.0.2", "c:::1", "d:[fd00::1]", "e_f=fd00::2"],
    )
    assert spec.host["Dns"] == ["1.1.1.1", "127.0.0.1", "2606:4700:4700::1111"]
    assert spec.host["ExtraHosts"] == ["a:10.0.0.1", "b:10.0.0.2", "c:::1", "d:fd00::1", "e_f:fd00::2"]


def test_labels():
    affinities = '["container!=web"]'
    spec = create(
        Labels={
            "com.joyent.package": "g4-highcpu-1G",
            "com.docker.compose.project": "p",
            "com.docker.swarm.affinities": affinities,
            "Foo": "1",
            "foo": "2",
            "empty": None,
            "triton.cns.services": "web:port=80:weight=5,api,db:5432",
            "triton.cns.disable": "false",
        }
    )
    assert spec.resources.package == "g4-highcpu-1G"
    assert spec.config["Labels"] == {
        "com.docker.compose.project": "p",
        "com.docker.swarm.affinities": affinities,
        "Foo": "1",
        "foo": "2",
        "empty": "",
        "triton.cns.services": "web:port=80:weight=5,api,db:5432",
        "triton.cns.disable": "false",
    }


def test_a_public_network_goes_with_published_ports():
    create(Labels={"triton.network.public": "ext"}, HostConfig={"PublishAllPorts": True})


def test_resources():
    spec = host(
        Memory=512 * 1024**2,
        MemorySwap=1024**3,
        MemoryReservation=256 * 1024**2,
        MemorySwappiness=0,
        NanoCpus=1_500_000_000,
        CpuShares=1,
        PidsLimit=100,
        BlkioWeight=500,
        StorageOpt={"size": "1.5G"},
        ShmSize=128 * 1024**2,
    )
    assert spec.resources == Resources(
        memory=512 * 1024**2,
        memory_swap=1024**3,
        memory_reservation=256 * 1024**2,
        memory_swappiness=0,
        nano_cpus=1_500_000_000,
        cpu_shares=2,
        pids_limit=100,
        blkio_weight=500,
        storage_size=3 * 1024**3 // 2,
    )
    assert spec.host["ShmSize"] == 128 * 1024**2


@pytest.mark.parametrize("value", [None, 0, -1])
def test_unlimited_processes_are_the_packages(value):
    assert host(PidsLimit=value).resources.pids_limit is None


def test_a_negative_quota_is_the_packages():
    assert host(CpuQuota=-1, CpuPeriod=50_000).resources == Resources(cpu_period=50_000)


def test_ulimits():
    spec = host(
        Memory=1024**3,
        Ulimits=[
            {"Name": "nofile", "Soft": 1024, "Hard": -1},
            {"Name": "memlock", "Soft": -1, "Hard": -1},
            {"Name": "core", "Soft": 5, "Hard": 5},
            {"Name": "nproc", "Soft": 5, "Hard": 5},
            {"Name": "stack", "Soft": -1, "Hard": -1},
        ],
    )
    assert spec.host["Ulimits"] == [
        {"Name": "nofile", "Soft": 1024, "Hard": 1_048_576},
        {"Name": "memlock", "Soft": 1024**3, "Hard": 1024**3},
        {"Name": "core", "Soft": 0, "Hard": 0},
        {"Name": "stack", "Soft": -1, "Hard": -1},
    ]
    assert len(spec.warnings) == 5
    assert any("nproc" in line for line in spec.warnings)


def test_memlock_without_a_memory_limit():
    limit = host(Ulimits=[{"Name": "memlock", "Soft": -1, "Hard": -1}]).host["Ulimits"][0]
    assert limit["Hard"] == 64 * 1024**2


def test_rights():
    spec = host(
        CapAdd=["net_raw", "CAP_CHOWN"],
        CapDrop=["ALL"],
        SecurityOpt=["no-new-privileges:true"],
        Sysctls={"net.core.somaxconn": "1024", "kernel.shmmax": "1", "net.ipv4.tcp_syncookies": "0"},
        MaskedPaths=sorted(MASKED_PATHS),
        ReadonlyPaths=sorted(READ_ONLY_PATHS),
        Runtime="runc",
        Isolation="Default",
        GroupAdd=["audio", "1000"],
        OomScoreAdj=500,
        CgroupnsMode="private",
        Privileged=False,
        Annotations={},
        Init=True,
        ReadonlyRootfs=True,
    )
    assert spec.warnings == ()
    assert spec.host["CapAdd"] == ["NET_RAW", "CAP_CHOWN"]
    assert spec.host["CapDrop"] == ["ALL"]
    assert spec.host["SecurityOpt"] == ["no-new-privileges"]
    assert spec.host["Runtime"] == "runc"
    assert spec.host["Isolation"] == "Default"
    assert spec.host["Init"] is True
    assert not {"MaskedPaths", "ReadonlyPaths", "Privileged", "Annotations"} & set(spec.host)


@pytest.mark.parametrize(
    ("given", "decided"),
    [
        ({}, {"Name": "no", "MaximumRetryCount": 0}),
        ({"Name": "", "MaximumRetryCount": 5}, {"Name": "no", "MaximumRetryCount": 0}),
        ({"Name": "unless-stopped"}, {"Name": "unless-stopped", "MaximumRetryCount": 0}),
        ({"Name": "on-failure", "MaximumRetryCount": 5}, {"Name": "on-failure", "MaximumRetryCount": 5}),
    ],
)
def test_restart_policies(given, decided):
    assert host(RestartPolicy=given).host["RestartPolicy"] == decided


@pytest.mark.parametrize(
    ("given", "decided", "warnings"),
    [
        ({"Type": "json-file", "Config": None}, LOG, 0),
        ({"Type": "none"}, {"Type": "none", "Config": {}}, 0),
        ({"Type": "local"}, {"Type": "local", "Config": {}}, 0),
        (
            {"Type": "", "Config": {"max-size": "200k", "max-file": "3", "compress": "true", "labels": "a,b"}},
            {
                "Type": "json-file",
                "Config": {"max-size": "200k", "max-file": "3", "compress": "true", "labels": "a,b"},
            },
            0,
        ),
        ({"Config": {"max-size": "1g", "max-file": "9"}}, LOG, 2),
        ({"Config": {"max-size": "-1"}}, LOG, 1),
        (
            {"Type": "local", "Config": {"mode": "non-blocking", "max-buffer-size": "1g"}},
            {"Type": "local", "Config": {"mode": "non-blocking", "max-buffer-size": str(4 * 1024**2)}},
            1,
        ),
    ],
)
def test_logs(given, decided, warnings):
    spec = host(LogConfig=given)
    assert spec.host["LogConfig"] == decided
    assert len(spec.warnings) == warnings


@pytest.mark.parametrize(
    ("platform", "decided"),
    [
        ("", ""),
        ("linux", "linux"),
        ("linux/amd64", "linux/amd64"),
        ("Linux/aarch64/v8", "linux/arm64/v8"),
        ("amd64", "linux/amd64"),
        ("arm/v7", "linux/arm/v7"),
    ],
)
def test_platforms(platform, decided):
    assert create(platform=platform).platform == decided


def test_what_is_not_supported_is_said():
    spec = create(
        Memory=5, OnBuild=["RUN x"], HostConfig={"KernelMemory": 1 << 30, "CpuCount": 2, "LxcConf": [{"Key": "a"}]}
    )
    assert sorted(spec.warnings) == [
        "HostConfig.CpuCount is not supported here and was ignored",
        "HostConfig.KernelMemory is not supported here and was ignored",
        "HostConfig.LxcConf is not supported here and was ignored",
        "Memory is not supported here and was ignored",
        "OnBuild is not supported here and was ignored",
    ]


def test_one_decision_leaves_nothing_for_the_next():
    full = create(CLI_28, name="a1")
    full.host["RestartPolicy"]["Name"] = "always"
    full.host["LogConfig"]["Config"]["tag"] = "x"
    full.config["Labels"]["x"] = "y"
    assert create().host["LogConfig"] == LOG
    assert create().host["RestartPolicy"]["Name"] == "no"
    assert create().config["Labels"] == {}
