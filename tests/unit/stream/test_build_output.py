"""An engine's words of a build, as the tenant gets them."""

from __future__ import annotations

import re
from typing import Any

from app.stream import json_stream
from app.stream.build_output import BuildOutput, Told

CONTAINER = "0123456789ab"


def output(last: list[Any] | None = None, **options: Any) -> BuildOutput:
    made = BuildOutput(lambda text: text.replace("sha256:bb", "busybox"), dict, lambda told: last or [], **options)
    made.shown = {"FROM sha256:bb": "FROM busybox"}
    made.unsaid = "Successfully tagged sdc.invalid/builds:1"
    return made


def messages(chunked: bytes) -> list[Any]:
    body = b""
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        body += rest[: int(size, 16)]
        chunked = rest[int(size, 16) + 2 :]
    return list(json_stream.split([body]))


def all_of(made: BuildOutput, data: bytes) -> list[Any]:
    """What is told of `data`, the end included."""
    return messages(made.feed(data) + made.finish())


def said(*texts: str) -> bytes:
    return b"".join(json_stream.encode({"stream": text}) for text in texts)


def test_steps_are_shown_as_they_were_written() -> None:
    made = output()
    told = messages(made.feed(said("Step 1/2 : FROM sha256:bb", "\n", "Step 2/2 : RUN true", "\n")))
    assert [message["stream"] for message in told] == ["Step 1/2 : FROM busybox", "\n", "Step 2/2 : RUN true", "\n"]


def test_messages_cut_anywhere() -> None:
    whole = said("Step 1/1 : FROM sha256:bb", " ---> 0123456789ab\n", "grüße\n")
    for size in (1, 3, 7, len(whole)):
        made = output([{"stream": "last\n"}])
        got = b"".join(made.feed(whole[at : at + size]) for at in range(0, len(whole), size))
        told = messages(got + made.finish().removesuffix(b"0\r\n\r\n"))
        assert [m["stream"] for m in told] == [
            "Step 1/1 : FROM busybox",
            " ---> 0123456789ab\n",
            "grüße\n",
            "last\n",
        ]


def test_a_last_line_without_an_end() -> None:
    made = output()
    assert made.feed(b'{"stream":"a"}') == b""
    assert messages(made.finish().removesuffix(b"0\r\n\r\n")) == [{"stream": "a"}]


def test_engine_containers_are_renamed_alike() -> None:
    made = output()
    told = messages(
        made.feed(said(f" ---> Running in {CONTAINER}\n", f"Removing intermediate container {CONTAINER}\n", "x"))
    )
    first, second = (re.search("[0-9a-f]{12}", message["stream"]) for message in told[:2])
    assert first and second and first[0] == second[0] != CONTAINER


def test_removals_after_a_failure() -> None:
    removing = f"Removing intermediate container {CONTAINER}\n"
    for after_failure in (False, True):
        made = output(removal_after_failure=after_failure)
        told = all_of(made, said(removing, "next\n", removing) + json_stream.encode({"error": "bad"}))
        assert len(told) == 3 + after_failure and told[-1]["error"] == "bad"
    made = output(removal=False)
    assert messages(made.feed(said(removing, "next\n"))) == [{"stream": "next\n"}]
    made = output()
    assert made.feed(said(removing)) == b"" and b"Removing intermediate" in made.finish()


def test_leaves_are_the_last_images_of_stages() -> None:
    told: list[Told] = []
    made = BuildOutput(str, dict, lambda end: (told.append(end), [])[1])
    made.feed(said("Step 1/4 : FROM a", " ---> 00000000000a\n", "Step 2/4 : RUN x", " ---> 00000000000b\n"))
    made.feed(said("Step 3/4 : FROM c", " ---> 00000000000c\n", "Step 4/4 : RUN y", " ---> Using cache\n"))
    made.feed(said(" ---> 00000000000d\n"))
    made.finish()
    assert told[0].leaves == ["00000000000b", "00000000000d"]
    assert not told[0].failed


def test_errors_are_scrubbed_and_nothing_unknown_passes() -> None:
    made = output()
    error = {"errorDetail": {"code": 3, "message": "no sha256:bb", "x": 1}, "error": "no sha256:bb", "y": 2}
    told = all_of(made, json_stream.encode(error) + json_stream.encode({"secret": 1, "status": "Pulling"}))
    assert told == [{"errorDetail": {"code": 3, "message": "no busybox"}, "error": "no busybox"}, {"status": "Pulling"}]
    assert made.told.failed


def test_a_failure_is_told_once_it_is_recorded() -> None:
    ends: list[Told] = []
    made = BuildOutput(str, dict, lambda told: (ends.append(told), [{"stream": "last"}])[1])
    early = messages(made.feed(said("first") + json_stream.encode({"error": "bad"}) + said("more")))
    assert early == [{"stream": "first"}] and not ends
    late = messages(made.finish())
    assert [end.failed for end in ends] == [True]
    assert late == [
        {"errorDetail": {"message": "bad"}, "error": "bad"},
        {"stream": "more"},
        {"stream": "last"},
    ]


def test_the_engines_name_is_not_said() -> None:
    made = output()
    assert messages(
        made.feed(said("Successfully built 0123456789ab\n", "Successfully tagged sdc.invalid/builds:1\n"))
    ) == [{"stream": "Successfully built 0123456789ab\n"}]


def test_a_quiet_build_tells_only_its_end() -> None:
    made = output([{"stream": "sha256:x\n"}], quiet=True)
    assert made.feed(said("Step 1/1 : FROM sha256:bb", "more\n")) == b""
    assert messages(made.finish().removesuffix(b"0\r\n\r\n")) == [{"stream": "sha256:x\n"}]


def test_a_quiet_build_that_fails_tells_all() -> None:
    made = output(quiet=True)
    made.feed(said("Step 1/1 : FROM sha256:bb"))
    told = all_of(made, json_stream.encode({"error": "bad"}))
    assert told == [{"stream": "Step 1/1 : FROM busybox"}, {"errorDetail": {"message": "bad"}, "error": "bad"}]


def test_aux_passes() -> None:
    made = output()
    assert messages(made.feed(json_stream.encode({"aux": {"ID": "sha256:1", "z": 1}}))) == [{"aux": {"ID": "sha256:1"}}]
