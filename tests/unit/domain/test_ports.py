import pytest

from app.domain import ports
from app.errors import InvalidParameter


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("80", (80, 80, "tcp")),
        ("80/", (80, 80, "tcp")),
        ("53/UDP", (53, 53, "udp")),
        ("1-65535/sctp", (1, 65535, "sctp")),
    ],
)
def test_ports(text, expanded):
    assert ports.expand(text) == expanded


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "80-", "9-8", "65536", "80/ip", "a", "80/tcp/udp", "\u0668", "80\n", "1-2-3"]
)
def test_no_ports(text):
    with pytest.raises(InvalidParameter):
        ports.expand(text)
