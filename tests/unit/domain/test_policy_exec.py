import pytest

from app.domain.policy import ExecSpec, ExecStart, decide_exec, decide_exec_start
from app.errors import Forbidden, InvalidParameter


def test_the_body_of_a_client():
    body = {
        "User": "",
        "Privileged": False,
        "Tty": True,
        "ConsoleSize": [40, 120],
        "AttachStdin": True,
        "AttachStderr": True,
        "AttachStdout": True,
        "Detach": False,
        "DetachKeys": "ctrl-a,x",
        "Env": None,
        "WorkingDir": "",
        "Cmd": ["sh"],
    }
    assert decide_exec(body) == ExecSpec(
        cmd=("sh",),
        tty=True,
        attach_stdin=True,
        attach_stdout=True,
        attach_stderr=True,
        detach_keys="ctrl-a,x",
        console_size=(40, 120),
    )


def test_the_rest():
    spec = decide_exec({"cmd": ["true"], "User": "1:2", "Env": ["A=b"], "WorkingDir": "/tmp", "Detach": True})
    assert spec == ExecSpec(cmd=("true",), user="1:2", env=("A=b",), working_dir="/tmp")


def test_fields_of_a_clients_own_are_ignored():
    assert decide_exec({"Cmd": ["true"], "containerId": "web"}) == ExecSpec(cmd=("true",))
    assert decide_exec_start({"Detach": True, "hijack": True, "stdin": True}) == ExecStart(detach=True)


@pytest.mark.parametrize("body", [None, {}, {"Cmd": None}, {"Cmd": []}])
def test_no_command(body):
    with pytest.raises(InvalidParameter, match="No exec command specified"):
        decide_exec(body)


@pytest.mark.parametrize("body", [{"Cmd": ["x"], "Privileged": True}, {"Cmd": ["x"], "privileged": True}])
def test_privileged(body):
    with pytest.raises(Forbidden, match=r"\(Privileged\)"):
        decide_exec(body)


def test_privileged_twice():
    with pytest.raises(InvalidParameter, match="duplicate key"):
        decide_exec({"Cmd": ["x"], "Privileged": False, "privileged": True})


def test_a_working_directory_that_is_an_open_file():
    with pytest.raises(Forbidden, match="WorkingDir"):
        decide_exec({"Cmd": ["x"], "WorkingDir": "/proc/self/fd/7"})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "object"),
        ({"Cmd": [1]}, "Cmd"),
        ({"Cmd": "true"}, "field Cmd of type array"),
        ({"Cmd": ["x"], "Tty": "yes"}, "field Tty of type bool"),
        ({"Cmd": ["x"], "Env": ["=x"]}, "invalid environment variable"),
        ({"Cmd": ["x"], "WorkingDir": "tmp"}, "needs to be an absolute path"),
        ({"Cmd": ["x"], "DetachKeys": "ctrl-1"}, r"Invalid detach keys \(ctrl-1\) provided"),
        ({"Cmd": ["x"], "ConsoleSize": [1, 100_000]}, "10000"),
        ({"Cmd": ["x"], "ConsoleSize": {"h": 1}}, "array"),
    ],
)
def test_bad_bodies(body, message):
    with pytest.raises(InvalidParameter, match=message):
        decide_exec(body)
