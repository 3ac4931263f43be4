"""What the checks look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.engine.fleet import Fleet
from app.settings import Places, ProcessSettings, Settings
from app.store.session import Store


@dataclass(frozen=True)
class Look:
    """The settings as far as they can be read; `problems` are those that cannot."""

    settings: Settings | None
    process: ProcessSettings
    places: Places
    store: Store | None
    fleet: Fleet
    #: The schema's revision that this version needs.
    head: str
    problems: list[str] = field(default_factory=list)


def look_around(environ: Mapping[str, str], head: str) -> Look:
    problems: list[str] = []
    settings, process, places = None, ProcessSettings(), Places()
    try:
        settings = Settings.from_environ(environ)
    except ValueError as error:
        problems.append(str(error))
    try:
        process = ProcessSettings.from_environ(environ)
    except ValueError as error:
        problems.append(str(error))
    try:
        places = Places.from_environ(environ)
    except ValueError as error:
        problems.append(str(error))
    # Checks run side by side, each with a connection for a moment.
    store = Store(settings.database_url, pool=4) if settings else None
    return Look(settings, process, places, store, Fleet(), head, list(dict.fromkeys(problems)))
