"""The classic builder, as far as the product relies on it: names, cached steps, and whose."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

from app.errors import NotFound
from app.stream import json_stream, tar
from tests.contract.conftest import Subject, read_all

NOTHING = f"sha256:{'0' * 64}"


def build(subject: Subject, dockerfile: str, name: str, *, sources: list[str] | None = None) -> list[Any]:
    # Not a byte behind the archive's end: an engine resets a connection that it closes with something unread.
    data = tar.file("sub/Dev", dockerfile.encode()) + tar.END
    query = {"dockerfile": "sub/Dev", "t": name, "rm": "1", "forcerm": "1", "networkmode": "none"}
    query |= {"cachefrom": json.dumps(sources or [NOTHING])}
    return list(
        json_stream.split([read_all(subject.engine.build_image(query, (io.BytesIO(data), len(data))), limit=60)])
    )


def test_a_build_by_id_has_the_name_that_it_was_given(subject: Subject) -> None:
    name = f"sdc.invalid/builds:{subject.run}"
    told = build(subject, f"FROM {subject.image}\nLABEL a=b\n", name)
    said = [message["stream"] for message in told if "stream" in message]
    assert said[0] == f"Step 1/2 : FROM {subject.image}" and said[1] == "\n"
    assert said[2] == f" ---> {subject.image[7:19]}\n" and "Step 2/2 : LABEL a=b" in said
    assert re.fullmatch(r" ---> Running in [0-9a-f]{12}\n", said[5])
    seen = subject.engine.inspect_image(name)
    assert {"aux": {"ID": seen["Id"]}} in told and seen["Parent"] == subject.image
    assert said[-2:] == [f"Successfully built {seen['Id'][7:19]}\n", f"Successfully tagged {name}\n"]
    assert subject.engine.inspect_image(seen["Id"][7:19])["Id"] == seen["Id"]
    subject.engine.remove_image(name)
    with pytest.raises(NotFound):
        subject.engine.inspect_image(name)


def test_cached_steps_come_from_the_named_sources_alone(subject: Subject) -> None:
    """The ground that accounts stand on: without a source nothing is taken, though the engine has it."""
    name = f"sdc.invalid/builds:{subject.run}"
    text = f"FROM {subject.image}\nLABEL one={subject.run}\nLABEL two=x\n"
    build(subject, text, name)
    first = subject.engine.inspect_image(name)["Id"]
    assert "Using cache" not in str(build(subject, text, name))
    assert "Using cache" not in str(build(subject, text, name, sources=[subject.image]))
    assert str(build(subject, text, name, sources=[first])).count("Using cache") == 2
    assert subject.engine.inspect_image(name)["Id"] == first
    subject.engine.remove_image(name)


def test_a_step_that_fails(subject: Subject) -> None:
    told = build(subject, f"FROM {subject.image}\nRUN false\n", f"sdc.invalid/builds:{subject.run}")
    words = "The command '/bin/sh -c false' returned a non-zero code: 1"
    assert told[-1] == {"errorDetail": {"code": 1, "message": words}, "error": words}
