"""The invented year, and `migas demo --serve`, which shows it."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest

from migas.collector.admin import demo_data
from migas.collector.collector import Collector
from migas.collector.counts.rebuild import rebuild
from tests.collector.databases import Database
from tests.collector.pages.two_hundred import NOON
from tests.support.collector import plain_environment

if TYPE_CHECKING:
    from pathlib import Path

    from migas.collector.counts.rebuild import Difference

pytestmark = pytest.mark.slow

COUNT = 3000
SERVE = f"import sys; from migas.cli import demo; sys.exit(demo.serve({COUNT}))"


async def fill(url: str) -> Difference:
    """Fill a database, and count everything once more."""
    async with Collector.open(url, clock=NOON.timestamp) as collector:
        await demo_data.fill(collector, COUNT)
        async with collector.connections.writing() as connection:
            return await connection.run_sync(rebuild)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, Difference]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('year') / 'collector.sqlite'}")
    return database, asyncio.run(fill(database.url))


def test_two_projects_share_as_many_sessions_as_were_asked_for(
    year: tuple[Database, Difference],
) -> None:
    database, counted = year
    rows = database.rows("SELECT project, count(*) AS number FROM sessions GROUP BY project")
    found = {row["project"]: row["number"] for row in rows}
    assert set(found) == {project.name for project in demo_data.PROJECTS}
    assert sum(found.values()) == counted.sessions == pytest.approx(COUNT, rel=0.05)


def test_what_is_counted_equals_the_breadcrumbs(year: tuple[Database, Difference]) -> None:
    _database, counted = year
    assert counted.none


def test_the_sessions_fill_a_year_that_ends_now(year: tuple[Database, Difference]) -> None:
    database, _counted = year
    year_ago = int(NOON.timestamp()) // 86400 * 86400 - 364 * 86400
    ends = "SELECT min(began) AS a, max(began) AS b FROM sessions WHERE began"
    first, last = database.rows(f"{ends} >= ?", year_ago)[0].values()
    assert last <= NOON.timestamp()
    assert 360 <= (last - first) / 86400 <= 365
    first, _last = database.rows(f"{ends} < ?", year_ago)[0].values()
    assert year_ago - first <= 365 * 86400
    few = database.value("SELECT count(*) FROM sessions WHERE began < ?", year_ago)
    assert 0 < few <= demo_data.EARLIER * COUNT * 1.1


def test_over_the_year_more_runs_complete(year: tuple[Database, Difference]) -> None:
    database, _counted = year
    half = NOON.timestamp() - 182 * 86400
    rates = [
        database.value(
            f"SELECT avg(status = 'C') FROM sessions WHERE version != '2.2.0' AND began {side} ?",
            half,
        )
        for side in ("<", ">")
    ]
    assert rates[0] < rates[1]


def test_the_same_seed_and_day_make_the_same_year(
    year: tuple[Database, Difference], tmp_path: Path
) -> None:
    again = Database(f"sqlite:///{tmp_path / 'again.sqlite'}")
    asyncio.run(fill(again.url))
    read = "SELECT * FROM crumbs ORDER BY idx"
    assert again.rows(read) == year[0].rows(read)


def test_the_demonstration_serves_until_it_is_interrupted_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    environment = plain_environment() | {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", SERVE], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            told = [process.stdout.readline() for _ in range(7)]
            for line, what in zip(
                told,
                (
                    "Inventing",
                    "Counting",
                    "Starting the collector",
                    "in another terminal",
                    "export MIGAS_DB=sqlite:///",
                    "leaves nothing behind",
                ),
                strict=False,
            ):
                assert what in line
            assert "3,000 sessions" in told[0]
            found = re.search(r"http://127\.0\.0\.1:\d+", told[6])
            assert found is not None
            with urllib.request.urlopen(f"{found[0]}/p/brainlab/cortiprep") as answer:
                assert b"Completion rate" in answer.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert list(tmp_path.rglob("*")) == []


def test_a_termination_while_the_year_is_invented_leaves_nothing_either(tmp_path: Path) -> None:
    environment = plain_environment() | {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "migas", "demo", "--serve"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert "30,000 sessions" in process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert list(tmp_path.rglob("*")) == []


def test_the_invented_messages_are_as_redacted_as_real_ones() -> None:
    from migas.message.redact import redact

    for project in demo_data.PROJECTS:
        for _type, message in project.errors:
            assert redact(message) == message
