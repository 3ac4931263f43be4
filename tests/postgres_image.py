"""A PostgreSQL image for tests, made from the machine's own package: what `docker build` takes as its context.

The root file system is put together from the files of the package, the libraries that they name, and busybox; nothing
is fetched. `docker build` makes the database in it, so that a container serves at once.
"""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests import busybox

NAME = "postgres"
DATA = "/var/lib/postgresql/data"
#: Debian's id of the user is another one on each machine.
_USER = 999

_DOCKERFILE = """
FROM scratch
ADD root.tar /
ENV PATH={programs}:/usr/sbin:/usr/bin:/sbin:/bin PGDATA={data} PGUSER=postgres
RUN mkdir -p $PGDATA /run/postgresql && chown -R postgres $PGDATA /run/postgresql && chmod 700 $PGDATA
USER postgres
RUN initdb --no-sync --auth=trust -E UTF8 --locale=C >/dev/null && \\
    echo "host all all all trust" >>$PGDATA/pg_hba.conf && \\
    printf "listen_addresses='*'\\nfsync=off\\nshared_buffers=8MB\\nmax_wal_size=64MB\\n" >>$PGDATA/postgresql.conf
VOLUME {data}
EXPOSE 5432
STOPSIGNAL SIGINT
HEALTHCHECK --interval=1s --timeout=5s --retries=30 CMD pg_isready -q -h 127.0.0.1
CMD ["postgres"]
"""


def context() -> bytes:
    """The context of the build: a Dockerfile and the root file system."""
    dockerfile = _DOCKERFILE.format(programs=_programs(), data=DATA)
    return busybox.files({"Dockerfile": dockerfile.encode(), "root.tar": _root()})


def _programs() -> Path:
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))


@cache
def _root() -> bytes:
    programs = _programs()
    version = programs.parent.name
    share = Path("/usr/share/postgresql") / version
    modules = programs.parent / "lib"
    wanted = [programs / name for name in ("postgres", "initdb", "psql", "pg_isready")]
    wanted += [modules / "plpgsql.so", modules / "dict_snowball.so"]
    out = io.BytesIO(busybox.layer())
    # Appended to: what busybox has is there already.
    with tarfile.open(fileobj=out, mode="a", format=tarfile.GNU_FORMAT, dereference=True) as tar:
        for path in [*wanted, *_libraries(wanted)]:
            tar.add(path)
        tar.add(share, filter=_needed)
        _text(tar, "etc/passwd", f"root:x:0:0:root:/root:/bin/sh\npostgres:x:{_USER}:{_USER}::/tmp:/bin/sh\n")
        _text(tar, "etc/group", f"root:x:0:\npostgres:x:{_USER}:\n")
        run = tarfile.TarInfo("var/run")
        run.type, run.linkname = tarfile.SYMTYPE, "/run"
        tar.addfile(run)
        _text(tar, "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
    return out.getvalue()


def _needed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if re.search(r"/(?:extension/(?!plpgsql)|man$|man/)", member.name) else member


def _libraries(programs: Iterable[Path]) -> list[str]:
    listed = subprocess.run(["ldd", *programs], capture_output=True, text=True, timeout=20, check=True).stdout
    found = set(re.findall(r"(?:=>\s+|^\s+)(/\S+)", listed, re.MULTILINE))
    return sorted(found)


def _text(tar: tarfile.TarFile, name: str, content: str) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content.encode()), 0o644
    tar.addfile(member, io.BytesIO(content.encode()))
