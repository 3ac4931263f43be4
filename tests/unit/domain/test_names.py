import re

import pytest

from app.domain import names
from app.errors import InvalidParameter


@pytest.mark.parametrize("name", ["ab", "/ab", "a.b-c_d", "0x", "a" * 200])
def test_good_names(name):
    assert names.check_container_name(name) == name.removeprefix("/")


@pytest.mark.parametrize("name", ["", "/", "a", "-a", ".a", "a b", "a/b", "//ab", "ab\n", "a\0", "äb", "a" * 201])
def test_bad_names(name):
    with pytest.raises(InvalidParameter):
        names.check_container_name(name)


def test_the_words_of_the_refusal():
    with pytest.raises(InvalidParameter) as refusal:
        names.check_container_name("a b")
    assert refusal.value.message == "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"


def test_made_up_names():
    made = {names.random_container_name() for _ in range(200)}
    assert len(made) > 150
    assert all(re.fullmatch(r"[a-z]+_[a-z]+", name) for name in made)
    assert re.fullmatch(r"[a-z]+_[a-z]+[0-9]", names.random_container_name(1))
    assert all(re.fullmatch(r"[a-z]+", word) for word in names.ADJECTIVES + names.SURNAMES)
    assert len(set(names.ADJECTIVES)) == len(names.ADJECTIVES)
    assert len(set(names.SURNAMES)) == len(names.SURNAMES)
