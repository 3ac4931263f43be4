"""The kinds of error that the product knows.

A kind says what went wrong to the code that called; only `app/api/errors.py` turns it into a status and a body.
Every message is a sentence that a person at a `docker` prompt may read: Docker's own words where Docker has them,
and never an engine's address, an engine's id, SQL, or the name of another account.
"""

from __future__ import annotations


class Error(Exception):
    """The base of all kinds. `message` is what the client is shown."""

    def __init__(self, message: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        #: Seconds after which the same call may work; becomes the `Retry-After` header.
        self.retry_after = retry_after


class InvalidParameter(Error):
    """The request is malformed or means nothing (400)."""


class Unauthorized(Error):
    """No account could be found for the connection's certificate (401)."""


class Forbidden(Error):
    """The request was understood and is refused by policy or quota (403)."""


class NotFound(Error):
    """There is no such object, or it belongs to another account (404, the same words for both)."""


class Conflict(Error):
    """The object's state or name does not allow this (409)."""


class NotModified(Error):
    """The object is already as the request wants it (304, no body)."""


class TooLarge(Error):
    """The request's body is over the limit (413)."""


class TooMany(Error):
    """A rate or a stream limit was reached (429)."""


class NotImplemented(Error):
    """The product does not have this feature (501)."""


class Unavailable(Error):
    """A node or the database cannot be reached now (503)."""


class Internal(Error):
    """Something failed that is neither the client's fault nor expected (500)."""
