"""What a shared host refuses, each by the name of its field, and the ways around that were found elsewhere."""

import pytest

from app.domain.policy import Rules, decide_create
from app.errors import Forbidden, InvalidParameter
from app.errors import NotImplemented as NotAvailable


def create(body=None, /, *, name=None, platform="", rules=None, **fields):
    return decide_create(
        {"Image": "busybox", **fields} if body is None else body, name=name, platform=platform, rules=rules or Rules()
    )


def host(rules=None, **fields):
    return create(HostConfig=fields, rules=rules)


BIND = {"type": "none", "o": "bind", "device": "/etc"}
SYSTEM_PATHS = [
    "/proc",
    "/proc/sys",
    "/proc/self/fd",
    "/sys",
    "/sys/fs/cgroup",
    "/dev",
    "/dev/mem",
    "/x/../proc",
    "//proc",
]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Privileged", True),
        ("NetworkMode", "host"),
        ("PidMode", "host"),
        ("IpcMode", "host"),
        ("UTSMode", "host"),
        ("UsernsMode", "host"),
        ("CgroupnsMode", "host"),
        ("Cgroup", "container:x"),
        ("CgroupParent", "/system.slice"),
        ("Binds", ["/etc:/h"]),
        ("Binds", ["/etc:/h:ro"]),
        ("Binds", ["/var/run/docker.sock:/var/run/docker.sock"]),
        ("Binds", ["//etc:/h"]),
        ("Mounts", [{"Type": "bind", "Source": "/etc", "Target": "/h"}]),
        ("Mounts", [{"Type": "npipe", "Source": "x", "Target": "/h"}]),
        ("Mounts", [{"Type": "cluster", "Source": "x", "Target": "/h"}]),
        ("Mounts", [{"Type": "volume", "Target": "/h", "VolumeOptions": {"DriverConfig": {"Options": BIND}}}]),
        ("Mounts", [{"Type": "volume", "Target": "/h", "VolumeOptions": {"DriverConfig": {"Options": {"o": "bind"}}}}]),
        ("Mounts", [{"Type": "volume", "Target": "/h", "VolumeOptions": {"DriverConfig": {"Name": "rclone"}}}]),
        ("Mounts", [{"Type": "volume", "Target": "/h", "ClusterOptions": {}}]),
        ("VolumeDriver", "rclone"),
        ("CapAdd", ["SYS_ADMIN"]),
        ("CapAdd", ["cap_sys_admin"]),
        ("CapAdd", ["ALL"]),
        ("CapAdd", "NET_ADMIN"),
        ("Capabilities", ["CAP_SYS_ADMIN"]),
        ("SecurityOpt", ["seccomp=unconfined"]),
        ("SecurityOpt", ["seccomp:unconfined"]),
        ("SecurityOpt", ["apparmor=unconfined"]),
        ("SecurityOpt", ["label=disable"]),
        ("SecurityOpt", ["label:type:svirt_apache_t"]),
        ("SecurityOpt", ["disable"]),
        ("SecurityOpt", ["systempaths=unconfined"]),
        ("SecurityOpt", ["writable-cgroups"]),
        ("SecurityOpt", ["writable-cgroups=true"]),
        ("SecurityOpt", ["credentialspec=file://x"]),
        ("SecurityOpt", ["no-new-privileges=false"]),
        ("SecurityOpt", ["no-new-privileges:false"]),
        ("SecurityOpt", ["NO-NEW-PRIVILEGES"]),
        ("Devices", [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}]),
        ("DeviceCgroupRules", ["c 1:1 rwm"]),
        ("DeviceRequests", [{"Driver": "cdi"}]),
        ("Annotations", {"run.oci.hooks.x": "y"}),
        ("MaskedPaths", []),
        ("MaskedPaths", ["/proc/kcore"]),
        ("ReadonlyPaths", []),
        ("ReadonlyPaths", ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"]),
        ("OomKillDisable", True),
        ("OomScoreAdj", -1),
        ("CpuRealtimePeriod", 1000),
        ("CpuRealtimeRuntime", 1000),
        ("CpusetCpus", "0"),
        ("CpusetMems", "0"),
        ("BlkioWeightDevice", [{"Path": "/dev/sda", "Weight": 100}]),
        ("BlkioDeviceReadBps", [{"Path": "/dev/sda", "Rate": 1}]),
        ("BlkioDeviceWriteBps", [{"Path": "/dev/sda", "Rate": 1}]),
        ("BlkioDeviceReadIOps", [{"Path": "/dev/sda", "Rate": 1}]),
        ("BlkioDeviceWriteIOps", [{"Path": "/dev/sda", "Rate": 1}]),
        ("StorageOpt", {"dm.basesize": "1G"}),
        ("MemorySwap", -1),
        ("PidsLimit", 100_000),
        ("Runtime", "runsc"),
        ("Runtime", "io.containerd.runc.v2"),
        ("Runtime", "/usr/bin/crun"),
        ("Sysctls", {"kernel.core_pattern": "|/x"}),
        ("Sysctls", {"vm.overcommit_memory": "1"}),
        ("Sysctls", {"net/ipv4/ip_forward": "1"}),
        ("Sysctls", {"net.ipv4..ip_forward": "1"}),
        ("Sysctls", {"net.ipv4.ip_forward\n": "1"}),
        ("Sysctls", {"kernel.domainname": "x"}),
        ("Sysctls", {"net." + "a" * 1000: "x"}),
        ("LogConfig", {"Type": "journald"}),
        ("LogConfig", {"Type": "syslog", "Config": {"syslog-address": "unixgram:///var/run/docker.sock"}}),
        ("LogConfig", {"Type": "syslog", "Config": {"syslog-address": "tcp://8.8.8.8:514"}}),
        ("LogConfig", {"Type": "gelf", "Config": {"gelf-address": "udp://8.8.8.8:12201"}}),
        ("LogConfig", {"Type": "fluentd"}),
        ("LogConfig", {"Type": "splunk", "Config": {"splunk-capath": "/etc/shadow"}}),
        ("LogConfig", {"Type": "awslogs"}),
        ("LogConfig", {"Type": "gcplogs"}),
        ("LogConfig", {"Type": "my/plugin:latest"}),
        ("ExtraHosts", ["node:host-gateway"]),
        ("ExtraHosts", ["node=HOST-GATEWAY"]),
        ("Dns", ["169.254.169.254"]),
        ("Dns", ["::ffff:169.254.169.254"]),
        ("Dns", ["fe80::1"]),
        ("PortBindings", {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}]}),
        ("PortBindings", {"80/tcp": [{"HostIp": "::1", "HostPort": ""}]}),
        ("PortBindings", {"80/tcp": [{"HostIp": "::ffff:127.0.0.1", "HostPort": "80"}]}),
        ("PortBindings", {"80/tcp": [{"HostIp": "10.0.0.1", "HostPort": "80"}]}),
        ("PortBindings", {"80/tcp": [{"HostIp": "fe80::1%eth0", "HostPort": "80"}]}),
        ("PortBindings", {"22/tcp": [{"HostPort": "22"}]}),
        ("PortBindings", {"80/tcp": [{"HostPort": "2370-2380"}]}),
        ("Ulimits", [{"Name": "rtprio", "Soft": 99, "Hard": 99}]),
        ("Ulimits", [{"Name": "nice", "Soft": 1, "Hard": 1}]),
        ("Ulimits", [{"Name": "msgqueue", "Soft": 1, "Hard": 1}]),
        ("Ulimits", [{"Name": "nofile", "Soft": 1, "Hard": 2_000_000}]),
        ("Ulimits", [{"Name": "memlock", "Soft": 0, "Hard": 1 << 40}]),
        *[("Tmpfs", {path: ""}) for path in SYSTEM_PATHS],
        *[("Binds", [f"v:{path}"]) for path in SYSTEM_PATHS],
        *[("Mounts", [{"Type": "tmpfs", "Target": path}]) for path in SYSTEM_PATHS],
    ],
)
def test_host_config_is_refused_by_name(field, value):
    with pytest.raises(Forbidden) as refusal:
        host(**{field: value})
    assert refusal.value.message.startswith("not allowed on this shared host: ")
    assert f"(HostConfig.{field}" in refusal.value.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("StopTimeout", 601),
        ("WorkingDir", "/proc/self/fd/8"),
        ("WorkingDir", "/proc/self/../self/fd/8/x"),
        ("WorkingDir", "//proc/1/fd"),
        ("WorkingDir", "/proc/thread-self/fd/7"),
        ("WorkingDir", "/dev/fd/9"),
        ("Volumes", {"/proc": {}}),
        ("Labels", {"sdc.account": "other"}),
        ("Labels", {"com.docker.swarm.service.name": "x"}),
    ],
)
def test_config_is_refused_by_name(field, value):
    with pytest.raises(Forbidden, match=rf"^not allowed on this shared host: .*\({field}"):
        create(**{field: value})


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"DriverOpts": {"com.docker.network.endpoint.sysctls": "x"}}, "DriverOpts"),
        ({"IPAMConfig": {"LinkLocalIPs": ["169.254.1.1"]}}, "LinkLocalIPs"),
    ],
)
def test_endpoint_settings_are_refused_by_name(settings, field):
    with pytest.raises(Forbidden, match=rf"NetworkingConfig\.EndpointsConfig.*{field}\)"):
        create(NetworkingConfig={"EndpointsConfig": {"net": settings}})


def test_host_as_an_endpoint_is_refused():
    with pytest.raises(Forbidden, match="EndpointsConfig"):
        create(NetworkingConfig={"EndpointsConfig": {"host": {}}})


@pytest.mark.parametrize(
    "body",
    [
        {"HostConfig": {"Privileged": False}, "hostconfig": {"privileged": True, "pidmode": "host"}},
        {"HostConfig": {"Privileged": False, "privileged": True}},
        {"HostConfig": {"NetworkMode": "none", "Networ\u212aMode": "host"}},
        {"HostConfig": {"SecurityOpt": [], "\u017fecurityOpt": ["seccomp=unconfined"]}},
        {"HostConfig": {"Foo": 1, "foo": 2}},
        {"HostConfig": {"Mounts": [{"Type": "volume", "type": "bind", "Source": "/", "Target": "/h"}]}},
        {"NetworkingConfig": {"EndpointsConfig": {"n": {"Aliases": [], "aliases": ["x"]}}}},
    ],
)
def test_one_field_twice_by_case(body):
    with pytest.raises(InvalidParameter, match="duplicate key"):
        create({"Image": "busybox", **body})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"hostconfig": {"privileged": True}}, "Privileged"),
        ({"HOSTCONFIG": {"pIDmODE": "host"}}, "PidMode"),
        ({"HostConfig": {"Networ\u212aMode": "host"}}, "NetworkMode"),
        ({"Ho\u017ftConfig": {"\u017fecurityOpt": ["seccomp=unconfined"]}}, "SecurityOpt"),
        ({"HostConfig": {"mounts": [{"tYPE": "bind", "source": "/", "target": "/h"}]}}, "Mounts"),
        (
            {
                "HostConfig": {
                    "Mounts": [
                        {
                            "Type": "volume",
                            "Target": "/h",
                            "volumeoptions": {"driverconfig": {"options": {"device": "/etc"}}},
                        }
                    ]
                }
            },
            "Mounts",
        ),
    ],
)
def test_a_field_in_other_letters_is_that_field(body, field):
    with pytest.raises(Forbidden, match=f"HostConfig.{field}"):
        create({"Image": "busybox", **body})


@pytest.mark.parametrize(
    "fields",
    [
        {"Mounts": [{"Type": "volume", "Target": "/h", "BindOption": 1}]},
        {"Mounts": [{"Type": "volume", "Target": "/h", "VolumeOptions": {"X": 1}}]},
        {"Mounts": [{"Type": "volume", "Target": "/h", "VolumeOptions": {"DriverConfig": {"X": 1}}}]},
        {"Mounts": [{"Type": "tmpfs", "Target": "/h", "TmpfsOptions": {"X": 1}}]},
        {"LogConfig": {"Type": "none", "X": 1}},
        {"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1, "X": 1}]},
        {"PortBindings": {"80/tcp": [{"X": 1}]}},
    ],
)
def test_an_unknown_key_in_an_object_that_carries_rights(fields):
    with pytest.raises(InvalidParameter, match="unknown field"):
        host(**fields)


def test_an_unknown_key_of_an_endpoint_may_be_there_while_it_says_nothing():
    create(NetworkingConfig={"EndpointsConfig": {"net": {"New": None, "Newer": 0}}})
    with pytest.raises(InvalidParameter, match="unknown field"):
        create(NetworkingConfig={"EndpointsConfig": {"net": {"New": 1}}})


def test_unknown_fields_become_warnings_unless_empty():
    spec = create(
        Foo=1,
        Bar=None,
        Baz=[],
        HostConfig={"Fo\no": "x", "Zero": 0},
        NetworkingConfig={"X": True, "EndpointsConfig": {}},
    )
    assert spec.warnings == (
        "Foo is not known here and was ignored",
        "HostConfig.Fo?o is not known here and was ignored",
        "NetworkingConfig.X is not known here and was ignored",
    )


def test_there_is_an_end_to_warnings():
    assert len(create({"Image": "x", **{f"Field{n}": 1 for n in range(1000)}}).warnings) == 64


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Tty": "true"}, "cannot unmarshal string into field Tty of type bool"),
        ({"Tty": 1}, "cannot unmarshal number into field Tty of type bool"),
        ({"Env": {}}, "cannot unmarshal object into field Env of type array"),
        ({"Env": [1]}, r"field Env\[0\] of type string"),
        ({"Env": "A=b"}, "field Env of type array"),
        ({"Image": 5}, "field Image of type string"),
        ({"Labels": {"a": True}}, r"field Labels\[a\] of type string"),
        ({"Labels": []}, "field Labels of type object"),
        ({"Cmd": {"a": 1}}, "field Cmd of type array"),
        ({"Volumes": {"/x": 1}}, r"cannot unmarshal number into field Volumes\[/x\] of type object"),
        ({"ExposedPorts": ["80/tcp"]}, "field ExposedPorts of type object"),
        ({"ExposedPorts": {"80/tcp": True}}, "of type object"),
        ({"HostConfig": []}, "field HostConfig of type object"),
        ({"HostConfig": {"Memory": "1g"}}, "cannot unmarshal string into field HostConfig.Memory of type int64"),
        ({"HostConfig": {"Memory": True}}, "cannot unmarshal bool into field HostConfig.Memory of type int64"),
        ({"HostConfig": {"Memory": 1e9}}, "cannot unmarshal number 1000000000.0 into field HostConfig.Memory"),
        ({"HostConfig": {"Memory": 2**63}}, "field HostConfig.Memory of type int64"),
        ({"HostConfig": {"Privileged": "false"}}, "field HostConfig.Privileged of type bool"),
        ({"HostConfig": {"Privileged": 1}}, "field HostConfig.Privileged of type bool"),
        ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": 80}]}}}, "HostPort of type string"),
        ({"HostConfig": {"Binds": [["v:/x"]]}}, "field HostConfig.Binds of type string"),
        ({"HostConfig": {"CapAdd": {}}}, "field HostConfig.CapAdd of type array"),
        ({"NetworkingConfig": {"EndpointsConfig": []}}, "EndpointsConfig of type object"),
    ],
)
def test_wrong_types_name_the_field(fields, message):
    with pytest.raises(InvalidParameter, match=message):
        create(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Hostname": "a" * 64}, "invalid hostname"),
        ({"Hostname": "a b"}, "invalid hostname: a b"),
        ({"Hostname": "web\n"}, "invalid hostname"),
        ({"Hostname": "-x"}, "invalid hostname"),
        ({"Domainname": "x" * 254}, "invalid domain name"),
        ({"User": "x\ny"}, "control characters"),
        ({"User": str(2**31)}, "uids and gids must be in range"),
        ({"Env": ["=x"]}, "invalid environment variable: =x"),
        ({"Env": [""]}, "invalid environment variable"),
        ({"Env": ["A=" + "x" * 2**20]}, "more than 1048576 bytes"),
        ({"Env": ["A=\0"]}, "NUL"),
        ({"Labels": {"a": "\ud800"}}, "UTF-8"),
        ({"Cmd": ["x" * 200_000]}, "more than"),
        ({"WorkingDir": "tmp"}, "the working directory 'tmp' is invalid, it needs to be an absolute path"),
        ({"ExposedPorts": {"http": {}}}, 'invalid port specification: "http"'),
        ({"ExposedPorts": {"0/tcp": {}}}, "invalid port specification"),
        ({"ExposedPorts": {"80/icmp": {}}}, "invalid proto: icmp"),
        ({"ExposedPorts": {"1-65535": {}}}, "more than 512 ports"),
        ({"ExposedPorts": {f"{100 * n}-{100 * n + 99}": {} for n in range(1, 9)}}, "more than 512 ports"),
        ({"ExposedPorts": {"90-80": {}}}, "invalid port specification"),
        ({"StopSignal": "SIGFOO"}, "Invalid signal: SIGFOO"),
        ({"StopTimeout": -1}, "negative"),
        ({"Volumes": {"data": {}}}, "invalid mount path: 'data' mount path must be absolute"),
        ({"Volumes": {"/": {}}}, "destination can't be '/'"),
        ({"Volumes": {"/" + "é" * 1024: {}}}, "a mount path has at most 2048 bytes"),
        ({"Volumes": {"/a/..": {}}}, "destination can't be '/'"),
        ({"Volumes": {f"/{n}": {} for n in range(33)}}, "more than 32"),
        ({"MacAddress": "01:00:00:00:00:01"}, "invalid MAC address"),
        ({"MacAddress": "02-00:00-00:00:01"}, "invalid MAC address"),
        ({"Healthcheck": {"Interval": 1000}}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"Healthcheck": {"Retries": -1}}, "Retries in Healthcheck cannot be negative"),
        ({"Healthcheck": {"Test": ["CMD"] * 129}}, "128"),
        ({"Labels": {f"l{n}": "" for n in range(257)}}, "more than 256"),
        ({"Labels": {"k" * 257: ""}}, "1 to 256 characters"),
        ({"Labels": {"": ""}}, "1 to 256 characters"),
        ({"Labels": {"k": "v" * 4097}}, "more than 4096 bytes"),
        ({"Labels": {"com.joyent.package": "a--b"}}, "invalid value for com.joyent.package: a--b"),
        ({"Labels": {"com.joyent.package": ""}}, "invalid value for com.joyent.package"),
        ({"Labels": {"com.docker.swarm.affinities": "x"}}, "invalid affinities label"),
        ({"Labels": {"com.docker.swarm.affinities": '"x"'}}, "affinities label is not an array"),
        ({"Labels": {"com.docker.swarm.affinities": "[" * 4000}}, "invalid affinities label"),
        ({"Labels": {"triton.bogus": "1"}}, 'invalid label: Unrecognized special triton tag "triton.bogus"'),
        (
            {"Labels": {"triton.cns.disable": "nonbool"}},
            'Triton tag "triton.cns.disable" value must be "true" or "false": "nonbool"',
        ),
        ({"Labels": {"triton._test.number": "nonnum"}}, 'value must be a number: "nonnum"'),
        ({"Labels": {"triton.cns.services": "a_b"}}, "DNS names"),
        ({"Labels": {"triton.cns.services": "web:port=0"}}, "service property"),
        ({"Labels": {"triton.cns.reverse_ptr": "x" * 256}}, "DNS name"),
        (
            {"Labels": {"triton.network.public": "ext"}},
            "triton.network.public label requires a container with published ports",
        ),
        ({"Image": ""}, "no image specified"),
        ({"Image": None}, "no image specified"),
    ],
)
def test_bad_config(fields, message):
    with pytest.raises(InvalidParameter) as refusal:
        create(**fields)
    assert message in refusal.value.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Binds": ["a:b:c:d"]}, "invalid volume specification: 'a:b:c:d'"),
        ({"Binds": [""]}, "invalid volume specification: ''"),
        ({"Binds": [":/x"]}, "invalid volume specification: ':/x'"),
        ({"Binds": ["v::ro"]}, 'invalid mount config for type "volume": field Target must not be empty'),
        ({"Binds": ["/data:ro"]}, "invalid volume specification: '/data:ro'"),
        ({"Binds": ["v:/x:bogus"]}, "invalid mode: bogus"),
        ({"Binds": ["v:/x:ro,rw"]}, "invalid mode: ro,rw"),
        ({"Binds": ["v:/x:U"]}, "invalid mode: U"),
        ({"Binds": ["v:/x:cached"]}, "invalid mode: cached"),
        ({"Binds": ["v:/x:rshared"]}, "field BindOptions must not be specified"),
        ({"Binds": ["C:\\x:/h"]}, "invalid mode: /h"),
        ({"Binds": ["\\etc:/x"]}, "includes invalid characters"),
        ({"Binds": ["../etc:/x"]}, '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed'),
        ({"Binds": ["~/x:/y"]}, "If you intended to pass a host directory, use absolute path"),
        ({"Binds": ["v:x"]}, "mount path must be absolute"),
        ({"Binds": ["v:/"]}, "destination can't be '/'"),
        ({"Binds": ["v\n:/x"]}, "control characters"),
        ({"Binds": ["a:/x", "b:/x"]}, "Duplicate mount point: /x"),
        ({"Binds": ["a:/x"], "Tmpfs": {"/x/": ""}}, "Duplicate mount point: /x"),
        (
            {"Binds": ["a:/x"], "Mounts": [{"Type": "volume", "Source": "b", "Target": "/y/../x"}]},
            "Duplicate mount point: /x",
        ),
        ({"Mounts": [{"Target": "/x"}]}, 'invalid mount config for type "": mount type unknown'),
        ({"Mounts": [{"Type": "Bind", "Source": "/etc", "Target": "/x"}]}, "mount type unknown"),
        ({"Mounts": [{"Type": "volume"}]}, "field Target must not be empty"),
        ({"Mounts": [{"Type": "volume", "Source": "/etc", "Target": "/x"}]}, "includes invalid characters"),
        (
            {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/x", "BindOptions": {}}]},
            "field BindOptions must not",
        ),
        (
            {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/x", "TmpfsOptions": {}}]},
            "field TmpfsOptions must",
        ),
        ({"Mounts": [{"Type": "volume", "Target": "/x", "ReadOnly": True}]}, "must not set ReadOnly mode when using"),
        ({"Mounts": [{"Type": "tmpfs", "Source": "v", "Target": "/x"}]}, "field Source must not be specified"),
        ({"Mounts": [{"Type": "tmpfs", "Target": "/x", "VolumeOptions": {}}]}, "field VolumeOptions must not"),
        ({"Mounts": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"Mode": 0o4777}}]}, "01777"),
        ({"Mounts": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": -1}}]}, "negative"),
        (
            {"Mounts": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"Options": [["suid"]]}}]},
            "Invalid tmpfs option",
        ),
        (
            {"Mounts": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"Options": [[]]}}]},
            "invalid option array length",
        ),
        (
            {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/x", "VolumeOptions": {"Subpath": "a"}}]},
            "Subpath needs an engine with API 1.45",
        ),
        ({"Tmpfs": {"/x": "size=50%"}}, "invalid size: '50%'"),
        ({"Tmpfs": {"/x": "mpol=bind:0"}}, 'Invalid tmpfs option "mpol=bind:0"'),
        ({"Tmpfs": {"/x": "remount"}}, "Invalid tmpfs option"),
        ({"Tmpfs": {"/x": "mode=7777"}}, "Invalid tmpfs option"),
        ({"Tmpfs": {"x": ""}}, "mount path must be absolute"),
        ({"VolumesFrom": [""]}, "volumes-from specification cannot be an empty string"),
        ({"VolumesFrom": ["x:shared"]}, "invalid mode: shared"),
        ({"VolumesFrom": ["x:"]}, "invalid mode"),
        ({"NetworkMode": "container:"}, "invalid container format container:<name|id>"),
        ({"NetworkMode": "container"}, "invalid container format container:<name|id>"),
        ({"IpcMode": "bogus"}, "invalid IPC mode: bogus"),
        ({"IpcMode": "container:"}, "invalid container format"),
        ({"PidMode": "bogus"}, "invalid PID mode: bogus"),
        ({"UTSMode": "bogus"}, "invalid UTS mode: bogus"),
        ({"UsernsMode": "bogus"}, "invalid user namespace mode"),
        ({"CgroupnsMode": "bogus"}, "invalid cgroup namespace mode"),
        ({"Isolation": "hyperv"}, "invalid isolation"),
        ({"PortBindings": {"x": []}}, 'invalid port specification: "x"'),
        ({"PortBindings": {"80-90/tcp": []}}, "invalid port specification"),
        ({"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}, 'invalid port specification: "x"'),
        ({"PortBindings": {"80/tcp": [{"HostPort": "90-80"}]}}, 'invalid port specification: "90-80"'),
        ({"PortBindings": {"80/tcp": [{"HostPort": "70000"}]}}, "invalid port specification"),
        ({"PortBindings": {"80/tcp": [{"HostIp": "x"}]}}, "invalid IP address: x"),
        ({"PortBindings": {f"{n}/tcp": [{}] for n in range(1, 130)}}, "more than 128 published ports"),
        ({"RestartPolicy": {"Name": "sometimes"}}, "invalid restart policy: unknown policy 'sometimes'"),
        (
            {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}},
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ),
        ({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}}, "maximum retry count cannot be negative"),
        ({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 101}}, "100"),
        (
            {"AutoRemove": True, "RestartPolicy": {"Name": "always"}},
            "can't create 'AutoRemove' container with restart policy",
        ),
        ({"CapAdd": ["FOO"]}, 'invalid CapAdd: unknown capability: "CAP_FOO"'),
        ({"CapDrop": ["FOO"]}, 'invalid CapDrop: unknown capability: "CAP_FOO"'),
        ({"Dns": ["example.com"]}, "invalid IP address: example.com"),
        ({"Dns": ["1.1.1.1"] * 9}, "more than 8"),
        ({"DnsSearch": ["a\nnameserver 1.2.3.4"]}, "invalid HostConfig.DnsSearch"),
        ({"DnsOptions": ["a b"]}, "invalid HostConfig.DnsOptions"),
        ({"ExtraHosts": ["x"]}, 'bad format for add-host: "x"'),
        ({"ExtraHosts": ["a b:1.2.3.4"]}, "bad format for add-host"),
        ({"ExtraHosts": ["a:1.2.3"]}, 'invalid IP address in add-host: "1.2.3"'),
        ({"ExtraHosts": ["a:1.2.3.4\n5.6.7.8 b"]}, "control characters"),
        ({"GroupAdd": ["a b"]}, "Unable to find group a b"),
        ({"Links": [""]}, "empty string specified for links"),
        ({"Links": ["a:b:c"]}, "bad format for links: a:b:c"),
        ({"ConsoleSize": [1, 2, 3]}, "more than 2"),
        ({"ConsoleSize": [-1, 0]}, "between 0 and 10000"),
        ({"OomScoreAdj": 1001}, "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
        ({"ShmSize": -1}, "SHM size can not be less than 0"),
        ({"Memory": 1024}, "Minimum memory limit allowed is 6MB"),
        ({"Memory": -1}, "Minimum memory limit allowed is 6MB"),
        ({"MemorySwap": 1 << 30}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
        ({"Memory": 1 << 30, "MemorySwap": 1 << 29}, "Minimum memoryswap limit should be larger than memory limit"),
        (
            {"Memory": 1 << 29, "MemoryReservation": 1 << 30},
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        ({"MemorySwappiness": 101}, "Invalid value: 101, valid memory swappiness range is 0-100"),
        ({"NanoCpus": 1, "CpuQuota": 0}, "Range of CPUs is from 0.01"),
        ({"NanoCpus": 10**9, "CpuQuota": 50_000}, "Nano CPUs and CPU Quota cannot both be set"),
        ({"NanoCpus": 10**9, "CpuPeriod": 50_000}, "Nano CPUs and CPU Period cannot both be set"),
        ({"CpuPeriod": 1}, "CPU cfs period can not be less than 1ms"),
        ({"CpuQuota": 1}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        ({"CpuShares": -1}, "invalid CPU shares (-1): value must be a positive integer"),
        ({"BlkioWeight": 5}, "Range of blkio weight is from 10 to 1000"),
        ({"StorageOpt": {"size": "big"}}, "invalid size: 'big'"),
        ({"Ulimits": [{"Name": "bogus", "Soft": 1, "Hard": 1}]}, "invalid ulimit type: bogus"),
        ({"Ulimits": [{"Name": "nofile", "Soft": 2, "Hard": 1}]}, "less than or equal to hard limit: 2 > 1"),
        ({"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1}] * 2}, "more than once"),
        (
            {"LogConfig": {"Type": "json-file", "Config": {"foo": "x"}}},
            "unknown log opt 'foo' for json-file log driver",
        ),
        ({"LogConfig": {"Type": "none", "Config": {"tag": "x"}}}, "log driver: none does not support options"),
        ({"LogConfig": {"Config": {"max-size": "big"}}}, "invalid size: 'big'"),
        ({"LogConfig": {"Config": {"max-file": "0"}}}, "must be a positive integer"),
        ({"LogConfig": {"Config": {"tag": '{{pad "x" 900000000 0}}'}}}, "without templates"),
        ({"Sysctls": {"net.core.somaxconn": 5}}, "of type string"),
    ],
)
def test_bad_host_config(fields, message):
    with pytest.raises(InvalidParameter) as refusal:
        host(**fields)
    assert message in refusal.value.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Hostname": "x"}, "conflicting options: hostname and the network mode"),
        ({"MacAddress": "02:00:00:00:00:01"}, "conflicting options: mac-address and the network mode"),
        ({"ExposedPorts": {"80": {}}}, "conflicting options: port exposing and the container type network mode"),
        ({"Links": ["a"]}, "conflicting options: container type network can't be used with links."),
        ({"Dns": ["1.1.1.1"]}, "conflicting options: dns and the network mode"),
        ({"ExtraHosts": ["a:1.1.1.1"]}, "conflicting options: custom host-to-IP mapping and the network mode"),
        ({"PublishAllPorts": True}, "conflicting options: port publishing and the container type network mode"),
        ({"PortBindings": {"80": [{}]}}, "conflicting options: port publishing and the container type network mode"),
        ({"Sysctls": {"net.core.somaxconn": "5"}}, "sysctl 'net.core.somaxconn' cannot be set for a shared network"),
        ({"EndpointsConfig": {"net": {}}}, "cannot be connected to any other network"),
    ],
)
def test_conflicts_with_another_containers_network(fields, message):
    endpoints = {"EndpointsConfig": fields.pop("EndpointsConfig", {})}
    own = {name: fields.pop(name) for name in ("Hostname", "MacAddress", "ExposedPorts") if name in fields}
    with pytest.raises(InvalidParameter) as refusal:
        create(**own, HostConfig={"NetworkMode": "container:x", **fields}, NetworkingConfig=endpoints)
    assert message in refusal.value.message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"IPAMConfig": {"IPv4Address": "fd00::1"}}, "invalid IPv4 address: fd00::1"),
        ({"IPAMConfig": {"IPv4Address": "1.2.3"}}, "invalid IP address"),
        ({"IPAMConfig": {"IPv6Address": "::1"}}, "invalid IPv6 address"),
        ({"IPAMConfig": {"Foo": "x"}}, "unknown field"),
        ({"IPAMConfig": 5}, "of type object"),
        ({"MacAddress": "zz"}, "invalid MAC address"),
        ({"Aliases": ["a b"]}, "invalid alias"),
        ({"Aliases": ["a"] * 33}, "more than 32"),
        ({"Links": ["a:b:c"]}, "bad format for links"),
    ],
)
def test_bad_endpoints(settings, message):
    with pytest.raises(InvalidParameter) as refusal:
        create(NetworkingConfig={"EndpointsConfig": {"net": settings}})
    assert message in refusal.value.message


@pytest.mark.parametrize("body", [None, {}])
def test_no_body(body):
    with pytest.raises(InvalidParameter, match="config cannot be empty in order to create a container"):
        decide_create(body, name=None, platform="", rules=Rules())


@pytest.mark.parametrize("body", [[], "x", 5, True, 1.5])
def test_a_body_that_is_no_object(body):
    with pytest.raises(InvalidParameter, match="object"):
        decide_create(body, name=None, platform="", rules=Rules())


@pytest.mark.parametrize("name", ["a", "-x", "a b", "a/b", "x\n", "//x", "é" * 3, "x" * 201])
def test_bad_names(name):
    with pytest.raises(InvalidParameter, match="Invalid container name"):
        create(name=name)


@pytest.mark.parametrize("platform", ["windows", "windows/amd64", "linux/amd64/v1/x", "linux/", "a b", "linux/amd64\n"])
def test_bad_platforms(platform):
    with pytest.raises(InvalidParameter):
        create(platform=platform)


def test_image_mounts_do_not_exist_here():
    with pytest.raises(NotAvailable):
        host(Mounts=[{"Type": "image", "Source": "x", "Target": "/x"}])


SYSLOG = Rules(allowed_log_drivers=frozenset({"syslog", "gelf", "fluentd"}), allowed_log_hosts=frozenset({"logs.lan"}))


@pytest.mark.parametrize(
    ("driver", "config", "kind"),
    [
        ("syslog", {"syslog-address": "unixgram:///var/run/docker.sock"}, Forbidden),
        ("syslog", {"syslog-address": "unix:///dev/log"}, Forbidden),
        ("syslog", {"syslog-address": "tcp://127.0.0.1:514"}, Forbidden),
        ("syslog", {"syslog-address": "udp://10.0.0.1"}, Forbidden),
        ("syslog", {"syslog-address": "udp://[::ffff:10.0.0.1]:514"}, Forbidden),
        ("syslog", {"syslog-address": "udp://0x7f000001"}, Forbidden),
        ("syslog", {"syslog-address": "udp://rebind.example.com"}, Forbidden),
        ("syslog", {"syslog-address": "tcp://8.8.8.8:x"}, InvalidParameter),
        ("syslog", {"syslog-address": "tcp://u@8.8.8.8"}, InvalidParameter),
        ("syslog", {"syslog-address": "tcp://8.8.8.8", "syslog-tls-ca-cert": "/etc/shadow"}, InvalidParameter),
        ("syslog", {}, InvalidParameter),
        ("gelf", {"gelf-address": "http://8.8.8.8"}, Forbidden),
        ("fluentd", {"fluentd-address": "unix:///x"}, Forbidden),
        ("fluentd", {"fluentd-address": "169.254.169.254:80"}, Forbidden),
    ],
)
def test_where_logs_may_not_go(driver, config, kind):
    with pytest.raises(kind):
        host(SYSLOG, LogConfig={"Type": driver, "Config": config})


def test_where_logs_may_go():
    spec = host(
        SYSLOG, LogConfig={"Type": "syslog", "Config": {"syslog-address": "tcp://logs.lan:514", "tag": "web-1"}}
    )
    assert spec.host["LogConfig"] == {
        "Type": "syslog",
        "Config": {"syslog-address": "tcp://logs.lan:514", "tag": "web-1"},
    }
    host(SYSLOG, LogConfig={"Type": "fluentd", "Config": {"fluentd-address": "8.8.8.8:24224"}})
