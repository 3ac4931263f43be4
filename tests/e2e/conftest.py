"""Fixtures of the end-to-end tier: nginx, gunicorn, PostgreSQL and a real engine, used with the real CLIs.

`stack` is set up once, by deploy/quickstart itself, with the accounts alice and bob. `cli` runs a test once for each
docker CLI of the machine: Debian's 20.10 is always there.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import stack as stacks
from tests.e2e.any_registry import AnyRegistry
from tests.e2e.front_door import FrontDoor, front_door
from tests.e2e.images import forget_images


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cli" in metafunc.fixturenames:
        metafunc.parametrize("cli", sorted(stacks.clis()) or ["20"])


def _needs_stack(item: pytest.Item) -> bool:
    return "stack" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What uses many programs one after the other takes its time on a machine that has much else to do."""
    for item in filter(_needs_stack, items):
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


#: Whether this process has come to a test that needs the stack.
_set_up = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """The first test that needs the stack waits for its set-up, which may install packages."""
    if _needs_stack(item) and not item.config.stash.get(_set_up, False):
        item.config.stash[_set_up] = True
        item.add_marker(pytest.mark.timeout(900), append=False)
    return (yield)


@pytest.fixture(scope="session")
def stack() -> Iterator[stacks.Stack]:
    """The running product, with the accounts alice and bob."""
    with stacks.running(["alice", "bob"]) as running:
        yield running


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    """nginx and our worker alone, with an application of the tests' behind them."""
    with front_door() as running:
        yield running


@pytest.fixture(scope="session")
def registry(stack: stacks.Stack) -> Iterator[stacks.Registry]:
    """A private registry that the node reaches and accounts may pull from; no login, no TLS."""
    with stacks.registry(stack.registry_host) as server:
        yield server


@pytest.fixture(scope="session")
def locked_registry(stack: stacks.Stack) -> Iterator[stacks.Registry]:
    """A private registry that wants a password: joe's is "secret"."""
    with stacks.registry(stack.more_registry_hosts[0], htpasswd=stacks.HTPASSWD) as server:
        yield server


@pytest.fixture
def any_registry(stack: stacks.Stack) -> Iterator[AnyRegistry]:
    """A registry of the test's own, which says what the test wants."""
    with AnyRegistry(stack.more_registry_hosts[1]) as server:
        yield server


@pytest.fixture
def alice(stack: stacks.Stack) -> Iterator[str]:
    """Account alice, without containers before and after."""
    stack.remove_all("alice")
    yield "alice"
    stack.remove_all("alice")


@pytest.fixture
def bob(stack: stacks.Stack) -> Iterator[str]:
    """Account bob, without containers before and after."""
    stack.remove_all("bob")
    yield "bob"
    stack.remove_all("bob")


@pytest.fixture
def fresh_images(stack: stacks.Stack, alice: str, bob: str) -> Iterator[None]:
    """Accounts alice and bob, with no image but busybox before and after."""
    forget_images(stack)
    yield
    for account in (alice, bob):
        stack.remove_all(account)
    forget_images(stack)
