"""A layer is the one of its digest and of its plain form's digest, or it is refused."""

from __future__ import annotations

import bz2
import gzip
import hashlib

import pytest

from app.errors import Error, Internal, InvalidParameter, NotImplemented
from app.stream.image_manifest import Blob
from app.stream.layer_check import LayerCheck

PLAIN = b"layer" * 1000


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def check(sent: bytes, *, of: bytes | None = None, plain: bytes = PLAIN, known: bytes | None = None, step: int) -> None:
    layer = Blob(digest(sent if of is None else of), len(sent if of is None else of))
    looked = LayerCheck(layer, digest(plain), None if known is None else digest(known))
    for start in range(0, len(sent), step):
        looked.update(sent[start : start + step])
    looked.finish()
    assert looked.size == len(sent)


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_layers_that_are_what_they_are_called(step: int) -> None:
    check(PLAIN, step=step)
    check(gzip.compress(PLAIN), step=step)
    check(gzip.compress(PLAIN), known=PLAIN, step=step)
    check(b"", plain=b"", step=step)


@pytest.mark.parametrize("step", [7, 1 << 20])
@pytest.mark.parametrize(
    ("sent", "how", "kind"),
    [
        (gzip.compress(b"other"), {}, InvalidParameter),
        (b"other", {}, InvalidParameter),
        (PLAIN, {"known": b"other"}, InvalidParameter),
        (PLAIN[:-1], {"of": PLAIN}, Internal),
        (PLAIN + b"x", {"of": PLAIN}, InvalidParameter),
        (gzip.compress(PLAIN)[:-9], {"plain": PLAIN}, InvalidParameter),
        (bz2.compress(PLAIN), {}, NotImplemented),
    ],
    ids=["another in gzip", "another", "known as another", "cut", "longer", "cut gzip", "bzip2"],
)
def test_layers_that_are_not(sent: bytes, how: dict, kind: type[Error], step: int) -> None:
    with pytest.raises(kind):
        check(sent, **how, step=step)
