"""Image references, by the grammar of distribution/reference: [host[:port]/]path[:tag][@digest]."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.errors import InvalidParameter

DEFAULT_HOST = "docker.io"
DEFAULT_TAG = "latest"
#: Characters of host and path.
MAX_REPOSITORY = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = re.compile(_DOMAIN)
#: What a tag may look like.
TAG = re.compile(r"[\w][\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BARE_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ImageReference:
    """A normalised reference: `host` is never empty, `path` carries `library/` for Docker Hub's own images."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """Host and path: "docker.io/library/busybox". This is what the database keeps."""
        return f"{self.host}/{self.path}"

    @property
    def familiar_repository(self) -> str:
        """As a person writes it: "busybox"."""
        return familiar(self.repository)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return self.familiar_repository + tag + digest


def familiar(repository: str) -> str:
    """A stored repository as a person writes it."""
    host, _, path = repository.partition("/")
    if host != DEFAULT_HOST:
        return repository
    rest = path.removeprefix("library/")
    return rest if path.startswith("library/") and "/" not in rest else path


def parse(text: str) -> ImageReference:
    """Parse a name as people type it; neither tag nor digest is made up. Raises InvalidParameter in Docker's words."""
    name, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise InvalidParameter("invalid reference format")
    tag = ""
    slash = name.rfind("/")
    colon = name.rfind(":")
    if colon > slash:
        name, tag = name[:colon], name[colon + 1 :]
        if not TAG.fullmatch(tag):
            raise InvalidParameter("invalid reference format")
    first, slash_found, rest = name.partition("/")
    if slash_found and ("." in first or ":" in first or first == "localhost" or first.lower() != first):
        host, path = first, rest
        if not _HOST.fullmatch(host):
            raise InvalidParameter("invalid reference format")
    else:
        host, path = DEFAULT_HOST, name
    if host == "index.docker.io":
        host = DEFAULT_HOST
    if path != path.lower():
        raise InvalidParameter("invalid reference format: repository name must be lowercase")
    if not _PATH.fullmatch(path):
        raise InvalidParameter("invalid reference format")
    if len(f"{host}/{path}") > MAX_REPOSITORY:
        raise InvalidParameter(f"repository name must not be more than {MAX_REPOSITORY} characters")
    if host == DEFAULT_HOST and "/" not in path:
        if _BARE_ID.fullmatch(path):
            # A 64 digit name could not be told from an image id ever after.
            raise InvalidParameter(f"invalid repository name ({path}), cannot specify 64-byte hexadecimal strings")
        path = f"library/{path}"
    return ImageReference(host, path, tag, digest)


def tagged(
    repository: str, tag: str, *, refusal: str = "refusing to create a tag with a digest reference"
) -> ImageReference:
    """The name that the two parameters of a request give: `tag` wins over one in the repository, as in dockerd.

    Raises InvalidParameter, with the words of `refusal` where the repository has a digest.
    """
    reference = parse(repository)
    if reference.digest:
        raise InvalidParameter(refusal)
    if tag and not TAG.fullmatch(tag):
        raise InvalidParameter("invalid tag format")
    return ImageReference(reference.host, reference.path, tag or reference.tag or DEFAULT_TAG)
