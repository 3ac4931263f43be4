"""Names of containers and volumes: Docker's rules for them, and names made up for containers that were given none; and
the ids of execs."""

from __future__ import annotations

import hashlib
import re
import secrets

from app.errors import InvalidParameter

#: The engine's own limit is the length of a file name; ours leaves room for what a rename may add.
MOST_CHARACTERS = 200
#: The longest name of a file.
MOST_VOLUME_CHARACTERS = 255

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


def check_container_name(name: str) -> str:
    """The name without the slash that clients may write before it. Raises InvalidParameter in Docker's words."""
    bare = name.removeprefix("/")
    if not _NAME.fullmatch(bare):
        raise InvalidParameter(
            f"Invalid container name ({name[:MOST_CHARACTERS]}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    if len(bare) > MOST_CHARACTERS:
        raise InvalidParameter(f"Invalid container name: it has more than {MOST_CHARACTERS} characters")
    return bare


def check_volume_name(name: str, complaint: str = "", *, short: bool = False) -> str:
    """Raises InvalidParameter in Docker's words, after `complaint`. One character will do where it may be `short`."""
    quoted = "".join(character if character.isprintable() else "?" for character in name[:MOST_CHARACTERS])
    if len(name) == 1 and name.isascii() and name.isalnum():
        if short:
            return name
        raise InvalidParameter(
            f"create {quoted}: volume name is too short, names should be at least two alphanumeric characters"
        )
    if not _NAME.fullmatch(name):
        raise InvalidParameter(
            f'{complaint}create {quoted}: "{quoted}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )
    if len(name) > MOST_VOLUME_CHARACTERS:
        most = MOST_VOLUME_CHARACTERS
        raise InvalidParameter(f"{complaint}create {quoted}: a volume name has at most {most} characters")
    return name


def exec_id(container_id: str, engine_exec_id: str) -> str:
    """The tenant's id of an exec. It follows from the engine's, for an engine tells of an exec before its row is there,
    and of those of health checks, which have none."""
    return hashlib.sha256(f"{container_id} {engine_exec_id}".encode()).hexdigest()


def random_container_name(attempt: int = 0) -> str:
    """A name like `quiet_noether`. From the second attempt on a digit follows, as the daemon does after a clash."""
    name = f"{secrets.choice(ADJECTIVES)}_{secrets.choice(SURNAMES)}"
    return name + str(secrets.randbelow(10 ** min(attempt, 6))) if attempt > 0 else name


ADJECTIVES = tuple(
    """
    able agile airy alert amber ample ancient apt artful astute balmy bold brave breezy bright brisk calm candid careful
    cheerful civil clear clever cool cordial cosmic cozy crisp curious daring deft eager early earnest easy elated epic
    exact fair famous fancy fearless fine firm fluent fond frank free fresh friendly gallant gentle glad golden good
    graceful grand handy happy hardy helpful honest hopeful humble ideal jolly jovial keen kind lively loyal lucid lucky
    mellow merry mild modest neat nimble noble open patient placid plucky polite proud prudent quick quiet rapid ready
    robust rosy serene sharp silent silver simple sincere skilful smooth snug sober solid spry stable steady still
    stoic sturdy subtle sunny sure swift tender thrifty tidy tranquil trusty upbeat vivid warm wise witty zesty
    """.split()  # noqa: SIM905  (a hundred quoted words are harder to read)
)

SURNAMES = tuple(
    """
    abel agnesi allen ampere archimedes aryabhata babbage banach banneker bardeen bell bernoulli bhabha bohr boltzmann
    boole borg bose brahe brahmagupta buck cantor carson cauchy cerf chandrasekhar chatelet colden cori curie darwin
    davinci dijkstra dirac earhart edison einstein elion engelbart erdos euclid euler faraday fermat fermi feynman
    franklin galileo galois gauss germain goldberg goodall hamilton hawking heisenberg herschel hertz hilbert hodgkin
    hopper hypatia jackson jemison johnson joliot kare keller kepler khayyam khorana kilby knuth kovalevskaya lagrange
    lalande lamarr lamport laplace leakey leavitt leibniz lovelace lumiere maxwell mayer mcclintock meitner mendel
    mendeleev mirzakhani moser napier nash neumann newton nightingale nobel noether noyce pascal pasteur payne perlman
    planck poincare raman ramanujan ride ritchie robinson rubin sammet shannon shaw shirley snyder stonebraker tesla
    thompson torvalds turing varahamihira villani volhard wescoff wiles williams wing wright wu yalow yonath
    """.split()  # noqa: SIM905
)
