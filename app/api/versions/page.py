"""`deploy/VERSIONS.md`: what each version of Docker's API changed, made from the change objects.

`python -m app.api.versions.page > deploy/VERSIONS.md` makes it anew; a test compares the two.
"""

from __future__ import annotations

import sys
from itertools import groupby

from app.api.versions.api_version import MAXIMUM, MINIMUM
from app.api.versions.changes import CHANGES

_HEAD = f"""\
# API versions

The service speaks every version of Docker's API from {MINIMUM} to {MAXIMUM}. A client of an older one gets what its
version had: its request is read as it was meant then, and the answer is shown as it was then. A call that its version
does not have yet answers 400 with the version that has it.

What each version changed, newest first, and the calls that it concerns. Beside these: an error is a line of plain text
below 1.24 and a JSON object since, and a stream of stdout and stderr says so in its media type since 1.42. Versions
that are not here changed nothing that the service has.

This page is made from the code: `python -m app.api.versions.page > deploy/VERSIONS.md`.
"""


def page() -> str:
    """The page, as Markdown."""
    lines = [_HEAD]
    for version, changes in groupby(reversed(CHANGES), lambda change: change.version):
        lines += [f"## {version}", "", "| | |", "|---|---|"]
        # In the order in which they stand in the version's module.
        for change in reversed(list(changes)):
            calls = ", ".join(f"`{operation}`" for operation in sorted(change.operations))
            lines.append(f"| {change.sentence().replace('|', chr(92) + '|')} | {calls} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
