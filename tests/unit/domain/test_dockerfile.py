"""What a Dockerfile needs, and what an engine is given in its place."""

from __future__ import annotations

import time

import pytest

from app.domain import dockerfile
from app.domain.dockerfile import Needed
from app.errors import Forbidden, InvalidParameter

IDS = {"busybox": "sha256:bb", "web:1": "sha256:web", "reg.example/a/b": "sha256:ab", "alpine": "sha256:al"}


def needed(text: str, arguments: dict[str, str | None] | None = None, target: str = "") -> list[str]:
    return [image.name for image in dockerfile.parse(text.encode(), arguments or {}, target=target).needed]


def rewritten(text: str) -> str:
    return dockerfile.parse(text.encode(), {}).rewritten(IDS)


def test_from_and_copy_from_are_rewritten() -> None:
    text = "FROM busybox AS one\nRUN true\nFROM web:1\nCOPY --from=one /a /b\nCOPY --from=0 /a /b\n"
    text += "COPY --from=alpine a b\n"
    assert needed(text) == ["busybox", "web:1", "alpine"]
    assert rewritten(text) == (
        "FROM sha256:bb AS one\nRUN true\nFROM sha256:web\nCOPY --from=one /a /b\nCOPY --from=0 /a /b\n"
        "COPY --from=sha256:al a b\n"
    )


@pytest.mark.parametrize(
    ("text", "arguments", "names"),
    [
        ("FROM scratch\n", {}, []),
        ("from BusyBox as x\nfrom X\n", {}, ["BusyBox"]),
        ("ARG V=1\nFROM web:$V\n", {}, ["web:1"]),
        ("ARG V=1\nFROM web:${V}\n", {"V": "2"}, ["web:2"]),
        ("ARG V\nFROM web:${V:-3}\n", {}, ["web:3"]),
        ("ARG V\nFROM web${V:+:4}\n", {"V": "x"}, ["web:4"]),
        ('ARG B="busybox"\nARG C=$B:5\nFROM ${C}\n', {}, ["busybox:5"]),
        # Values that no ARG before the first FROM declares are nothing to FROM.
        ("ARG V=1\nFROM web:1\nARG W=9\nFROM web${W}\n", {"W": "8"}, ["web:1", "web"]),
        ("FROM --platform=linux/amd64 busybox\n", {}, ["busybox"]),
        ("# a comment\n\n  FROM \\\n  # inside\n  busybox \\\n  AS x\nFROM x\n", {}, ["busybox"]),
        ("# escape=`\nFROM `\n busybox\nRUN dir c:\\\nFROM web:1\n", {}, ["busybox", "web:1"]),
        ("\ufeffFROM busybox\r\nRUN true\r\n", {}, ["busybox"]),
        ("\u00a0FROM busybox\n", {}, ["busybox"]),
        # A later stage's own name, and the present one's, are images.
        ("FROM busybox AS a\nCOPY --from=b / /\nFROM alpine AS b\n", {}, ["busybox", "b", "alpine"]),
        ("FROM busybox AS a\nCOPY --from=a / /\n", {}, ["busybox", "a"]),
        ("FROM busybox\nFROM busybox\n", {}, ["busybox"]),
    ],
)
def test_what_is_needed(text: str, arguments: dict[str, str | None], names: list[str]) -> None:
    assert needed(text, arguments) == names


def test_stages_behind_the_target_need_nothing() -> None:
    text = "FROM busybox AS a\nFROM alpine AS b\nCOPY --from=web:1 / /\nFROM other AS c\nCOPY --from=more / /\n"
    assert needed(text, target="b") == ["busybox", "alpine", "web:1"]
    assert needed(text, target="1") == ["busybox", "alpine", "web:1"]
    assert needed(text) == ["busybox", "alpine", "web:1", "other", "more"]


def test_a_platform_goes_with_its_image() -> None:
    parsed = dockerfile.parse(b"ARG P=linux/arm64\nFROM --platform=$P busybox\n", {})
    assert parsed.needed == [Needed("busybox", "linux/arm64")]


def test_lines_keep_their_numbers() -> None:
    text = "# one\nFROM busybox\n\nRUN a \\\n  b\n# six\nRUN c\n"
    assert rewritten(text).split("\n") == ["", "FROM sha256:bb", "", "RUN a   b", "", "", "RUN c", ""]
    assert rewritten("# escape=`\nFROM busybox\nRUN a\n").split("\n")[:3] == ["# escape=`", "FROM sha256:bb", "RUN a"]


def test_the_steps_are_shown_as_written() -> None:
    parsed = dockerfile.parse(b"from busybox\nRUN true\nADD x /y\n", {})
    shown = parsed.shown(IDS)
    assert shown == {"FROM sha256:bb": "from busybox", "ADD ./x /y": "ADD x /y"}


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("ADD a.tar b /c", "ADD ./a.tar ./b /c"),
        ("ADD $X /c", "ADD ./$X /c"),
        ("ADD ./a /b /c", "ADD ./a /b /c"),
        ('ADD ["$X", "/c d"]', 'ADD ["./$X", "/c d"]'),
        ("ADD [$X, /c", "ADD ./[$X, /c"),
        ("ADD --chown=1:$G $X /c", "ADD --chown=1:$G ./$X /c"),
        ('ADD "http://$X" /c', None),
        ("ADD http://x/y /c", None),
        ("ADD HTTPS://x/y /c", None),
        ('ADD ["a", "http://x/y", "/c"]', None),
        ("ONBUILD ADD $X /c", "ONBUILD ADD ./$X /c"),
        ("ONBUILD ADD http://x /c", None),
        ("ONBUILD COPY a /c", "ONBUILD COPY a /c"),
        ("onbuild copy --from=busybox a /c", None),
        ("ONBUILD RUN wget http://x", "ONBUILD RUN wget http://x"),
    ],
)
def test_nothing_is_fetched_by_the_engine(text: str, given: str | None) -> None:
    if given is None:
        with pytest.raises(Forbidden):
            rewritten(f"FROM busybox\n{text}\n")
    else:
        assert rewritten(f"FROM busybox\n{text}\n").split("\n")[1] == given


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FROM busybox\nFOO bar\n", "dockerfile parse error line 2: unknown instruction: FOO"),
        ("FROM busybox\nCOPY\u00a0--from=x / /\n", "unknown instruction"),
        ("FROM busybox\nCOPY --fr\\om=x / /\n", "quotes and escapes"),
        ("FROM busybox\nCOPY --'from=x' / /\n", "quotes and escapes"),
        ("FROM busybox\nCOPY -- --from=x / /\n", "unknown flag"),
        ("RUN true\n", "no build stage in current context"),
        ("FROM\n", "FROM requires either one or three arguments"),
        ("FROM a b\n", "FROM requires either one or three arguments"),
        ("FROM busybox AS 1a\n", "invalid name for build stage"),
        ("FROM $X\n", "base name ($X) should not be blank"),
        ("ARG X=${Y%a}\nFROM busybox\n", "unsupported modifier"),
        ("FROM ${X\n", "missing '}'"),
        ("# escape=x\nFROM busybox\n", "invalid ESCAPE 'x'. Must be ` or \\"),
        # What engines read in another way, or some of them.
        ("FROM busybox\nRUN true \\\u00a0\nFROM busybox AS aaaa\n", "ends with the escape character"),
        ("FROM busybox\nRUN true \\\\\nFROM busybox AS aaaa\n", "ends with the escape character"),
        ("FROM busybox\nRUN true \\ \\", "ends with the escape character"),
        ("FROM busybox\nCOPY --from aaaa / /\n", "Missing a value on flag: from"),
        ("FROM busybox\nCOPY --chown --from=aaaa / /\n", "Missing a value on flag: chown"),
        ("FROM busybox\nRUN <<RUN\nFROM busybox AS aaaa\nRUN\n", "here-documents are not available"),
        ('FROM busybox\nCOPY <<"" /x\nFROM busybox AS aaaa\n\n', "here-documents are not available"),
        ("FROM busybox\nONBUILD COPY <<-RUN /x\nRUN\n", "here-documents are not available"),
        ("FROM busybox\nRUN cat ${X:-}3<<RUN\nRUN\n", "here-documents are not available"),
        # What would fill memory or the stack.
        ("ARG A=" + "${A:-" * 1_500 + "}" * 1_500 + "\nFROM busybox\n", "nested too deeply"),
        ("ARG A0=aaaa\n" + "".join(f"ARG A{i + 1}=$A{i}$A{i}\n" for i in range(40)), "values of its variables"),
        (
            "FROM busybox\nENV A0=aaaa\n" + "".join(f"ENV A{i + 1}=$A{i}${{A{i}}}\n" for i in range(40)),
            "values of its variables",
        ),
        ("", "the Dockerfile (Dockerfile) cannot be empty"),
        ("# only a comment\n", "cannot be empty"),
        ("FROM busybox\nRUN " + "x" * 70_000, "an instruction of more than"),
        ("FROM busybox\n" * 3000, "more than 2000 instructions"),
        ("FROM busybox\n" + "#" * 1_100_000, "more than 1048576 bytes"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        rewritten(text)
    assert words in refused.value.message


@pytest.mark.parametrize("byte", [b"\xa0", b"\x85"])
@pytest.mark.parametrize("before", [b"COPY ", b"COPY --chown=1 ", b"ONBUILD COPY "])
def test_a_byte_that_engines_take_for_a_space(before: bytes, byte: bytes) -> None:
    with pytest.raises(InvalidParameter, match="no character"):
        dockerfile.parse(b"FROM busybox\n" + before + byte + b"--from=aaaa / /\n", {})


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("RUN cat <<<x; echo $((1<<2)) $((1<<N)); sed s/<<IT>>/it/", None),
        ("RUN echo a\\\\b", None),
        ("COPY --link \u00fc /", "COPY --link=true \u00fc /"),
        ("ENV A=$PATH:/a B=$PATH", None),
        ("ADD " + "[" * 50_000 + " /", "ADD ./" + "[" * 50_000 + " /"),
    ],
)
def test_what_is_harmless_stays(line: str, given: str | None) -> None:
    assert rewritten(f"FROM busybox\n{line}\n").split("\n")[1] == (given or line)


def test_a_number_that_is_no_stage() -> None:
    """An engine takes it for a name."""
    assert needed("FROM busybox\nFROM busybox\nCOPY --from=0 / /\nCOPY --from=99999999999999999999 / /\n") == [
        "busybox",
        "99999999999999999999",
    ]


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("RUN true", True),
        ("COPY . /app", True),
        ("ADD . /app", True),
        ("ADD app.jar /app", True),
        ("ADD ./$JAR /app", True),
        ("COPY --from=busybox / /", False),
        ("copy\t--from=busybox / /", False),
        ("# escape=`\nCOPY --from=busybox / /", False),
        ("# x\nCOPY \\\n--from=busybox / /", False),
        ("ADD http://x/y /", False),
        ("ADD $URL /", False),
        ('ADD ["http://x", "/"]', False),
        ("ADD a \\\\\nRUN http://x /y", False),
        ("# x=y\n# escape=`\nADD a \\\nRUN http://x /y", False),
    ],
)
def test_triggers(text: str, allowed: bool) -> None:
    if allowed:
        dockerfile.check_trigger(text)
    else:
        with pytest.raises(Forbidden):
            dockerfile.check_trigger(text)


@pytest.mark.parametrize(
    "text",
    [
        "#a=x" + " " * 900_000 + "x\nFROM busybox\n",
        "FROM busybox\nRUN x" + "\\ " * 20_000 + "x\n",
        "FROM busybox\nRUN " + "${" * 29_000 + "\n",
        "FROM busybox\nRUN x\n" * 900,
    ],
)
def test_no_file_takes_long(text: str) -> None:
    began = time.thread_time()
    dockerfile.parse(text.encode(), {})
    assert time.thread_time() - began < 2
