"""`python -m app.server -c deploy/gunicorn.conf.py`: gunicorn's command with our master."""

from __future__ import annotations

from gunicorn.app.base import BaseApplication
from gunicorn.app.wsgiapp import WSGIApplication

from app.server.arbiter import FrontDoorArbiter


class _Runs(BaseApplication):  # type: ignore[misc]
    def run(self) -> None:
        FrontDoorArbiter(self).run()


class FrontDoor(WSGIApplication, _Runs):  # type: ignore[misc]
    """gunicorn's application; where its `run` would make gunicorn's master, `_Runs` stands in the way."""


if __name__ == "__main__":
    FrontDoor("%(prog)s [OPTIONS] [APP_MODULE]", prog="sdc-docker-api").run()
