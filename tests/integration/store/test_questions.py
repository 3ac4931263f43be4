"""The questions of `deploy/SCHEMA.md`, as they stand there, asked of 100,000 containers; each answer is known from how
the rows were made. No question reads a big table from end to end."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.store.session import Store
from tests import machine
from tests.integration.store.plans import explained
from tests.seed import Seeded

PAGE = (machine.ROOT / "deploy" / "SCHEMA.md").read_text()

Rows = list[dict[str, Any]]
#: Seconds of a processor that an answer may take.
PATIENCE = 1.0

# The rows are made for the first test: on a busy machine that takes its time.
pytestmark = pytest.mark.timeout(400)


def asked() -> list[tuple[str, str]]:
    """(heading, statement) of each question on the page."""
    found = []
    for part in re.split(r"^### ", PAGE.partition("## Questions")[2].partition("\n## ")[0], flags=re.MULTILINE)[1:]:
        heading = part.partition("\n")[0]
        found += [(heading, statement) for statement in re.findall(r"```sql\n(.*?)```", part, re.DOTALL)]
    return found


def numbers(seeded: Seeded, fits: Callable[[int], bool]) -> list[int]:
    """Of containers, the newest first."""
    return [i for i in range(1, seeded.containers + 1) if fits(i)]


def owner(seeded: Seeded, i: int) -> str:
    return f"account{0 if i > seeded.containers // 20 * 19 else i % seeded.accounts}"


# --- what each question must find ------------------------------------------------------------------------------------


def of_an_account(rows: Rows, seeded: Seeded) -> None:
    newest = numbers(seeded, lambda i: owner(seeded, i) == "account7")[: len(rows)]
    assert [row["name"] for row in rows] == [f"c{i}" for i in newest]
    assert {row["node"] for row in rows} == {f"node{i % seeded.nodes}" for i in newest}


def of_a_node(rows: Rows, seeded: Seeded) -> None:
    wanted = numbers(seeded, lambda i: i % seeded.nodes == 3 and i % 5000 == 3)
    assert {(row["account"], row["name"]) for row in rows} == {(owner(seeded, i), f"c{i}") for i in wanted}


def by_id(rows: Rows, seeded: Seeded) -> None:
    assert 0 < len(rows) < 20
    assert all(row["account"] == owner(seeded, int(row["name"][1:])) for row in rows)


def by_name(rows: Rows, seeded: Seeded) -> None:
    assert [(row["account"], row["name"], row["node"]) for row in rows] == [("account242", "c4242", "node42")]


def changes(rows: Rows, seeded: Seeded) -> None:
    times = [row["at"] for row in rows]
    assert times == sorted(times, reverse=True) and min(times) > datetime.now(UTC) - timedelta(hours=1)
    assert {row["source"] for row in rows} == {"api", "engine"}


def changes_by_whom(rows: Rows, seeded: Seeded) -> None:
    # 450 requests of the last hour are of 450 accounts, 2 changes are an operator's; 4 requests were refused.
    assert rows[0] == {"by": "ann@ops", "what": "account.quota", "count": 2}
    assert all(row["count"] == 1 and row["what"] == "containers.start" for row in rows[1:])


def happened(rows: Rows, seeded: Seeded) -> None:
    assert [(row["action"], row["name"], row["image"]) for row in rows] == [("start", "c14042", "image2042")]


def full(rows: Rows, seeded: Seeded) -> None:
    assert (rows[0]["node"], rows[0]["containers"]) == ("node3", seeded.containers // seeded.nodes)
    assert float(rows[0]["memory_percent"]) == 96.0 and float(rows[1]["memory_percent"]) == 24.0


def near(rows: Rows, seeded: Seeded) -> None:
    assert [(row["account"], row["percent"]) for row in rows] == [(f"account{i}", 95) for i in (0, 7, 70)]


def restarts(rows: Rows, seeded: Seeded) -> None:
    most = numbers(seeded, lambda i: i % 500 == 3 and i // 500 % 40 == 39)
    assert all(row["restart_count"] == 40 and int(row["name"][1:]) in most for row in rows)


def big(rows: Rows, seeded: Seeded) -> None:
    sizes = [f"{(seeded.images - n) * 1_000_000 / (1 << 20):.0f} MB" for n in range(1, len(rows) + 1)]
    assert [row["size"] for row in rows] == sizes
    assert all(row["name"].startswith("docker.io/library/") and row["accounts"] == 1 for row in rows)


def unused_images(rows: Rows, seeded: Seeded) -> None:
    assert [row["accounts"] for row in rows] == [1] * len(rows) != []


def most_used(rows: Rows, seeded: Seeded) -> None:
    assert [row["containers"] for row in rows] == [seeded.containers // seeded.used_images] * len(rows)


def unused_volumes(rows: Rows, seeded: Seeded) -> None:
    idle = numbers(seeded, lambda i: i % 1000 == 999)[::-1][: len(rows)]
    assert [(row["account"], row["name"]) for row in rows] == [(owner(seeded, i), f"data{i}") for i in idle]


def networks(rows: Rows, seeded: Seeded) -> None:
    (row,) = rows
    assert (row["name"], str(row["subnet"]), row["gateway"]) == ("bridge", "10.224.7.0/24", "10.224.7.1")
    assert row["containers"] == row["running"] == len(numbers(seeded, lambda i: owner(seeded, i) == "account7"))


def address(rows: Rows, seeded: Seeded) -> None:
    assert [tuple(row.values()) for row in rows] == [("account7", "bridge", "c42007", "running", "node7")]


def port(rows: Rows, seeded: Seeded) -> None:
    assert [(row["container"], row["container_port"]) for row in rows] == [("c508", 80)]


def unfinished(rows: Rows, seeded: Seeded) -> None:
    oldest = numbers(seeded, lambda i: i % 5000 == 7)[::-1][: len(rows)]
    assert [row["name"] for row in rows] == [f"c{i}" for i in oldest]
    assert all(row["process"].startswith("api host") for row in rows)


def refused(rows: Rows, seeded: Seeded) -> None:
    assert [row["target"] for row in rows] == [f"c{i}" for i in numbers(seeded, lambda i: i % 100 == 9)[: len(rows)]]
    assert {(row["status"], row["reason"], str(row["client"])) for row in rows} == {
        (403, "Forbidden: Privileged", "198.51.100.7")
    }


def refused_most(rows: Rows, seeded: Seeded) -> None:
    assert all(row["sum"] == rows[0]["sum"] > 5 and int(row["account"][7:]) % 100 == 9 for row in rows)


#: In the order of the page.
ANSWERS = {
    "Who owns what, and where does it run?": [of_an_account, of_a_node, by_id, by_name],
    "What changed in the last hour, and by whom?": [changes, changes_by_whom],
    "What happened to a container?": [happened],
    "Which node is full?": [full],
    "Which quota is near?": [near],
    "Which containers restart?": [restarts],
    "Which images are big, and which are used?": [big, unused_images, most_used],
    "Which volumes does nobody use?": [unused_volumes],
    "Which networks and addresses are there?": [networks, address],
    "Who has a published port?": [port],
    "Which operations are unfinished?": [unfinished],
    "Which requests were refused?": [refused, refused_most],
}


def test_every_question_has_its_answer_here() -> None:
    headings = [heading for heading, _ in asked()]
    assert headings == [heading for heading, answers in ANSWERS.items() for _ in answers]


def processor_seconds(pid: int) -> float:
    """What a process has used by now."""
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("number", range(len(asked())), ids=lambda n: f"{n}-{asked()[n][0][:30]}")
def test_a_question(seeded: Seeded, seeded_store: Store, number: int) -> None:
    answers = [answer for some in ANSWERS.values() for answer in some]
    statement = asked()[number][1]
    with seeded_store.autocommit() as tx, explained(tx) as plans:
        server = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
        before = processor_seconds(server)
        rows = [dict(row) for row in tx.execute(text(statement)).mappings()]
        took = processor_seconds(server) - before
    assert rows
    answers[number](rows, seeded)
    assert [tables for tables in plans.values() if tables] == []
    assert took < PATIENCE
