"""Dockerfiles: which images one needs, and the same file with those images by id.

On an engine that several accounts share a name means nothing: `FROM web` would find whatever anybody called so. Every
`FROM` and `COPY --from` is therefore rewritten to the id of an image that the account has. The whole file is written
anew, one line for each instruction, so that an engine reads exactly what was read here: two parsers that disagree about
where an instruction ends would be a way around. Line numbers stay what they were, for the engine's messages.

`ADD` of a URL is refused: the engine would fetch it from inside the operator's network. A source that becomes a URL
only by a variable is kept from it by a "./" before it, which changes nothing for files of the context.

The syntax is the classic builder's (moby builder/dockerfile); `# syntax=` means nothing to it. What versions of its
parser read in different ways is refused: an instruction that still ends with the escape character, a flag without "=",
a lone byte that some take for a space, and here-documents, which are BuildKit's but swallow lines on newer engines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.errors import Forbidden, InvalidParameter

MOST_BYTES = 1024 * 1024
#: An engine's scanner takes no line of more than 64 KiB.
MOST_LINE = 60_000
MOST_INSTRUCTIONS = 2000
#: Of an instruction with its variables' values in it, which an engine makes in its memory.
MOST_EXPANDED = 8 * 1024 * 1024
#: What a variable of an image that is not looked at may hold.
_UNKNOWN = 4096
SCRATCH = "scratch"

_INSTRUCTIONS = frozenset(
    {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"}
    | {"ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=(.*)")
_SPACE = re.compile(r"[\t\v\f\r ]+")
_WORD = re.compile(r"[!-~]+")
_STAGE = re.compile(r"[a-z][a-z0-9-_.]*")
_URL = re.compile(r"https?://", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_ASSIGNED = re.compile(r"(?:^|[\s\"'])([A-Za-z_][A-Za-z0-9_]*)")
#: A whole word: no here-string, and no shift in arithmetic.
_HERE_DOCUMENT = re.compile(r"[\d\"'\\]*<<-?[A-Za-z_'\"\\$`{][^<]*")

#: The tenant's name of an image -> its id.
Ids = Mapping[str, str]


@dataclass(frozen=True)
class _Instruction:
    #: Of its first physical line, from 1.
    number: int
    word: str
    rest: str
    #: As the engine would show it.
    original: str


@dataclass(frozen=True)
class Needed:
    """An image that the build starts or copies from. `platform` is what its FROM asks for."""

    name: str
    platform: str = ""


@dataclass
class Dockerfile:
    """A parsed file. `needed` are the images that are no stages of the file itself, each once."""

    needed: list[Needed]
    _escape: str
    _steps: list[tuple[_Instruction, Callable[[Ids], str]]] = field(default_factory=list)

    def rewritten(self, ids: Ids) -> str:
        """The file with `ids` for the names in `needed`."""
        lines: list[str] = [f"# escape={self._escape}"] if self._escape != "\\" else []
        for instruction, text in self._steps:
            lines += [""] * (instruction.number - 1 - len(lines))
            lines.append(text(ids))
        return "\n".join(lines) + "\n"

    def shown(self, ids: Ids) -> dict[str, str]:
        """What the engine calls a step -> what the tenant wrote, where they differ."""
        pairs = ((text(ids), instruction.original) for instruction, text in self._steps)
        return {ours: theirs for ours, theirs in pairs if ours != theirs}


def parse(
    content: bytes, arguments: Mapping[str, str | None], *, target: str = "", name: str = "Dockerfile"
) -> Dockerfile:
    """Parse a file with the values of its build arguments; stages behind `target` need nothing.

    Raises InvalidParameter in Docker's words, and Forbidden for what a shared engine must not be asked.
    """
    if len(content) > MOST_BYTES:
        raise InvalidParameter(f"the Dockerfile has more than {MOST_BYTES} bytes")
    lines = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n")
    escape = _escape(lines)
    reader = _Reader(Dockerfile([], escape), dict(arguments), target.lower())
    try:
        for instruction in _instructions(lines, escape):
            reader.read(instruction)
    except RecursionError:
        raise InvalidParameter("the Dockerfile has something that is nested too deeply") from None
    if not reader.file._steps:
        raise InvalidParameter(f"the Dockerfile ({name}) cannot be empty")
    return reader.file


def check_trigger(text: str) -> None:
    """Raise Forbidden where an image's ONBUILD instruction reaches for what a shared engine must not be asked.

    The engine runs it as it stands in the image, so that nothing in it can be rewritten.
    """
    if "\n" in text:
        # A builder makes none of several lines, and what they are together depends on the engine.
        raise Forbidden("not allowed on this shared host: several lines in an image's ONBUILD")
    for instruction in _instructions([text], "\\"):
        if instruction.word not in ("ADD", "COPY"):
            continue
        flags, arguments = _flags(instruction.rest)
        if any(flag.startswith("--from") for flag in flags):
            raise Forbidden("not allowed on this shared host: COPY --from in an image's ONBUILD")
        if instruction.word == "ADD":
            for source in _words(arguments)[0][:-1]:
                if _URL.match(source) or (set(source) & set("$'\"\\`") and not source.startswith((".", "/"))):
                    raise Forbidden("not allowed on this shared host: ADD of a URL in an image's ONBUILD")


# -- lines ------------------------------------------------------------------------------------------------------------


def _escape(lines: list[str]) -> str:
    """The escape character: of a directive, which can only stand before everything else."""
    for line in lines:
        match = _DIRECTIVE.fullmatch(line.strip())
        if match is None or not (value := match[2].strip()):
            return "\\"
        if match[1].lower() == "escape":
            if value not in ("\\", "`"):
                raise InvalidParameter(f"invalid ESCAPE '{value[:16]}'. Must be ` or \\")
            return value
    return "\\"


def _instructions(lines: list[str], escape: str) -> list[_Instruction]:
    continued = re.compile(rf"(^|[^{re.escape(escape)}]){re.escape(escape)}[ \t]*$")
    found: list[_Instruction] = []
    parts: list[str] = []
    first = 0
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r")
        if line.strip().startswith("#") or not line.strip():
            continue
        if not parts:
            first, line = number, line.lstrip()
        more = continued.search(line)
        parts.append(continued.sub(r"\1", line))
        if more is None:
            found.append(_instruction(first, "".join(parts), escape))
            parts = []
    if parts and "".join(parts).strip():
        found.append(_instruction(first, "".join(parts), escape))
    if len(found) > MOST_INSTRUCTIONS:
        raise InvalidParameter(f"the Dockerfile has more than {MOST_INSTRUCTIONS} instructions")
    return found


def _instruction(first: int, logical: str, escape: str) -> _Instruction:
    text = logical.strip()
    if text.endswith(escape):
        raise InvalidParameter(f"dockerfile parse error line {first}: an instruction ends with the escape character")
    word, *rest = _SPACE.split(text, maxsplit=1)
    if word.upper() not in _INSTRUCTIONS:
        raise InvalidParameter(f"dockerfile parse error line {first}: unknown instruction: {_printable(word)}")
    if len(text.encode("utf-8", "surrogateescape")) > MOST_LINE:
        raise InvalidParameter(f"dockerfile parse error line {first}: an instruction of more than {MOST_LINE} bytes")
    arguments = rest[0].strip() if rest else ""
    if word.upper() in ("RUN", "COPY", "ADD", "ONBUILD") and _has_here_document(arguments):
        raise InvalidParameter(f"dockerfile parse error line {first}: here-documents are not available: use BuildKit")
    return _Instruction(first, word.upper(), arguments, text)


def _has_here_document(arguments: str) -> bool:
    """Whether a newer engine may see the begin of one. What is in braces may come to anything, or to nothing."""
    words = [word for word in arguments.split() if "<<" in word]
    return any("${" in word or _HERE_DOCUMENT.fullmatch(word) for word in words)


def _printable(text: str) -> str:
    return re.sub(r"[^!-~]", "?", text[:64])


# -- instructions -----------------------------------------------------------------------------------------------------


class _Reader:
    """Reads instructions in order: what a name means depends on the stages and arguments before it."""

    def __init__(self, file: Dockerfile, arguments: dict[str, str | None], target: str) -> None:
        self.file = file
        self._given = arguments
        self._target = target
        #: Values that FROM can use: arguments declared before the first FROM.
        self._global: dict[str, str] = {}
        self._stages: list[str] = []
        self._done = False
        #: How long a variable can be at most.
        self._sizes: dict[str, int] = {}

    def read(self, instruction: _Instruction) -> None:
        if not self._stages and instruction.word not in ("FROM", "ARG"):
            raise InvalidParameter("no build stage in current context")
        self._measure(instruction)
        match instruction.word:
            case "FROM":
                text = self._from(instruction)
            case "COPY" | "ADD":
                text = self._copy(instruction.word, instruction.rest)
            case "ONBUILD":
                text = self._onbuild(instruction)
            case word:
                if word == "ARG" and not self._stages:
                    self._argument(instruction.rest)
                text = _constant(f"{word} {instruction.rest}".rstrip())
        self.file._steps.append((instruction, text))

    def _measure(self, instruction: _Instruction) -> None:
        """Variables that hold each other twice over fill an engine's memory, and ours, within a few lines."""
        if instruction.word in ("RUN", "CMD", "ENTRYPOINT"):
            return  # A shell's, in the container.
        rest = instruction.rest
        size = len(rest) + sum(self._sizes.get(name, _UNKNOWN) for name in _VARIABLE.findall(rest))
        if size > MOST_EXPANDED:
            line = instruction.number
            raise InvalidParameter(f"dockerfile parse error line {line}: the values of its variables are too long")
        if instruction.word in ("ENV", "ARG"):
            for name in _ASSIGNED.findall(rest):
                self._sizes[name] = max(size, self._sizes.get(name, 0), len(self._given.get(name) or ""))

    def _argument(self, rest: str) -> None:
        for word in _SPACE.split(rest):
            name, equals, value = word.partition("=")
            default = expand(value, self._global) if equals else None
            given = self._given.get(name)
            if (chosen := default if given is None else given) is not None:
                self._global[name] = chosen

    def _from(self, instruction: _Instruction) -> Callable[[Ids], str]:
        flags, rest = _flags(instruction.rest)
        words = _SPACE.split(rest) if rest else []
        if len(words) not in (1, 3) or (len(words) == 3 and words[1].lower() != "as"):
            line = instruction.number
            raise InvalidParameter(f"dockerfile parse error line {line}: FROM requires either one or three arguments")
        if not all(_WORD.fullmatch(word) for word in words):
            raise InvalidParameter("invalid reference format")
        stage = words[2].lower() if len(words) == 3 else ""
        if stage and not _STAGE.fullmatch(stage):
            raise InvalidParameter(
                f'invalid name for build stage: "{stage}", name can\'t start with a number or contain symbols'
            )
        name = expand(words[0], self._global)
        if not name:
            raise InvalidParameter(f"base name ({words[0]}) should not be blank")
        known = name == SCRATCH or name.lower() in self._stages
        platform = next((flag.partition("=")[2] for flag in flags if flag.startswith("--platform=")), "")
        if not known and not self._done:
            self._need(Needed(name, expand(platform, self._global)))
        self._done = self._done or (bool(self._target) and self._target in (stage, str(len(self._stages))))
        self._stages.append(stage)
        ending = [f"AS {words[2]}"] if stage else []

        def text(ids: Ids) -> str:
            return " ".join(["FROM", *flags, name if known else ids.get(name, SCRATCH), *ending])

        return text

    def _copy(self, word: str, rest: str) -> Callable[[Ids], str]:
        flags, arguments = _flags(rest)
        if word == "ADD":
            arguments = _local(arguments)
        name = next((flag.partition("=")[2] for flag in flags if flag.startswith("--from=")), "")
        # Up to the present stage, which is what the engine looks through.
        # It takes a number that is too long for one as the name of an image.
        known = not name or (name.isdigit() and len(name) < 9) or name.lower() in self._stages[:-1]
        if word == "ADD" or known:
            return _constant(" ".join([word, *flags, arguments]).rstrip())
        if not self._done or self._target in (self._stages[-1], str(len(self._stages) - 1)):
            self._need(Needed(name))
        others = [flag for flag in flags if not flag.startswith("--from=")]

        def text(ids: Ids) -> str:
            return " ".join([word, f"--from={ids.get(name, SCRATCH)}", *others, arguments]).rstrip()

        return text

    def _onbuild(self, instruction: _Instruction) -> Callable[[Ids], str]:
        word, *rest = _SPACE.split(instruction.rest, maxsplit=1)
        if word.upper() not in _INSTRUCTIONS:
            raise InvalidParameter(
                f"dockerfile parse error line {instruction.number}: unknown instruction: {_printable(word)}"
            )
        arguments = rest[0] if rest else ""
        if word.upper() not in ("COPY", "ADD"):
            return _constant(f"ONBUILD {word.upper()} {arguments}".rstrip())
        if any(flag.startswith("--from") for flag in _flags(arguments)[0]):
            raise Forbidden("not allowed on this shared host: ONBUILD COPY --from")
        inner = self._copy(word.upper(), arguments)
        return lambda ids: f"ONBUILD {inner(ids)}"

    def _need(self, image: Needed) -> None:
        if image.name not in (needed.name for needed in self.file.needed):
            self.file.needed.append(image)


def _constant(text: str) -> Callable[[Ids], str]:
    return lambda _: text


def _flags(rest: str) -> tuple[list[str], str]:
    """The flags at the beginning, and what is behind them. The engine reads quotes and escapes in flags: not here."""
    flags: list[str] = []
    rest = rest.strip()
    while rest.startswith("--"):
        flag, *behind = _SPACE.split(rest, maxsplit=1)
        rest = behind[0].strip() if behind else ""
        if flag == "--":
            break
        if not _WORD.fullmatch(flag) or set(flag) & set("'\"\\`"):
            raise InvalidParameter(f"quotes and escapes are not supported in flags: {_printable(flag)}")
        if flag == "--link":
            flag = "--link=true"
        if "=" not in flag:
            # Newer engines take the next word for its value, whatever that is.
            raise InvalidParameter(f"Missing a value on flag: {_printable(flag[2:])}")
        flags.append(flag)
    if rest.startswith("--"):
        raise InvalidParameter(f"unknown flag: {_printable(rest)}")
    if "\udc80" <= rest[:1] <= "\udcff":
        # Engines look for flags by bytes, and 0x85 and 0xa0 are spaces to them there.
        raise InvalidParameter("the arguments of an instruction begin with a byte that is no character")
    return flags, rest


def _words(arguments: str) -> tuple[list[str], bool]:
    """Sources and destination, and whether they were a JSON list."""
    if arguments.startswith("["):
        try:
            found, _ = json.JSONDecoder().raw_decode(arguments)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, list) and all(isinstance(word, str) for word in found):
            return found, True
    return [word for word in _SPACE.split(arguments) if word], False


def _local(arguments: str) -> str:
    """The arguments of an ADD, with sources that no variable can make URLs of. Raises Forbidden for a URL."""
    words, is_json = _words(arguments)
    *sources, destination = words or [""]
    for source in sources:
        if _URL.match(source.strip("'\"")):
            raise Forbidden("not allowed on this shared host: ADD of a URL; fetch it by RUN or add it to the context")
    local = [source if source.startswith((".", "/")) else f"./{source}" for source in sources]
    return json.dumps([*local, destination]) if is_json else " ".join([*local, destination])


# -- variables --------------------------------------------------------------------------------------------------------


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}` in a word, quotes taken away.

    Raises InvalidParameter for other forms.
    """
    out: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char in "'\"":
            at += 1
        elif char != "$":
            out.append(char)
            at += 1
        elif text[at + 1 : at + 2] == "{":
            end = _closing(text, at + 2)
            out.append(_braced(text[at + 2 : end], values))
            at = end + 1
        elif match := _NAME.match(text, at + 1):
            out.append(values.get(match[0], ""))
            at = match.end()
        else:
            out.append("$")
            at += 1
    return "".join(out)


def _closing(text: str, at: int) -> int:
    depth = 1
    for position in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    raise InvalidParameter("syntax error: missing '}'")


def _braced(inside: str, values: Mapping[str, str]) -> str:
    match = _NAME.match(inside)
    if match is None:
        raise InvalidParameter("syntax error: bad substitution")
    value, modifier = values.get(match[0], ""), inside[match.end() :]
    if not modifier:
        return value
    if modifier.startswith(":-"):
        return value or expand(modifier[2:], values)
    if modifier.startswith(":+"):
        return expand(modifier[2:], values) if value else ""
    raise InvalidParameter(f"unsupported modifier ({_printable(modifier[:2])}) in substitution")
