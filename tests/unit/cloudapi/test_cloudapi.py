"""CloudAPI over HTTP, with stub services: who is let in, the shape of every answer and of every refusal."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.api.cloudapi.app import CloudServices, create_app
from app.domain.account import Account, AccountKey
from app.domain.audit import Entry
from app.domain.network import Network
from app.domain.package import Package
from app.errors import Conflict, Forbidden, InvalidParameter, NotFound, Unauthorized, Unavailable
from tests import signing

with warnings.catch_warnings():
    # It imports `cgi`, which Python 3.13 has no more.
    warnings.simplefilter("ignore", DeprecationWarning)
    from webtest import TestApp

AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
ID = UUID("bcf8fae3-4e36-4446-a16c-b83e13c2f9b8")
ALICE = Account(ID, "alice", False, 1, 1, 1, 0, 0, 0)
KEY = signing.key("ed25519")


class Stub:
    """Every service in one. `error` is raised by whatever is asked next."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.refusal: Exception | None = None
        self.calls: list[tuple[Any, ...]] = []
        self.recorded: list[Entry] = []
        self.mine = AccountKey(ID, "laptop", signing.sha256(KEY), signing.public_line(KEY), AT)

    def _say(self, answer: Any) -> Any:
        if self.error:
            raise self.error
        return answer

    def account(self, claim, text: bytes):
        self.calls.append(("account", claim.login, claim.key, text))
        if self.refusal:
            raise self.refusal
        return ALICE, self.mine

    def record(self, entry: Entry) -> None:
        self.recorded.append(entry)

    def list(self, account: Account):
        return self._say([self.mine])

    def get(self, account: Account, wanted: str):
        self.calls.append(("get", account.login, wanted))
        return self._say(self.mine)

    def add(self, account: Account, who, text: str, name: str):
        self.calls.append(("add", account.login, who, text, name))
        return self._say(self.mine)

    def delete(self, account: Account, who, wanted: str) -> None:
        self.calls.append(("delete", account.login, who, wanted))
        self._say(None)

    def services(self):
        return {"cloudapi": "https://c:8443", "docker": "tcp://d:2376"}

    def datacenters(self):
        return {"sdc": "https://c:8443"}

    def since(self, account: Account):
        return AT

    def packages(self):
        sizes = ((1024, "small", 500_000_000), (2048, "big", 2_000_000_000))
        return [Package(ID, n, m << 20, m << 22, cpu, m << 24, 9) for m, n, cpu in sizes]

    def package(self, wanted: str):
        return self._say(self.packages()[0])

    def networks(self, account: Account):
        return [Network("0" * 64, ID, ID, "bridge", "10.224.0.0/24", "10.224.0.1", True)]

    def network(self, account: Account, wanted: str):
        return self._say(self.networks(account)[0])


class Cloud:
    def __init__(self) -> None:
        self.stub = Stub()
        stub: Any = self.stub
        wsgi = create_app(CloudServices(stub, stub, stub, stub))

        def with_raw_uri(environ, start_response):
            query = environ["QUERY_STRING"]
            environ["RAW_URI"] = environ["PATH_INFO"] + (f"?{query}" if query else "")
            return wsgi(environ, start_response)

        self.app = TestApp(with_raw_uri, lint=False)

    def __call__(self, method: str, target: str, body: Any = None, *, status: int = 200, **headers: str) -> Any:
        sent = {"x-real-ip": "192.0.2.7", **signing.signed(KEY, "alice", method, target)}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent.setdefault("content-type", "application/json")
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name: value for name, value in sent.items() if value}
        return self.app.request(target, method=method, body=data, headers=sent, status=status)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def test_ping_needs_no_account(cloud: Cloud) -> None:
    answer = cloud("GET", "/--ping", authorization="")
    assert answer.json == {"ping": "pong", "cloudapi": {"versions": ["9.0.0"]}}
    assert answer.headers["Api-Version"] == "9.0.0"
    assert len(answer.headers["Request-Id"]) == 36
    assert answer.headers["Response-Time"].isdigit()
    assert cloud.stub.calls == []


def test_the_signature_is_of_the_request_as_it_was_sent(cloud: Cloud) -> None:
    cloud("GET", "/my/packages?name=big")
    kind, login, key, text = cloud.stub.calls[0]
    assert (kind, login, key) == ("account", "alice", signing.md5(KEY))
    assert text.startswith(b"(request-target): get /my/packages?name=big\ndate: ")


KEY_JSON = {
    "name": "laptop",
    "fingerprint": signing.md5(KEY),
    "key": signing.public_line(KEY),
    "created": "2026-11-24T09:30:00.000Z",
    "updated": "2026-11-24T09:30:00.000Z",
}
NETWORK = {
    "id": str(ID),
    "name": "bridge",
    "public": False,
    "fabric": True,
    "subnet": "10.224.0.0/24",
    "gateway": "10.224.0.1",
}
SMALL = {
    "id": str(ID),
    "name": "small",
    "memory": 1024,
    "disk": 16384,
    "swap": 5120,
    "vcpus": 0.5,
    "lwps": 9,
    "version": "1.0.0",
    "group": "",
    "default": False,
}
BIG = {**SMALL, "name": "big", "memory": 2048, "disk": 32768, "swap": 10240, "vcpus": 2}
ACCOUNT = {
    "id": str(ID),
    "login": "alice",
    "email": "",
    "created": "2026-11-24T09:30:00.000Z",
    "updated": "2026-11-24T09:30:00.000Z",
}


@pytest.mark.parametrize("owner", ["my", "alice"])
@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("", ACCOUNT),
        ("/services", {"cloudapi": "https://c:8443", "docker": "tcp://d:2376"}),
        ("/datacenters", {"sdc": "https://c:8443"}),
        ("/keys", [KEY_JSON]),
        ("/keys/laptop", KEY_JSON),
        ("/packages", [SMALL, BIG]),
        ("/packages?name=big&nonsense=1", [BIG]),
        ("/packages?memory=1024&vcpus=0.5", [SMALL]),
        ("/packages?memory=1", []),
        ("/packages/small", SMALL),
        ("/networks", [NETWORK]),
        ("/networks/" + str(ID), NETWORK),
    ],
)
def test_answers_are_built_field_by_field(cloud: Cloud, owner: str, path: str, wanted: Any) -> None:
    assert cloud("GET", f"/{owner}{path}").json == wanted
    assert cloud("HEAD", f"/{owner}{path}").body == b""


def test_a_fingerprint_in_a_path_may_be_of_any_form(cloud: Cloud) -> None:
    for wanted in ("aa:bb", "MD5:aa:bb", "SHA256:ab/cd+e"):
        cloud("GET", f"/my/keys/{wanted}")
        assert cloud.stub.calls[-1] == ("get", "alice", wanted)


def test_a_datacenter_leads_to_its_url(cloud: Cloud) -> None:
    answer = cloud("GET", "/my/datacenters/sdc", status=302)
    assert answer.headers["Location"] == "https://c:8443"
    assert answer.json["code"] == "ResourceMoved"
    assert cloud("GET", "/my/datacenters/mars", status=404).json["code"] == "ResourceNotFound"


def test_a_key_is_added_with_the_account_as_who_did_it(cloud: Cloud) -> None:
    answer = cloud("POST", "/my/keys", {"key": "ssh-rsa AAAA", "name": "new"}, status=201)
    assert answer.json == KEY_JSON
    assert answer.headers["Location"] == "/alice/keys/" + signing.md5(KEY).replace(":", "%3A")
    kind, login, who, text, name = cloud.stub.calls[-1]
    assert (kind, login, text, name) == ("add", "alice", "ssh-rsa AAAA", "new")
    assert (who.source, who.actor, who.fingerprint) == ("cloudapi", "alice", signing.sha256(KEY))
    assert (who.client, who.request_id) == ("192.0.2.7", answer.headers["Request-Id"])


def test_a_key_is_deleted_without_a_body(cloud: Cloud) -> None:
    answer = cloud("DELETE", "/my/keys/laptop", status=204)
    assert answer.body == b""
    assert cloud.stub.calls[-1][0] == "delete"


def refusal(answer: Any) -> tuple[str, str]:
    assert set(answer.json) == {"code", "message"}
    assert answer.headers["Content-Type"].startswith("application/json")
    return answer.json["code"], answer.json["message"]


@pytest.mark.parametrize(
    ("headers", "status", "code", "words"),
    [
        ({"authorization": ""}, 401, "InvalidCredentials", "must make authenticated"),
        ({"authorization": "Basic YTpi"}, 401, "InvalidCredentials", "scheme"),
        ({"authorization": 'Signature keyId="x"'}, 400, "InvalidHeader", "Authorization header invalid"),
        ({"date": "Tue, 24 Nov 2020 09:30:00 GMT"}, 400, "InvalidHeader", "clock skew of"),
        ({"date": "soon"}, 400, "InvalidHeader", "date"),
        ({"date": ""}, 400, "InvalidHeader", "date was not in the request"),
    ],
)
def test_unsigned_requests_are_refused(cloud: Cloud, headers: dict, status: int, code: str, words: str) -> None:
    for target in ("/my", "/alice/keys", "/nowhere/at/all", "/"):
        said = refusal(cloud("GET", target, status=status, **headers))
        assert said[0] == code
        assert words in said[1]
    assert cloud.stub.calls == []


def test_a_wrong_signature_is_refused_and_recorded(cloud: Cloud) -> None:
    cloud.stub.refusal = Unauthorized("Invalid credentials: no")
    assert refusal(cloud("GET", "/my/keys", status=401)) == ("InvalidCredentials", "Invalid credentials: no")
    (entry,) = cloud.stub.recorded
    assert (entry.source, entry.status, entry.account, entry.client) == ("cloudapi", 401, "", "192.0.2.7")
    assert entry.detail == {"login": "alice", "key": signing.md5(KEY)}


def test_a_disabled_account_is_refused(cloud: Cloud) -> None:
    cloud.stub.refusal = Forbidden("Account or user is disabled")
    assert refusal(cloud("GET", "/my", status=403)) == ("NotAuthorized", "Account or user is disabled")


@pytest.mark.parametrize("target", ["/bob", "/bob/keys", "/nobody/keys", "/bob/nonsense", "/Alice"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_another_account_is_refused_whether_it_exists_or_not(cloud: Cloud, method: str, target: str) -> None:
    code, message = refusal(cloud(method, target, status=403))
    assert code == "NotAuthorized"
    assert message == f"You do not have permission to access {target.split('/')[1]}"
    assert [call[0] for call in cloud.stub.calls] == ["account"]
    assert (cloud.stub.recorded[0].account, cloud.stub.recorded[0].status) == ("alice", 403)


def test_what_is_not_there_is_not_found(cloud: Cloud) -> None:
    for target in ("/my/machines", "/my/services/docker", "/"):
        assert refusal(cloud("GET", target, status=404))[0] == "ResourceNotFound"
    assert refusal(cloud("PUT", "/my/keys", status=405))[0] == "BadMethod"
    assert refusal(cloud("POST", "/my", status=405))[0] == "BadMethod"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (None, 409, "MissingParameter"),
        ({}, 409, "MissingParameter"),
        ({"name": "x"}, 409, "MissingParameter"),
        ({"key": ""}, 409, "MissingParameter"),
        ({"key": 7}, 409, "InvalidArgument"),
        ({"key": "x", "name": None}, 409, "InvalidArgument"),
        ({"key": "x", "login": "bob"}, 409, "InvalidArgument"),
        ([], 409, "InvalidArgument"),
        (b"{", 409, "InvalidArgument"),
        (b'{"key":"a","key":"b"}', 409, "InvalidArgument"),
        ({"key": "x" * 70000}, 413, "RequestTooLarge"),
    ],
)
def test_a_wrong_new_key_changes_nothing(cloud: Cloud, body: Any, status: int, code: str) -> None:
    assert refusal(cloud("POST", "/my/keys", body, status=status))[0] == code
    assert [call[0] for call in cloud.stub.calls] == ["account"]


def test_a_body_must_be_json_and_the_announced_one(cloud: Cloud) -> None:
    body = {"key": "x"}
    assert refusal(cloud("POST", "/my/keys", body, status=415, content_type="text/plain"))[0] == "UnsupportedMediaType"
    assert refusal(cloud("POST", "/my/keys", body, status=400, content_md5="AAAA"))[0] == "BadDigest"
    assert refusal(cloud("POST", "/my/keys", body, status=400, digest="SHA-256=AAAA"))[0] == "BadDigest"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFound("laptop does not exist"), 404, "ResourceNotFound"),
        (Conflict("several"), 409, "InvalidArgument"),
        (InvalidParameter("bad"), 409, "InvalidArgument"),
        (Unavailable("the database is away", retry_after=5), 503, "ServiceUnavailable"),
    ],
)
def test_errors_of_services_have_cloudapis_shape(cloud: Cloud, error: Exception, status: int, code: str) -> None:
    cloud.stub.error = error
    answer = cloud("GET", "/my/keys/laptop", status=status)
    assert refusal(answer) == (code, str(error))
    assert answer.headers.get("Retry-After") == ("5" if status == 503 else None)


def test_a_defect_tells_nothing(cloud: Cloud) -> None:
    cloud.stub.error = RuntimeError("secret")
    code, message = refusal(cloud("GET", "/my/keys", status=500))
    assert code == "InternalError"
    assert "secret" not in message


def test_who_the_client_says_that_he_is_does_not_matter(cloud: Cloud) -> None:
    cloud.stub.refusal = Unauthorized("no")
    cloud("GET", "/my", status=401, x_real_ip="no address")
    assert cloud.stub.recorded[0].client == ""
