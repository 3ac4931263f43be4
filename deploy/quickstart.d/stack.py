"""The state directory: where everything is, what was chosen at the first `up`, and the settings made from both.

The choices are written to state.json before anything is made by them, so that a run that was killed can be repeated or
taken down. The file holds no secret: `env` reads it as an ordinary user.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from console import Stop

CHECKOUT = Path(__file__).resolve().parents[2]

#: The same rule as the accounts table has.
LOGIN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.@-]{0,63}")

#: Unix socket paths end at 107 bytes, and a private engine's containerd adds the longest tail to the home.
LONGEST_HOME = 60

#: User and group of nginx's worker processes on Debian.
NGINX_USER = "www-data"

#: Every process that this command starts inherits this variable: `down` ends what bears it, and nothing else.
MARK = "SDC_QUICKSTART_PART_OF"


@dataclass
class EngineChoice:
    """The engine that is the one compute node."""

    socket: str
    private: bool
    #: Where published ports are reached.
    address: str = ""
    #: The rest is for a private engine: its network namespace and the wire to it.
    netns: str = ""
    link: str = ""
    subnet: str = ""
    host_address: str = ""
    outbound: bool = False
    #: net.ipv4.ip_forward as it was before we turned it on; "" = not turned on by us.
    forward_before: str = ""
    #: Images that a shared engine had before it was enrolled: they are never removed.
    images_before: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"


@dataclass
class State:
    id: str
    fleet: str
    address: str
    port: int
    account: str
    datacenter: str
    registry_hosts: list[str]
    engine: EngineChoice | None = None
    #: SDC_* variables of the caller's environment, passed on to the service.
    settings: dict[str, str] = field(default_factory=dict)
    #: Port of CloudAPI, at the same address; 0 until it is chosen.
    cloudapi_port: int = 0
    #: Port of the data center's own registry; 0 = it has none.
    registry_port: int = 0
    enrolled: bool = False
    #: What the running parts were started from; "" until the first `up` came through.
    fingerprint: str = ""


class Stack:
    """One state directory. `state` is None until `create()`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home / "log"
        self.run = home / "run"
        self.accounts = home / "accounts"
        self.ca = home / "ca"
        self.postgres = home / "postgres"
        self.engine_home = home / "engine"
        self.nginx = home / "nginx"
        self.registry = home / "registry"
        self.registry_auth_file = home / "registry" / "service"
        self.app_socket = home / "app" / "app.sock"
        self.cloudapi_socket = home / "app" / "cloudapi.sock"
        self.app_run = home / "app" / "run"
        self.python = home / "venv" / "bin" / "python"
        self.state: State | None = None
        try:
            saved = json.loads((home / "state.json").read_text())
        except FileNotFoundError:
            return
        engine = saved.pop("engine")
        self.state = State(**saved, engine=EngineChoice(**engine) if engine else None)

    @property
    def chosen(self) -> State:
        if self.state is None:
            raise Stop(f"nothing is set up in {self.home}; run `deploy/quickstart` first.")
        return self.state

    @property
    def engine(self) -> EngineChoice:
        if self.chosen.engine is None:
            raise Stop("no engine has been chosen yet; run `deploy/quickstart` again.")
        return self.chosen.engine

    @property
    def docker_address(self) -> str:
        """host:port of the Docker endpoint."""
        return self._at(self.chosen.port)

    @property
    def cloudapi_address(self) -> str:
        """host:port of CloudAPI."""
        return self._at(self.chosen.cloudapi_port)

    @property
    def registry_address(self) -> str:
        """host:port of the data center's own registry, as the engine and the service reach it."""
        return f"{self.registry_host}:{self.chosen.registry_port}"

    @property
    def registry_host(self) -> str:
        return self.engine.host_address if self.engine.private else "127.0.0.1"

    def registry_settings(self) -> dict[str, str]:
        if not self.chosen.registry_port:
            return {}
        return {
            "SDC_REGISTRY": f"registry.{self.chosen.datacenter}",
            "SDC_REGISTRY_ADDRESS": self.registry_address,
            "SDC_REGISTRY_AUTH_FILE": str(self.registry_auth_file),
        }

    def _at(self, port: int) -> str:
        address = self.chosen.address
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

    def create(self, **choices: object) -> None:
        if len(str(self.home)) > LONGEST_HOME:
            raise Stop(f"{self.home} is too long for the sockets in it; --home may have {LONGEST_HOME} characters.")
        self.state = State(id=secrets.token_hex(3), fleet=str(uuid.uuid4()), **choices)  # type: ignore[arg-type]
        self.save()

    def save(self) -> None:
        new = self.home / "state.json.new"
        new.write_text(json.dumps(asdict(self.chosen), indent=2) + "\n")
        new.chmod(0o644)
        new.replace(self.home / "state.json")

    def folders(self) -> None:
        for path, mode in [
            (self.log, 0o755),
            (self.run, 0o700),
            (self.accounts, 0o711),
            (self.ca, 0o711),
            (self.postgres, 0o711),
            (self.engine_home, 0o711),
            (self.nginx, 0o755),
            (self.app_socket.parent, 0o755),
            (self.app_run, 0o700),
        ]:
            path.mkdir(exist_ok=True)
            path.chmod(mode)

    def account_folder(self, login: str) -> Path:
        return self.accounts / login

    def account_logins(self) -> list[str]:
        if not self.accounts.is_dir():
            return []
        return sorted(path.name for path in self.accounts.iterdir() if (path / "cert.pem").exists())

    def settings(self) -> dict[str, str]:
        """The environment of the service's own processes."""
        state = self.chosen
        return {
            # One machine, and whoever set it up; the distribution's engine is an old one.
            "SDC_COPY_ON_OLD_ENGINES": "on",
            # Less than the supervisor's patience.
            "SDC_STOP_SECONDS": "8",
            **state.settings,
            "SDC_DATABASE_URL": self.database_url,
            "SDC_DATACENTER": state.datacenter,
            "SDC_CA_FILE": str(self.ca / "ca.pem"),
            "SDC_REGISTRY_HOSTS": ",".join(state.registry_hosts),
            **self.registry_settings(),
            "SDC_FLEET": state.fleet,
            "SDC_SOCKET": str(self.app_socket),
            "SDC_CLOUDAPI_SOCKET": str(self.cloudapi_socket),
            "SDC_SOCKET_GROUP": NGINX_USER,
            "SDC_RUN_DIR": str(self.app_run),
            **self.places(),
            # Compiled files stay out of the checkout, which may belong to an ordinary user.
            "PYTHONPYCACHEPREFIX": str(self.home / "pycache"),
            "PYTHONUNBUFFERED": "1",
        }

    def places(self) -> dict[str, str]:
        """Where `sdc-docker doctor` finds what stands in front of the service."""
        return {
            "SDC_DOCKER_ADDRESS": self.docker_address,
            "SDC_CLOUDAPI_ADDRESS": self.cloudapi_address,
            "SDC_NGINX_LOG": str(self.log / "nginx.log"),
            "SDC_NGINX_PID": str(self.nginx / "nginx.pid"),
            "SDC_SERVER_CERT": str(self.ca / "server.pem"),
            "SDC_SERVER_KEY": str(self.ca / "server.key"),
            "SDC_CA_KEY": str(self.ca / "ca.key"),
        }

    @property
    def database_url(self) -> str:
        return f"postgresql+psycopg2://sdc@/sdc?host={self.postgres}/run"


def caller_settings() -> dict[str, str]:
    """`SDC_*` of the caller, less this command's own options and what it decides itself."""
    own = {"SDC_DATABASE_URL", "SDC_DATACENTER", "SDC_CA_FILE", "SDC_REGISTRY_HOSTS", "SDC_FLEET", "SDC_SOCKET"}
    own |= {"SDC_REGISTRY", "SDC_REGISTRY_ADDRESS", "SDC_REGISTRY_AUTH_FILE"}
    own |= {"SDC_SOCKET_GROUP", "SDC_RUN_DIR", "SDC_DOCKER_ADDRESS", "SDC_NGINX_LOG", "SDC_NGINX_PID"}
    own |= {"SDC_SERVER_CERT", "SDC_SERVER_KEY", "SDC_CA_KEY", "SDC_CLOUDAPI_ADDRESS", "SDC_CLOUDAPI_SOCKET"}
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("SDC_") and not name.startswith("SDC_QUICKSTART_") and name not in own
    }


@contextmanager
def alone(stack: Stack) -> Iterator[None]:
    """One `up`, `account` or `down` at a time."""
    with (stack.home / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stop(f"another quickstart is at work in {stack.home}; wait for it to end.") from None
        yield
