"""Databases of any age become today's, once, whoever starts first."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from migas.collector.counts.durations import bucket
from migas.collector.counts.filters import Filter
from migas.collector.counts.fingerprint import fingerprint
from migas.collector.counts.numbers import numbers, with_numbers
from migas.collector.counts.rebuild import told_sessions
from migas.collector.counts.sessions import error_name
from migas.collector.counts.slices import RanOn, first_day, profile_of
from migas.collector.counts.visits import number_of_user
from migas.collector.database.engine import engine_url
from migas.collector.database.tables import metadata
from migas.collector.days import Period, block_of, day_of
from migas.collector.errors import CollectorError
from migas.collector.ingestion.timing import Timing
from migas.collector.migrations import migrate
from tests.collector.counts.test_sessions import record, recounted
from tests.collector.counts.test_visits import asked
from tests.collector.databases import make_tables, with_collector
from tests.collector.test_collector import a_crumb
from tests.support.collector import plain_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from migas.collector.collector import Collector
    from tests.collector.databases import Database, Databases

USER = "35ecdd23-f0b6-593a-8d5b-108982c1126d"
OTHER_USER = "7d0a4d3e-2b1c-4a5e-9d63-6b1f0f7f2c44"
RUN = "0c9f5a5e-5a68-4b53-9d3c-3f6dfd8a3f10"
OTHER_RUN = "e0fb8b6c-9b0f-4a3f-8f7e-6d0f0c2f9a11"
ANOTHER_RUN = "5a1f7a1e-2f43-4d0b-8a77-9b5a5d0c1e22"
PROFILE = profile_of(RanOn("linux", "docker", "python", "3.11.7", False), "general").number


def on_connection(database: Database, work: Callable[[Connection], Any]) -> Any:
    """The result of a function of a connection that has no part in migas' own opening."""
    import asyncio

    from sqlalchemy.ext.asyncio import create_async_engine

    async def run() -> Any:
        engine = create_async_engine(engine_url(database.url))
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(run())


# SQLite does not tell of which expression an index is; the next test compares the words.
@pytest.mark.filterwarnings(
    "ignore:Skipped unsupported reflection of expression-based index",
    "ignore:autogenerate skipping metadata-specified expression-based index",
)
def test_the_steps_lead_to_the_tables_of_the_code(database: Database) -> None:
    def differences(connection: Connection) -> Any:
        def is_meant(_object: object, name: str | None, *_: object) -> bool:
            # One that the code has for PostgreSQL alone, which whoever compares does not look at.
            return connection.dialect.name == "postgresql" or name != "ix_daily_errors_long"

        options = {"include_object": is_meant}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    assert on_connection(database, differences) == []


def test_the_steps_lead_to_the_indexes_of_the_code(databases: Databases) -> None:
    """Of SQLite, in its own words, which it keeps for those of some rows, too."""
    told = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
    with databases.fresh("sqlite") as stepped, databases.fresh("sqlite", empty=True) as made:
        on_connection(made, metadata.create_all)
        expected = made.rows(told)
        assert any(" WHERE " in (row["sql"] or "") for row in expected)
        found = [row for row in stepped.rows(told) if row["tbl_name"] != "alembic_version"]
    assert found == expected


def test_the_newest_step_is_the_one_that_is_looked_for() -> None:
    config = Config()
    config.set_main_option("script_location", "migas:collector/migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]


def make_oldest(database: Database) -> None:
    """The tables that the first collectors made, who noted no step, and some rows in them."""

    def make(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", "migas:collector/migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("DROP TABLE alembic_version"))

    on_connection(database, make)
    database.execute("INSERT INTO projects (project, registered) VALUES ('a/b', 5)")
    database.execute("INSERT INTO users VALUES (?, 'general', 'linux', 'docker')", USER)
    for second, status in enumerate("RF"):
        for _ in range(2):  # stored twice, as it was then
            database.execute(
                "INSERT INTO crumbs (project, version, language, language_version, timestamp,"
                " session_id, user_id, status, error_type, is_ci)"
                " VALUES ('a/b', '1.0', 'python', '3.11.7', ?, ?, ?, ?, 'ValueError', false)",
                86400 + second,
                RUN,
                USER,
                status,
            )


def test_an_older_database_is_brought_up_to_date(empty_database: Database) -> None:
    make_oldest(empty_database)
    make_tables(empty_database.url)

    assert empty_database.value("SELECT count(*) FROM crumbs") == 4
    crumb = "SELECT DISTINCT platform, container FROM crumbs"
    assert empty_database.rows(crumb) == [{"platform": "linux", "container": "docker"}]
    session = "SELECT session_id, began, seen, status, platform, user_id FROM sessions"
    row = {"session_id": RUN, "began": 86400, "seen": 86401, "status": "F"}
    assert empty_database.rows(session) == [{**row, "platform": "", "user_id": None}]
    error = error_name(fingerprint("F", "ValueError", None, None) or 0)
    counts = "SELECT kind, day, value, detail, sessions FROM daily ORDER BY kind, value"
    assert [tuple(row.values()) for row in empty_database.rows(counts)] == [
        ("fingerprint", 1, error, "1.0", 1),
        ("fingerprints", 0, error, "", 1),
        ("first seen", 1, "general", "", 1),
        ("last seen", 1, "general", "", 1),
        ("outcome", 1, "1.0", "F", 1),
        ("version errors", 0, "1.0", error, 1),
        ("weekly errors", -3, error, "", 1),
        ("weekly versions", -3, "1.0", error, 1),
    ]
    number = number_of_user(USER)
    profiled = "SELECT profile, user_number FROM sessions"
    assert empty_database.rows(profiled) == [{"profile": PROFILE, "user_number": number}]
    last = "SELECT DISTINCT user_number, last_day FROM error_users"
    assert empty_database.rows(last) == [{"user_number": number, "last_day": 1}]
    seen = "SELECT DISTINCT user_number, start, days, completed, failed FROM visits"
    start = block_of(1)
    bit = 1 << (1 - start)
    ways = {"days": bit, "completed": None, "failed": bit}
    assert empty_database.rows(seen) == [{"user_number": number, "start": start, **ways}]
    assert empty_database.rows("SELECT project, first_day, last_day FROM project_users") == [
        {"project": "a/b", "first_day": 1, "last_day": 1}
    ]


def test_an_upgraded_database_takes_breadcrumbs(empty_database: Database) -> None:
    async def work(collector: Collector) -> None:
        assert await collector.projects.names() == ["a/b"]
        assert await collector.ingestion.record(a_crumb(session_id=RUN, status="C")) is not None

    make_oldest(empty_database)
    with_collector(empty_database.url, work)
    assert empty_database.value("SELECT status FROM sessions") == "C"


def make_step(database: Database, step: str) -> None:
    """The tables as they were after a step."""

    def make(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", "migas:collector/migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, step)

    on_connection(database, make)


def make_previous(database: Database) -> None:
    """The tables of the step before the newest, with what a collector of that step wrote."""
    make_step(database, "0006")
    database.execute("INSERT INTO projects (project, registered) VALUES ('a/b', 5)")
    database.execute("INSERT INTO users VALUES (?, 'general', 'linux', 'docker')", USER)
    write_as_before(database, RUN, 7)


def write_as_before(database: Database, session: str, day: int, user: str = USER) -> None:
    """A breadcrumb, its session and its counts, in the statements of that step."""
    database.execute(
        "INSERT INTO crumbs (project, version, language, language_version, timestamp, session_id,"
        " user_id, status, is_ci, platform, container, digest)"
        " VALUES ('a/b', '1.0', 'python', '3.11.7', ?, ?, ?, 'C', false, 'linux', 'docker', 5)",
        day * 86400,
        session,
        user,
    )
    database.execute(
        "INSERT INTO sessions (session_id, project, began, seen, last_idx, version, status,"
        " language, language_version, platform, container, is_ci, user_id)"
        " SELECT session_id, project, timestamp, timestamp, idx, version, status, language,"
        " language_version, platform, container, is_ci, user_id FROM crumbs WHERE session_id = ?",
        session,
    )
    for kind, value, detail in (
        ("ci", "no", ""),
        ("container", "docker", ""),
        ("language", "python 3.11", ""),
        ("outcome", "1.0", "C"),
        ("platform", "linux", ""),
    ):
        database.execute(
            "INSERT INTO daily VALUES ('a/b', ?, ?, ?, ?, 3, 1, 0)", kind, day, value, detail
        )
    ran_on = ("linux", "docker", "python 3.11", "no", "general")
    database.execute(
        "INSERT INTO profiles VALUES ('a/b', ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        PROFILE,
        *ran_on,
    )
    for span, first in ((1, day), (7, first_day(day, 7))):
        database.execute(
            "INSERT INTO slices (project, span, day, version, profile, shard, completed, failed,"
            " suspended, running) VALUES ('a/b', ?, ?, '1.0', ?, 3, 1, 0, 0, 0)"
            " ON CONFLICT (project, span, day, version, profile, shard)"
            " DO UPDATE SET completed = slices.completed + excluded.completed",
            span,
            first,
            PROFILE,
        )
    database.execute(
        "INSERT INTO project_users (user_id, project, first_day, last_day)"
        " VALUES (?, 'a/b', ?, ?) ON CONFLICT (user_id, project)"
        " DO UPDATE SET last_day = excluded.last_day",
        user,
        day,
        day,
    )


def test_the_previous_collector_goes_on_writing_where_the_newest_has_been(
    empty_database: Database,
) -> None:
    make_previous(empty_database)
    counts = (
        "SELECT project, kind, day, value, detail, sum(sessions) AS n FROM daily"
        " GROUP BY project, kind, day, value, detail ORDER BY kind, day"
    )
    before = empty_database.rows(counts)
    make_tables(empty_database.url)

    kept = [row for row in empty_database.rows(counts) if "seen" not in row["kind"]]
    assert kept == [row for row in before if row["kind"] == "outcome"]
    filled = "SELECT sum(completed) FROM slices WHERE span = "
    sums = [int(empty_database.value(f"{filled}{n}")) for n in (1, 7, 56, -1, -7, -56)]
    assert sums == [2, 2, 2, 1, 1, 1]
    assert empty_database.value("SELECT DISTINCT days FROM visits") == 1 << (7 - block_of(7))
    assert empty_database.rows("SELECT platform, language, ci, user_type FROM profiles") == [
        {"platform": "linux", "language": "python 3.11", "ci": "no", "user_type": "general"}
    ]

    write_as_before(empty_database, OTHER_RUN, 8)
    end = a_crumb(session_id=OTHER_RUN, status="F", user_id=USER).timed(Timing(86400, 2.5))
    record(empty_database, end, clock=lambda: 12 * 86400)
    days = "SELECT day, detail, sum(sessions) AS n FROM daily WHERE kind = 'outcome'"
    found = empty_database.rows(f"{days} GROUP BY day, detail HAVING sum(sessions) > 0 ORDER BY 1")
    assert [tuple(map(str, row.values())) for row in found] == [("7", "C", "1"), ("11", "F", "1")]
    # It counts four kinds that are no more, and not on which of two days its user was last seen.
    # It notes no profile: so nothing is taken from slices, where it counts a day and a week.
    wrong = recounted(empty_database)
    assert (wrong.wrong_sessions, wrong.wrong_users, wrong.wrong_counts) == (0, 0, 4 + 2 + 2)
    assert recounted(empty_database).none


def test_daily_counts_are_the_same_in_the_order_of_their_key(empty_database: Database) -> None:
    make_step(empty_database, "0007")
    counts = "SELECT * FROM daily ORDER BY kind, day, value, detail, shard"
    for number in range(50):
        empty_database.execute(
            "INSERT INTO daily VALUES ('a/b', ?, ?, ?, ?, ?, ?, 0)",
            "fingerprint" if number % 2 else "outcome",
            number % 7,
            f"{number % 3:016x}",
            f"1.{number % 11}",
            number,
            number - 20,
        )
    before = empty_database.rows(counts)
    make_step(empty_database, "0008")
    assert len(before) == 50
    assert empty_database.rows(counts) == before
    if not empty_database.is_postgresql:
        with pytest.raises(Exception, match="no such column: rowid"):
            empty_database.rows("SELECT rowid FROM daily")


def test_durations_get_their_profiles(empty_database: Database) -> None:
    make_step(empty_database, "0014")
    empty_database.execute("INSERT INTO projects (project, registered) VALUES ('a/b', 5)")
    empty_database.execute("INSERT INTO users VALUES (?, 'general', 'linux', 'docker')", USER)
    empty_database.execute(
        "INSERT INTO crumbs (project, version, language, language_version, timestamp, session_id,"
        " user_id, status, is_ci, platform, container, digest, ended, duration)"
        " VALUES ('a/b', '1.0', 'python', '3.11.7', ?, ?, ?, 'C', ?, 'linux', 'docker', 5, ?, 9)",
        9 * 86400,
        RUN,
        USER,
        False,
        8 * 86400,
    )
    empty_database.execute("INSERT INTO durations VALUES ('a/b', 7, 4, '1.0', ?, 0, 1)", bucket(9))
    make_tables(empty_database.url)

    found = empty_database.rows("SELECT * FROM durations ORDER BY version")
    assert [tuple(row.values()) for row in found] == [
        ("a/b", version, 8, PROFILE, bucket(9), 0, 1) for version in ("", "1.0")
    ]


def test_sessions_get_their_profiles_and_errors_their_weeks(empty_database: Database) -> None:
    """Also those that a collector of the step before has written since, with the next rebuild."""
    make_step(empty_database, "0008")
    empty_database.execute("INSERT INTO projects (project, registered) VALUES ('a/b', 5)")
    empty_database.execute("INSERT INTO users VALUES (?, 'general', 'linux', 'docker')", USER)
    write_as_before(empty_database, RUN, 7)
    empty_database.execute("UPDATE crumbs SET status = 'F', error_type = 'ValueError'")
    make_tables(empty_database.url)

    profiles = "SELECT session_id, profile FROM sessions"
    assert empty_database.rows(profiles) == [{"session_id": RUN, "profile": PROFILE}]
    error = error_name(fingerprint("F", "ValueError", None, None) or 0)
    weeks = "SELECT kind, day, value, detail, sessions FROM daily WHERE kind LIKE 'weekly%'"
    assert sorted(tuple(row.values()) for row in empty_database.rows(weeks)) == [
        ("weekly errors", first_day(7, 7), error, "", 1),
        ("weekly versions", first_day(7, 7), "1.0", error, 1),
    ]

    write_as_before(empty_database, OTHER_RUN, 8)
    found = {row["session_id"]: row["profile"] for row in empty_database.rows(profiles)}
    assert found == {RUN: PROFILE, OTHER_RUN: None}
    # What was never counted in weeks is not taken back from them.
    empty_database.execute(
        "UPDATE sessions SET status = 'F', error_type = 'ValueError', fingerprint = 7"
        " WHERE session_id = ?",
        OTHER_RUN,
    )
    end = a_crumb(session_id=OTHER_RUN, status="S", user_id=USER)
    record(empty_database, end, clock=lambda: 8 * 86400 + 5)
    below = "SELECT DISTINCT kind FROM daily WHERE sessions < 0 AND kind LIKE 'weekly%'"
    assert empty_database.rows(below) == []
    write_as_before(empty_database, ANOTHER_RUN, 9)
    assert recounted(empty_database).wrong_sessions == 1
    found = {row["session_id"]: row["profile"] for row in empty_database.rows(profiles)}
    assert found[RUN] == found[ANOTHER_RUN] == PROFILE
    assert None not in found.values()


def test_users_are_counted_by_their_days_once_an_older_collector_is_gone(
    empty_database: Database,
) -> None:
    """Those that it has noted since with the next rebuild, and no figure is below 0 until then."""
    make_step(empty_database, "0009")
    empty_database.execute("INSERT INTO projects (project, registered) VALUES ('a/b', 5)")
    empty_database.execute("INSERT INTO users VALUES (?, 'dev', 'linux', 'docker')", USER)
    write_as_before(empty_database, RUN, 7)
    make_tables(empty_database.url)
    counts = (
        "SELECT kind, day, value, detail, sum(sessions) FROM daily WHERE kind LIKE '% seen'"
        " GROUP BY kind, day, value, detail HAVING sum(sessions) <> 0 ORDER BY kind, day"
    )

    def counted() -> list[tuple[object, ...]]:
        return [tuple(row.values()) for row in empty_database.rows(counts)]

    assert counted() == [("first seen", 7, "dev", "", 1), ("last seen", 7, "dev", "", 1)]

    empty_database.execute("INSERT INTO users VALUES (?, 'ci', 'linux', 'docker')", OTHER_USER)
    write_as_before(empty_database, OTHER_RUN, 30, OTHER_USER)
    late = a_crumb(session_id=ANOTHER_RUN, user_id=OTHER_USER, status="C")
    record(empty_database, late.timed(Timing(5 * 86400, 1)), clock=lambda: 33 * 86400)
    assert counted() == [
        ("first seen", 7, "dev", "", 1),
        ("first seen", 28, "ci", "", 1),
        ("first seen", 30, "ci", "", -1),
        ("last seen", 7, "dev", "", 1),
    ]
    then = Period(day_of(30), day_of(31))
    assert asked(empty_database, "users", then) == (0, 0, {}, 0)
    assert {new for _, new, _ in asked(empty_database, "users_over_time", then).values()} == {0}

    recounted(empty_database)
    assert counted() == [
        ("first seen", 7, "dev", "", 1),
        ("first seen", 28, "ci", "", 1),
        ("last seen", 7, "dev", "", 1),
        ("last seen", 30, "ci", "", 1),
    ]
    assert asked(empty_database, "users", then) == (1, 0, {"ci": 1}, 0)


def test_a_user_whom_an_older_collector_noted_is_known_by_number_with_the_next_breadcrumb(
    empty_database: Database,
) -> None:
    """Also on a day on which that one has seen them: days taken back are looked for by number."""
    make_previous(empty_database)
    make_tables(empty_database.url)
    empty_database.execute("INSERT INTO users VALUES (?, 'general', 'linux', '-')", OTHER_USER)
    write_as_before(empty_database, OTHER_RUN, 8, OTHER_USER)
    crumb = a_crumb(project_version="1.0", session_id=ANOTHER_RUN, user_id=OTHER_USER)
    for status in "CF":
        record(empty_database, crumb._replace(status=status), clock=lambda: 8 * 86400 + 5)
    numbers = "SELECT user_id, user_number FROM project_users ORDER BY user_id"
    assert empty_database.rows(numbers) == [
        {"user_id": user, "user_number": number_of_user(user)} for user in (USER, OTHER_USER)
    ]
    then = Period(day_of(8), day_of(8))
    ways = {outcome: Filter(outcome=outcome, version="1.0") for outcome in ("completed", "failed")}
    found = {name: asked(empty_database, "users", then, only).active for name, only in ways.items()}
    assert found == {"completed": 0, "failed": 1}


def test_a_rebuild_finds_numbers_by_their_keys(databases: Databases) -> None:
    """Strangers name platforms: to read all that there are for each session would take hours."""

    def plan(connection: Connection) -> list[str]:
        with numbers(connection) as by:
            query = with_numbers(told_sessions("sqlite"), by)
            compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")
            return [row.detail for row in rows]

    with databases.fresh("sqlite") as database:
        steps = [step for step in on_connection(database, plan) if "numbered_" in step]
    assert len(steps) == 2
    for step in steps:
        assert step.startswith(("SEARCH numbered_profiles USING ", "SEARCH numbered_users USING "))


def test_an_upgrade_waits_for_who_writes_breadcrumbs_before_it_locks_anything_else(
    databases: Databases,
) -> None:
    """A collector writes breadcrumbs first and counts last: in another order both would wait."""

    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE NOT granted AND datname = current_database()"
    )

    async def scenario(url: str) -> None:
        writer = await asyncpg.connect(url)
        upgrading = None
        try:
            async with writer.transaction():
                await writer.execute("SET LOCAL lock_timeout = '20s'")
                await writer.execute("LOCK TABLE crumbs IN ROW EXCLUSIVE MODE")
                upgrading = asyncio.create_task(asyncio.to_thread(make_tables, url))
                while not await writer.fetchval(waiting):  # noqa: ASYNC110  nobody tells
                    await asyncio.sleep(0.02)
                for table in ("users", "sessions", "daily"):
                    await writer.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
        finally:
            await writer.close()
            if upgrading is not None:
                await upgrading

    with databases.fresh("postgresql", empty=True) as database:
        make_step(database, "0009")
        asyncio.run(asyncio.wait_for(scenario(database.url), 60))
        step = database.value("SELECT version_num FROM alembic_version")
        assert step == migrate.HEAD


def make_tables_at_once(url: str) -> None:
    """Have three processes bring a database up to date at the same time."""
    script = (
        "import sys; from tests.collector.databases import make_tables; make_tables(sys.argv[1])"
    )
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", script, url], stderr=subprocess.PIPE, env=plain_environment()
        )
        for _ in range(3)
    ]
    for process in starting:
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, b"")


@pytest.mark.slow
def test_several_processes_may_start_at_once(empty_database: Database) -> None:
    make_oldest(empty_database)
    make_tables_at_once(empty_database.url)
    assert empty_database.value("SELECT sum(sessions) FROM daily WHERE kind = 'outcome'") == 1


def test_a_step_that_fails_leaves_everything_as_it_was(empty_database: Database) -> None:
    make_oldest(empty_database)
    empty_database.execute("CREATE TABLE tokens (name text)")  # in the way of ours
    with pytest.raises(CollectorError, match="tokens"):
        make_tables(empty_database.url)

    empty_database.execute("DROP TABLE tokens")
    assert "platform" not in empty_database.rows("SELECT * FROM crumbs")[0]
    make_tables(empty_database.url)
    assert empty_database.value("SELECT count(*) FROM sessions") == 1


def test_a_database_of_a_newer_migas_is_left_alone(database: Database) -> None:
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CollectorError, match="a newer migas made it"):
        make_tables(database.url)
    assert database.value("SELECT version_num FROM alembic_version") == "9999"
