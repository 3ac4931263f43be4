"""In a thread: one request of a connection, through gunicorn's parser and the application, to its answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import structlog
from gunicorn.http import errors as http_errors
from gunicorn.http import wsgi

from app import metrics
from app.errors import InvalidParameter
from app.server.client import IO_SECONDS, Input, SlowClient
from app.server.connection import Connection, Outcome
from app.server.relay import Relay
from app.server.response import Response, error_response, error_status

log = structlog.get_logger()

#: What the application may put into the environment to be told of the end of its answer: called once with the status,
#: the bytes of its body and the seconds that it took; the status is 0 for a connection that the application has taken.
ANSWERED = "sdc.answered"


class Answerer:
    """Answers requests with `application`, a WSGI application."""

    def __init__(self, application: Callable[..., Any], cfg: Any, relay: Relay) -> None:
        self._application = application
        self._cfg = cfg
        self._relay = relay

    def answer(self, conn: Connection, *, closing: bool) -> Outcome:
        """Answer the connection's next request; `closing` says that it is to be the last one."""
        conn.sock.settimeout(IO_SECONDS)
        request_id = str(uuid4())
        try:
            request = next(conn.parser)
        except http_errors.ParseException as error:
            status = error_status(error)
            note_refusal(conn, request_id, status, str(error))
            _say(conn, error_response(status, str(error), request_id))
            return Outcome.CLOSE
        except (StopIteration, OSError):
            return Outcome.CLOSE
        if conn.continued:
            request._expected_100_continue = False
        response, environ = wsgi.create(
            request,
            conn.sock,
            conn.parser.source_addr,
            conn.server,
            self._cfg,
            response_class=Response,
            response_args=(conn,),
        )
        del environ["gunicorn.socket"]  # there is one way to get at the socket, and that is take()
        environ["wsgi.input"] = Input(request.body)
        environ["wsgi.multithread"] = True
        environ["wsgi.url_scheme"] = "https"
        environ["sdc.preamble"] = conn.preamble
        environ["sdc.connection"] = conn
        environ["sdc.relay"] = self._relay
        environ["sdc.request_id"] = request_id
        if closing:
            response.force_close()
        began = time.monotonic()
        outcome = self._answer(conn, response, environ)
        answered = environ.get(ANSWERED)
        if answered is not None:
            code = 0 if outcome is Outcome.TAKEN else response.status_code or 500
            answered(code, response.sent, time.monotonic() - began)
        return outcome

    def _answer(self, conn: Connection, response: Response, environ: dict[str, Any]) -> Outcome:
        try:
            body = self._application(environ, response.start_response)
            try:
                for piece in body:
                    response.write(piece)
                if not conn.taken:
                    response.close()
            finally:
                if hasattr(body, "close"):
                    body.close()
        except Exception as error:
            return self._failed(conn, response, environ, error)
        if conn.taken:
            return Outcome.TAKEN
        if response.should_close() or not conn.body_is_read():
            return Outcome.CLOSE
        return Outcome.KEEP

    def _failed(self, conn: Connection, response: Response, environ: dict[str, Any], error: Exception) -> Outcome:
        """What to do when the application, or sending its answer, raised."""
        path, request_id = environ["PATH_INFO"], environ["sdc.request_id"]
        if isinstance(error, ConnectionError | TimeoutError):
            log.info("the client went away", request=request_id, path=path, error=str(error))
        elif isinstance(error, InvalidParameter):
            log.info("a body was refused", request=request_id, path=path, error=error.message)
        else:
            log.error("a request failed", request=request_id, path=path, exc_info=error)
        if conn.taken:
            return Outcome.TAKEN
        if not response.headers_sent:
            if isinstance(error, SlowClient):
                status, message = "408 Request Timeout", error.message
            elif isinstance(error, InvalidParameter):
                status, message = "400 Bad Request", error.message
            else:
                status, message = "500 Internal Server Error", "internal error"
            response.status_code = int(status[:3])
            _say(conn, error_response(status, message, request_id))
        # A chunked response without its last chunk tells the client that something is missing.
        return Outcome.CLOSE


def note_refusal(conn: Connection, request_id: str, status: str, error: str) -> None:
    """A line and a count for a request that never reaches the application."""
    code = int(status[:3])
    client = conn.preamble.source_address if conn.preamble else ""
    log.info("request", request=request_id, account=None, operation="", status=code, client=client, error=error)
    metrics.count_request("", "", code, None)


def _say(conn: Connection, data: bytes) -> None:
    with contextlib.suppress(OSError):
        conn.sock.sendall(data)
