"""An account's own SSH keys, as it lists, adds and deletes them through CloudAPI.

A change is the operator's change, with the account as who made it. A deleted key is refused from then on and its open
streams are cut, like one that an operator removes.
"""

from __future__ import annotations

from app.domain import ssh_key
from app.domain.account import Account, AccountKey
from app.errors import Conflict, InvalidParameter, NotFound
from app.services.audit import Who
from app.services.operator import Operator
from app.store import accounts
from app.store.session import Store

#: Keys of one account. A certificate that another key has signed is held against each of them.
MOST_KEYS = 100
LONGEST_NAME = 128


class AccountKeys:
    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, account: Account) -> list[AccountKey]:
        with self._store.autocommit() as tx:
            return accounts.list_keys(tx, account.id)

    def get(self, account: Account, wanted: str) -> AccountKey:
        """By its MD5 or SHA-256 fingerprint, or its name. Raises NotFound; Conflict where several have the name."""
        found = [key for key in self.list(account) if matches(key, wanted)]
        if not found:
            raise NotFound(f"{wanted} does not exist")
        if len(found) > 1:
            raise Conflict(f"several keys have the name {wanted}; use a fingerprint")
        return found[0]

    def add(self, account: Account, who: Who, text: str, name: str = "") -> AccountKey:
        """Register a public key. Without a name it has its fingerprint for one.

        Raises InvalidParameter where it is no key that can be accepted, Conflict where the account has it already or
        has as many as it may.
        """
        try:
            key = ssh_key.read(text)
        except ValueError as error:
            raise InvalidParameter(f"Invalid key: {error}") from None
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise InvalidParameter(f"Invalid name: it has more than {LONGEST_NAME} characters, or unprintable ones")
        if len(self.list(account)) >= MOST_KEYS:
            raise Conflict(f"an account has {MOST_KEYS} keys at the most")
        Operator(self._store, who).add_key(account.login, name or key.md5, key.line)
        return self.get(account, key.fingerprint)

    def delete(self, account: Account, who: Who, wanted: str) -> None:
        """Raises NotFound, Conflict as `get`."""
        Operator(self._store, who).remove_key(account.login, self.get(account, wanted).fingerprint)


def matches(key: AccountKey, wanted: str) -> bool:
    """Whether `wanted` is the key's fingerprint, with or without its kind in front, or its name."""
    if wanted in (key.name, key.fingerprint):
        return True
    return wanted.lower().removeprefix("md5:") == ssh_key.md5_of_line(key.public_key)
