"""`application` for CloudAPI's gunicorn, with all that it is made of. Imported in each worker, after the fork."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterable

from app import log
from app.api.cloudapi.app import CloudServices, create_app
from app.services.account_keys import AccountKeys
from app.services.audit import Recorder
from app.services.offers import Offers
from app.services.signed_request import SignedRequest
from app.settings import WRONG_IN_WORKER, Places, Settings, or_exit
from app.store.session import Store


def build(settings: Settings, places: Places) -> Callable[..., Iterable[bytes]]:
    store = Store(settings.database_url, pool=settings.database_pool)
    audit = Recorder(store)
    threading.Thread(target=audit.run, name="audit", daemon=True).start()
    atexit.register(audit.write_or_warn)
    offers = Offers(store, settings.datacenter, places)
    return create_app(CloudServices(SignedRequest(store), AccountKeys(store), offers, audit))


with or_exit("sdc-docker-cloudapi", WRONG_IN_WORKER):
    _settings, _places = Settings.from_environ(), Places.from_environ()
log.configure(_settings.log_level)
application = build(_settings, _places)
