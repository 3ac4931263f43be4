"""Who a request to CloudAPI is from: the account that has the key which signed it, asked of the database every time.

A stranger gets one and the same answer whether the account is not there, does not have the key, or has not made the
signature: else he could find out which logins there are, and whose a public key is.
"""

from __future__ import annotations

from app.domain import ssh_key
from app.domain.account import Account, AccountKey
from app.domain.http_signature import Claim
from app.errors import Forbidden, Unauthorized
from app.services.account_keys import matches
from app.store import accounts
from app.store.session import Store


class SignedRequest:
    def __init__(self, store: Store) -> None:
        self._store = store

    def account(self, claim: Claim, text: bytes) -> tuple[Account, AccountKey]:
        """The account and its key that signed `text`. Raises Unauthorized; Forbidden where the account is disabled."""
        with self._store.autocommit() as tx:
            account = accounts.find_by_login(tx, claim.login) if claim.login.isprintable() else None
            keys = accounts.list_keys(tx, account.id) if account else []
        for key in keys:
            if not matches(key, claim.key) or not key.public_key.startswith(_TYPE[claim.kind]):
                continue
            if ssh_key.signed_by(key.public_key, claim.signature, text, claim.digest):
                assert account is not None  # noqa: S101  (its keys were listed)
                if account.disabled:
                    raise Forbidden("Account or user is disabled")
                return account, key
        raise Unauthorized(
            f"Invalid credentials: there is no account {claim.login} that has the key {claim.key} "
            "and whose key made this signature"
        )


_TYPE = {"rsa": "ssh-rsa ", "ecdsa": "ecdsa-", "ed25519": "ssh-ed25519 "}
