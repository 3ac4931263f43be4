"""The verbs of deploy/quickstart, once packages and the Python environment are there."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Annotated

import certificates
import database
import endpoint
import engine
import front
import registry
import typer
from commands import end, own_processes
from console import Stop, err, out, step
from parts import Supervisor
from stack import LOGIN, Stack, alone, caller_settings
from teardown import take_down

cli = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

Home = Annotated[Path, typer.Option(envvar="SDC_QUICKSTART_HOME", help="Where everything is kept.")]


def option(name: str, help_text: str, *names: str) -> typer.models.OptionInfo:
    return typer.Option(*names, envvar=f"SDC_QUICKSTART_{name}", help=help_text)


@cli.command()
def up(
    home: Home,
    address: Annotated[str, option("ADDRESS", "Address to listen on.")] = "",
    port: Annotated[int, option("PORT", "Port of the Docker endpoint.")] = 0,
    cloudapi_port: Annotated[int, option("CLOUDAPI_PORT", "Port of CloudAPI.", "--cloudapi-port")] = 0,
    account: Annotated[str, option("ACCOUNT", "The first account.")] = "",
    which_engine: Annotated[str, option("ENGINE", "auto, private or unix:///path.", "--engine")] = "",
    outbound: Annotated[
        bool | None, option("OUTBOUND", "A private engine reaches the world.", "--outbound/--no-outbound")
    ] = None,
    engine_subnet: Annotated[str, option("ENGINE_SUBNET", "Network to a private engine.")] = "",
    datacenter: Annotated[str, option("DATACENTER", "Name of the data center.")] = "",
    registry_hosts: Annotated[str | None, option("REGISTRY_HOSTS", "Private registries, separated by commas.")] = None,
    own_registry: Annotated[bool, option("REGISTRY", "A registry of the data center's own.", "--registry")] = False,
) -> None:
    """Start everything, prove it with docker run, print the export lines."""
    stack = Stack(home)
    with alone(stack):
        with step("Check the machine"):
            try:
                _choose(stack, address, port, cloudapi_port, account, datacenter, registry_hosts)
                _end_orphans(stack)
                _check_ports(stack)
                _choose_engine(stack, which_engine, outbound, engine_subnet)
                if own_registry and not stack.chosen.registry_port:
                    stack.chosen.registry_port = _free_port(stack.registry_host)
                    stack.save()
            except Stop:
                # Nothing has been made yet, and a refused choice must not stick: the next try may differ.
                if stack.state and stack.state.engine is None:
                    (home / "state.json").unlink(missing_ok=True)
                raise
            stack.folders()
        with step("Certificates"):
            certificates.make_ca_and_server(stack)
            certificates.make_account(stack, stack.chosen.account)
        with step("Database cluster"):
            database.make_cluster(stack)
        _start_everything(stack)
        parts = Supervisor(stack).states()
        with step("Put a busybox image there"):
            endpoint.put_busybox(stack, stack.chosen.account)
        _prove(stack)
        Supervisor(stack).check_steady(parts)
    began = os.environ.get("SDC_QUICKSTART_BEGAN", "")
    took = f" after {time.time() - int(began):.0f} s" if began.isdigit() else ""
    out.print(f"\nUp{took}. To use it, paste:\n")
    for line in certificates.export_lines(stack, stack.chosen.account):
        out.print(line)
    out.print("\nThen: docker run --rm busybox echo hello")
    login = stack.chosen.account
    out.print("\nOr, on any machine that has the account's SSH key, let that make the certificate:\n")
    out.print(f"deploy/sdc-docker-setup -k https://{stack.cloudapi_address} {login} {stack.account_folder(login)}/id")


def _choose(
    stack: Stack,
    address: str,
    port: int,
    cloudapi_port: int,
    account: str,
    datacenter: str,
    registry_hosts: str | None,
) -> None:
    """Fix the choices at the first run; later ones may only repeat them, but for the registries."""
    hosts = None if registry_hosts is None else [host.strip() for host in registry_hosts.split(",") if host.strip()]
    if stack.state is None:
        login = account or _caller()
        if not LOGIN.fullmatch(login):
            raise Stop(f"'{login}' cannot be an account's login; choose one with --account.")
        stack.create(
            address=address or _primary_address(),
            port=port or 2376,
            cloudapi_port=cloudapi_port or _cloudapi_port(address or _primary_address(), port or 2376),
            account=login,
            datacenter=datacenter or "sdc",
            registry_hosts=hosts or [],
            settings=caller_settings(),
        )
        return
    state = stack.chosen
    if not state.cloudapi_port:
        state.cloudapi_port = cloudapi_port or _cloudapi_port(state.address, state.port)
    for name, wanted in (
        ("address", address),
        ("port", port),
        ("cloudapi-port", cloudapi_port),
        ("account", account),
        ("datacenter", datacenter),
    ):
        kept = getattr(state, name.replace("-", "_"))
        if wanted and wanted != kept:
            raise Stop(
                f"--{name} was {kept} when {stack.home} was set up and cannot change to {wanted}. "
                f"`account NAME` adds accounts; otherwise `down` first, or use another --home."
            )
    if hosts is not None:
        state.registry_hosts = hosts
    state.settings |= caller_settings()
    stack.save()


def _end_orphans(stack: Stack) -> None:
    """Parts whose supervisor was killed under them would hold ports and locks against those that start now."""
    if Supervisor(stack).pid() is None:
        end(own_processes(stack.home, stack.engine_home / "ns" / "mnt"), patience=15)


def _choose_engine(stack: Stack, which: str, outbound: bool | None, subnet: str) -> None:
    kept = stack.chosen.engine
    if kept is None:
        wants_outbound = True if outbound is None else outbound
        stack.chosen.engine = engine.choose(stack, which or "auto", outbound=wants_outbound, subnet=subnet)
        stack.save()
        return
    is_now = "private" if kept.private else kept.url
    if which not in ("", "auto", is_now):
        raise Stop(f"--engine was {is_now} when {stack.home} was set up and cannot change; `down` first.")
    if kept.private and outbound not in (None, kept.outbound):
        raise Stop(f"--outbound was {'on' if kept.outbound else 'off'} when {stack.home} was set up; `down` first.")


def _start_everything(stack: Stack) -> None:
    """Database, engine, schema, account, node, then the service; what runs unchanged is left alone."""
    state, choice = stack.chosen, stack.engine
    supervisor = Supervisor(stack)
    fingerprint = front.fingerprint(stack)
    parts = [database.part(stack), *([engine.part(stack)] if choice.private else []), *front.parts(stack, fingerprint)]
    if state.registry_port:
        registry.prepare(stack)
        parts.insert(-1, registry.part(stack))
    with step("Supervisor"):
        supervisor.configure(parts)
    with step("PostgreSQL"):
        supervisor.start("postgres")
        supervisor.wait("postgres", lambda: database.answers(stack))
    with step("Docker Engine" + (" (private)" if choice.private else f" at {choice.socket}")):
        if choice.private:
            engine.prepare(stack)
            supervisor.start("dockerd")
            supervisor.wait("dockerd", lambda: engine.answers(choice.socket), timeout=60)
        engine.check_version(choice.socket)
    if state.registry_port:
        with step("Registry"):
            supervisor.start("registry")
            supervisor.wait("registry", lambda: registry.answers(stack))
    if state.fingerprint != fingerprint:
        with step("Database schema"):
            database.make_database(stack)
            front.service_command(stack, "db", "upgrade")
    with step("nginx, gunicorn, CloudAPI and observer"):
        for name in ("gunicorn", "cloudapi", "observer", "nginx"):
            supervisor.start(name)
        supervisor.wait("nginx", lambda: endpoint.answers(stack), needs=["gunicorn"])
        supervisor.wait("cloudapi", lambda: endpoint.cloudapi_answers(stack), needs=["nginx"])
    if not (state.enrolled and endpoint.knows(stack, state.account)):
        with step(f"Account {state.account} and the compute node"):
            front.add_account(stack, state.account)
            front.add_node(stack)
            state.enrolled = True
    state.fingerprint = fingerprint
    stack.save()


def _free_port(address: str) -> int:
    """A port that is free now; of a private engine's address, which is not there yet, one of the machine's."""
    with socket.socket() as sock:
        try:
            sock.bind((address, 0))
        except OSError:
            sock.bind(("", 0))
        return int(sock.getsockname()[1])


def _prove(stack: Stack) -> None:
    login = stack.chosen.account
    with step("docker info"):
        info = endpoint.docker(stack, login, "info", doing="docker info")
    with step("docker run --rm busybox echo hello"):
        words = ["run", "--rm", "busybox", "echo", "hello from", stack.chosen.datacenter]
        hello = endpoint.docker(stack, login, *words, doing="docker run")
    out.print()
    for line in info.splitlines():
        if re.match(
            r"\s*(Containers|Images|Server Version|Storage Driver|SDCAccount|Execution Driver|Name|CPUs"
            r"|Total Memory|Operating System):",
            line,
        ):
            out.print(f"      {line.strip()}")
    out.print(f"      {hello.strip()}")


@cli.command()
def env(home: Home, account: Annotated[str, typer.Argument(help="The first account if none is named.")] = "") -> None:
    """Print the export lines of an account, and nothing else."""
    stack = Stack(home)
    login = account or stack.chosen.account
    endpoint.certificate_folder(stack, login)
    print("\n".join(certificates.export_lines(stack, login)))


@cli.command(name="account")
def add_account(home: Home, name: Annotated[str, typer.Argument(help="The account's login.")]) -> None:
    """Add an account with a fresh key and certificate folder, and give it busybox."""
    stack = Stack(home)
    with alone(stack):
        if not endpoint.answers(stack):
            raise Stop("the service does not answer; run `deploy/quickstart` first, or look at `status`.")
        with step(f"Account {name}"):
            certificates.make_account(stack, name)
            if not endpoint.knows(stack, name):
                front.add_account(stack, name)
                if not endpoint.knows(stack, name):
                    raise Stop(f"the service does not let {name} in: is the account disabled, or its key removed?")
        with step("Put a busybox image there"):
            endpoint.put_busybox(stack, name)
    out.print(f'\nTo use it:  eval "$(deploy/quickstart env {name})"')


@cli.command()
def status(home: Home, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Show parts, engines and accounts."""
    stack = Stack(home)
    state = stack.chosen
    supervisor = Supervisor(stack)
    choice = state.engine
    engines = []
    if choice is not None:
        engines.append(
            {
                "name": "local",
                "socket": choice.socket,
                "address": choice.address,
                "netns": choice.netns,
                "host_address": choice.host_address,
                "private": choice.private,
                "answers": engine.answers(choice.socket),
            }
        )
    report = {
        "home": str(home),
        "address": state.address,
        "port": state.port,
        "cloudapi_port": state.cloudapi_port,
        "datacenter": state.datacenter,
        "answers": endpoint.answers(stack) if (stack.ca / "ca.pem").exists() else False,
        "supervisor": supervisor.pid(),
        "parts": supervisor.states(),
        "engines": engines,
        "accounts": stack.account_logins(),
        "database_url": stack.database_url,
        "app_socket": str(stack.app_socket),
        "cloudapi_socket": str(stack.cloudapi_socket),
        "run_dir": str(stack.app_run),
        "log_dir": str(stack.log),
        "ca_file": str(stack.ca / "ca.pem"),
        "fleet": state.fleet,
    }
    if as_json:
        print(json.dumps(report, indent=2))
        return
    out.print(
        f"{state.datacenter} in {home}: https://{state.address}:{state.port} "
        + ("answers" if report["answers"] else "does not answer")
    )
    out.print(
        f"  {'supervisor':<12} {'running' if report['supervisor'] else 'stopped':<10} {report['supervisor'] or ''}"
    )
    for name, part in supervisor.states().items():
        out.print(f"  {name:<12} {part['state']:<10} {part['pid'] or ''}")
    out.print(f"  CloudAPI     https://{stack.cloudapi_address}")
    for one in engines:
        kind = f"private, network namespace {one['netns']}" if one["private"] else "shared"
        answer = "answers" if one["answers"] else "does not answer"
        out.print(f"  engine       {answer:<10} {one['socket']} ({kind}; published ports at {one['address']})")
    out.print(f"  accounts     {' '.join(stack.account_logins()) or 'none'}")
    out.print(f"  logs         {stack.log}")


@cli.command()
def down(home: Home) -> None:
    """Stop everything and remove what it made."""
    stack = Stack(home)
    with alone(stack):
        take_down(stack)


# --- the machine ---------------------------------------------------------------------------------------------------


def _caller() -> str:
    login = os.environ.get("SUDO_USER", "")
    return "demo" if login in ("", "root") else login


def _primary_address() -> str:
    """Source address of a packet to the world; none is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _cloudapi_port(address: str, port: int) -> int:
    """8443 beside 2376, and as far from it as the Docker port is from 2376; the next free one."""
    first = 8443 + port - 2376 if port <= 59000 else 8443
    for candidate in range(first, min(first + 1000, 65536)):
        if not _refusal(address, candidate):
            return candidate
    return first


def _check_ports(stack: Stack) -> None:
    address = stack.chosen.address
    if Supervisor(stack).states().get("nginx", {}).get("pid"):
        return
    for option_name, port in (("port", stack.chosen.port), ("cloudapi-port", stack.chosen.cloudapi_port)):
        refusal = _refusal(address, port)
        if refusal == errno.EADDRINUSE:
            raise Stop(f"port {port} at {address} is taken{_taken_by(port)}; choose another one with --{option_name}.")
        if refusal == errno.EADDRNOTAVAIL:
            raise Stop(f"{address} is no address of this machine; choose one with --address.")
        if refusal:
            raise Stop(f"cannot listen on {address} port {port}: {os.strerror(refusal)}.")
    if stack.chosen.port == stack.chosen.cloudapi_port:
        raise Stop(f"--port and --cloudapi-port are both {stack.chosen.port}; they must differ.")


def _refusal(address: str, port: int) -> int:
    """Why one cannot listen there, as an errno; 0 where one can."""
    try:
        family = socket.getaddrinfo(address, port, flags=socket.AI_NUMERICHOST)[0][0]
    except socket.gaierror:
        raise Stop(f"--address must be an IP address, not '{address}'.") from None
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno or errno.EINVAL
    return 0


def _taken_by(port: int) -> str:
    listing = subprocess.run(
        ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, timeout=10, check=False
    )
    found = re.search(r'\("([^"]+)",pid=(\d+)', listing.stdout)
    return f" by {found[1]} (process {found[2]})" if found else ""


def main() -> None:
    try:
        cli()
    except Stop as reason:
        err.print(f"quickstart: {reason}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        err.print("quickstart: interrupted. Run it again to go on, or `down` to remove what there is.")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
