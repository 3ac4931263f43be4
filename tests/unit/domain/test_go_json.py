import pytest

from app.domain.go_json import fold


@pytest.mark.parametrize(
    ("one", "other"),
    [("HostConfig", "hOSTcONFIG"), ("Networ\u212aMode", "NetworkMode"), ("\u017fecurityOpt", "SecurityOpt")],
)
def test_the_same_to_go(one, other):
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("stra\u00dfe", "strasse"), ("a", "b"), ("a ", "a"), ("\ufb01", "fi")])
def test_different_to_go(one, other):
    assert fold(one) != fold(other)
