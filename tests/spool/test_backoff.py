"""How long a server is left alone, and who respects it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migas.spool.servers import Backoff

if TYPE_CHECKING:
    from pathlib import Path

    from migas.spool.servers import Failure

SERVER = "http://server"


class Now:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def backoff(tmp_path: Path, now: Now) -> Backoff:
    return Backoff(str(tmp_path), now, lambda: 0.5)


def test_an_unknown_server_may_be_tried(backoff: Backoff) -> None:
    assert backoff.seconds_left(SERVER) == 0


def test_no_route_is_remembered_for_a_minute_doubling_to_an_hour(
    backoff: Backoff, now: Now
) -> None:
    waits = []
    for _ in range(9):
        backoff.failed(SERVER, "no route", "")
        waits.append(backoff.seconds_left(SERVER))
        now.time += waits[-1]

    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert backoff.seconds_left(SERVER) == 0


@pytest.mark.parametrize("kind", ["failed", "timeout"])
def test_other_failures_double_and_are_spread_over_the_whole_of_it(
    backoff: Backoff, now: Now, kind: Failure
) -> None:
    waits = []
    for _ in range(8):
        backoff.failed(SERVER, kind, "")
        waits.append(backoff.seconds_left(SERVER))
        now.time += waits[-1]

    assert waits == [30, 60, 120, 240, 480, 960, 1800, 1800]


def test_the_jitter_is_drawn_anew_each_time(tmp_path: Path) -> None:
    waits = set()
    for index in range(20):
        backoff = Backoff(str(tmp_path / f"{index}"), lambda: 1000.0)
        (tmp_path / f"{index}").mkdir()
        backoff.failed(SERVER, "failed", "")
        waits.add(backoff.seconds_left(SERVER))

    assert len(waits) == 20
    assert all(0 <= wait <= 60 for wait in waits)


def test_silence_is_at_least_a_minute_and_then_spread(backoff: Backoff) -> None:
    backoff.failed(SERVER, "silenced", "")

    assert backoff.seconds_left(SERVER) == 90


def test_by_hand_only_the_asked_silence_counts(backoff: Backoff, now: Now) -> None:
    backoff.failed(SERVER, "no route", "")
    assert backoff.seconds_left(SERVER, by_hand=True) == 0

    backoff.failed(SERVER, "silenced", "")
    assert backoff.seconds_left(SERVER, by_hand=True) == 60

    backoff.failed(SERVER, "timeout", "")
    assert backoff.seconds_left(SERVER, by_hand=True) == 60

    now.time += 60
    assert backoff.seconds_left(SERVER, by_hand=True) == 0


@pytest.mark.parametrize(("asked", "wait"), [(5, 60), (120, 120), (10**9, 3600)])
def test_a_longer_silence_is_kept_when_asked_for_up_to_an_hour(
    backoff: Backoff, asked: float, wait: float
) -> None:
    backoff.failed(SERVER, "silenced", "", asked)

    assert backoff.seconds_left(SERVER, by_hand=True) == wait


def test_a_success_forgets_failures(backoff: Backoff) -> None:
    for _ in range(5):
        backoff.failed(SERVER, "no route", "")
    backoff.succeeded(SERVER)
    assert backoff.seconds_left(SERVER) == 0

    backoff.failed(SERVER, "no route", "")
    assert backoff.seconds_left(SERVER) == 60


def test_servers_are_told_apart(backoff: Backoff) -> None:
    backoff.failed(SERVER, "no route", "")

    assert backoff.seconds_left("http://other") == 0


def test_it_is_read_by_the_next_process(backoff: Backoff, tmp_path: Path, now: Now) -> None:
    backoff.failed(SERVER, "no route", "")

    assert Backoff(str(tmp_path), now).seconds_left(SERVER) == 60


def test_a_clock_that_was_set_back_silences_nobody_for_years(backoff: Backoff, now: Now) -> None:
    backoff.failed(SERVER, "no route", "")
    now.time -= 10_000

    assert backoff.seconds_left(SERVER) == 0


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "7", '{"http://server": 7}', '{"http://server": {"until": "x"}}', "[" * 9999],
)
def test_a_file_that_makes_no_sense_means_nothing(
    backoff: Backoff, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "servers.json"
    path.write_text(text)
    path.chmod(0o600)

    assert backoff.seconds_left(SERVER) == 0
    backoff.failed(SERVER, "no route", "")
    assert backoff.seconds_left(SERVER) == 60


def test_a_file_that_others_may_write_means_nothing(backoff: Backoff, tmp_path: Path) -> None:
    backoff.failed(SERVER, "no route", "")
    (tmp_path / "servers.json").chmod(0o666)

    assert backoff.seconds_left(SERVER) == 0


def test_servers_beyond_a_hundred_are_forgotten(backoff: Backoff) -> None:
    for index in range(150):
        backoff.failed(f"http://{index}", "no route", "")

    assert len(backoff.states()) == 100
    assert backoff.seconds_left("http://149") == 60
