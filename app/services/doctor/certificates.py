"""Certificates: the endpoint's and the CA's, and how long they last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from app.services.doctor.finding import Finding, bad, ok, span, warn
from app.services.doctor.look import Look

SOON = timedelta(days=30)


def check(look: Look) -> Iterator[Finding]:
    ca_file = look.settings.ca_file if look.settings else ""
    for name, path in (("CA certificate", ca_file), ("server certificate", look.places.server_cert)):
        if path:
            yield from_file(name, Path(path))
    if not ca_file:
        yield warn("CA certificate", "SDC_CA_FILE is not set: clients cannot fetch /ca.pem", "set SDC_CA_FILE")


def from_file(name: str, path: Path) -> Finding:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        return bad(name, f"{path} cannot be read: {error.strerror}", "put it back, or correct the setting")
    except ValueError as error:
        return bad(name, f"{path} is no certificate: {error}", "put it back, or correct the setting")
    return lifetime(name, certificate, datetime.now(UTC))


def lifetime(name: str, certificate: x509.Certificate, now: datetime) -> Finding:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    advice = "make a new one, put it in place and reload nginx"
    if "CA" in name:
        advice = "make a new CA and certificates from it; every client has to trust the new one"
    if now >= ends:
        return bad(name, f"expired on {ends:%Y-%m-%d}: clients refuse it", advice)
    if now < begins:
        return bad(name, f"is valid from {begins:%Y-%m-%d %H:%M}Z only", "set this machine's clock, or make a new one")
    if ends - now < SOON:
        return warn(name, f"expires in {span((ends - now).total_seconds())}, on {ends:%Y-%m-%d}", advice)
    return ok(name, f"valid until {ends:%Y-%m-%d}")
