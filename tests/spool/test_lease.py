"""One courier at a time: who gets the lease, and from whom it may be taken."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from migas.spool.lease import LEASE_SECONDS, WRITING_SECONDS, Lease
from tests.support.desk import ROOT


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path)


def age(root: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(os.path.join(root, "lease"), (then, then))


def test_the_second_one_does_not_get_it(root: str) -> None:
    first, second = Lease(root), Lease(root)

    assert first.acquire()
    assert not second.acquire()
    assert second.is_held()


def test_it_is_free_after_its_release(root: str) -> None:
    first, second = Lease(root), Lease(root)
    first.acquire()
    first.release()

    assert not second.is_held()
    assert second.acquire()


def test_a_dead_holder_has_lost_it_at_once(root: str) -> None:
    code = f"from migas.spool.lease import Lease; assert Lease({root!r}).acquire()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)

    assert Lease(root).acquire()


def test_a_live_holder_keeps_it_however_silent(root: str) -> None:
    Lease(root).acquire()
    age(root, 10 * LEASE_SECONDS)

    assert not Lease(root).acquire()


@pytest.mark.parametrize(
    ("seconds", "free"), [(10, False), (-10, False), (100, True), (-100, True)]
)
def test_another_hosts_holder_loses_it_by_silence(root: str, seconds: float, free: bool) -> None:
    lease = Path(root, "lease")
    lease.write_text("1\n2\nanother boot\npid:[1]\nx")
    lease.chmod(0o600)
    age(root, seconds)

    assert Lease(root).acquire() == free


def test_one_that_is_being_written_is_held(root: str) -> None:
    Path(root, "lease").touch(mode=0o600)

    assert not Lease(root).acquire()


@pytest.mark.parametrize("text", ["", "1\n2\n"])
def test_one_whose_writer_died_over_it_is_free_soon(root: str, text: str) -> None:
    lease = Path(root, "lease")
    lease.write_text(text)
    lease.chmod(0o600)
    age(root, WRITING_SECONDS + 1)

    assert Lease(root).acquire()


def test_a_planted_link_is_not_followed(root: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    os.symlink(target, os.path.join(root, "lease"))

    assert not Lease(root).acquire()
    assert not target.exists()


def test_who_lost_it_does_not_release_the_next_ones(root: str) -> None:
    loser, winner = Lease(root), Lease(root)
    loser.acquire()
    os.unlink(os.path.join(root, "lease"))
    winner.acquire()

    loser.release()

    assert not Lease(root).acquire()


def test_where_it_cannot_be_written_work_goes_on(root: str) -> None:
    assert Lease(os.path.join(root, "nowhere")).acquire()
