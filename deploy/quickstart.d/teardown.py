"""`down`: ends and removes everything that this command made, whatever state it is in; nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import database
import engine
from commands import end, own_processes, run
from console import Stop, err, step
from parts import Supervisor
from stack import Stack


def take_down(stack: Stack) -> None:
    """Everything but the state directory itself, which the caller removes."""
    supervisor = Supervisor(stack)
    choice = stack.chosen.engine
    with step("Stop the service"):
        running = supervisor.states()
        # Nothing may be created any more when the engine is cleaned.
        for name in ("nginx", "gunicorn", "cloudapi", "observer", "registry"):
            if name in running:
                supervisor.stop(name)
    if choice is not None and not choice.private:
        with step("Remove what it has on the engine"):
            images = [row[0] for row in database.query(stack, "SELECT DISTINCT image_id FROM node_images")]
            try:
                engine.remove_fleet(stack, images)
            except OSError as error:
                # The engine's owner may have removed it; the rest goes on.
                err.print(f"The engine at {choice.socket} does not answer ({error}). On it may remain what bears the")
                err.print(f"label sdc.fleet={stack.chosen.fleet}")
    if choice is not None and choice.private and running.get("dockerd", {}).get("pid"):
        with step("Stop containers"):
            _kill_containers(choice.socket)
    with step("Stop all parts"):
        supervisor.shutdown()
        end(own_processes(stack.home, stack.engine_home / "ns" / "mnt"))
    if choice is not None and choice.private:
        with step("Remove the engine's namespaces"):
            engine.remove_private(stack)
    _unmount_all(stack.home)


def _kill_containers(socket: str) -> None:
    """At once: a container that ignores SIGTERM would hold the engine's end up, and its data goes anyway."""
    try:
        for container in engine.ask(socket, "GET", "/containers/json") or []:
            engine.ask(socket, "POST", f"/containers/{container['Id']}/kill")
    except OSError:
        return  # The engine is ended by force below.


def _unmount_all(home: Path) -> None:
    """What is still mounted below the state directory must not be reached by its removal."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    below = [mount.encode().decode("unicode_escape") for mount in mounts]
    for mount in sorted((mount for mount in below if mount.startswith(f"{home}/")), reverse=True):
        run(["umount", mount], doing=f"Unmounting {mount}")
    left = own_processes(home, home / "nowhere")
    if left:
        raise Stop(f"these processes did not end: {' '.join(map(str, left))}. Run `down` again.")
