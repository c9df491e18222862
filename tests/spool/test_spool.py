"""Breadcrumbs on disk: what is written how, what is claimed by whom, and what is never touched."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from migas import spool as spool_module
from migas.courier import tidy
from migas.courier.recovery import recover
from migas.spool import Spool
from migas.spool.record import Entry, InvalidRecordError, encode, parse
from tests.support.desk import NOBODY
from tests.support.records import claim_old, open_record, plant, put_old, record

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(str(tmp_path / "state"))


def ready(spool: Spool) -> list[str]:
    return [spool.folder("ready", entry.name) for entry in spool.entries()]


def mode(path: str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_folders_are_for_their_user_alone_whatever_the_umask(spool: Spool) -> None:
    before = os.umask(0)
    try:
        spool.put(record())
        path = spool.open(open_record())
    finally:
        os.umask(before)

    assert {mode(spool.folder(name)) for name in ("", "open", "ready", "sending", "aside")} == {
        0o700
    }
    assert {mode(path), mode(ready(spool)[0])} == {0o600}


def test_asking_makes_nothing(spool: Spool) -> None:
    assert not spool.exists()
    assert spool.entries() == []
    assert spool.open_paths() == []
    assert spool.count() == {"open": 0, "ready": 0, "sending": 0, "aside": 0}
    assert not os.path.exists(spool.root)


def test_what_is_written_is_read_back(spool: Spool) -> None:
    written = record(error_desc="ünïcode …")

    spool.put(written)

    assert spool.read(ready(spool)[0]) == written


def test_a_finished_run_has_left_its_open_record_behind(spool: Spool) -> None:
    path = spool.open(open_record())
    end = record()

    spool.finish(path, end)

    assert spool.open_paths() == []
    assert [spool.read(path) for path in ready(spool)] == [end]


def test_a_run_whose_final_record_a_courier_moved_is_finished(spool: Spool) -> None:
    path = spool.open(open_record())
    end = record()
    spool.replace_open(path, end)
    claimed = spool.claim_open(path, end)
    assert claimed is not None
    spool.give_back(claimed)

    spool.finish(path, end)

    sessions = {spool.read(path)["breadcrumb"]["session_id"] for path in ready(spool)}
    assert sessions == {end["breadcrumb"]["session_id"]}


def test_the_oldest_comes_first(spool: Spool) -> None:
    young, old = record(), record()
    spool.put(young)
    put_old(spool, old, 60)

    assert [spool.read(path) for path in ready(spool)] == [old, young]


def test_of_many_couriers_one_gets_a_breadcrumb(spool: Spool) -> None:
    spool.put(record())
    (entry,) = spool.entries()
    claims: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: claims.append(Spool(spool.root).claim(entry.name)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([claim for claim in claims if claim is not None]) == 1


def test_what_is_given_back_has_its_old_name(spool: Spool) -> None:
    spool.put(record())
    before = ready(spool)

    claimed = spool.claim(spool.entries()[0].name)
    assert claimed is not None
    assert ready(spool) == []
    spool.give_back(claimed)

    assert ready(spool) == before


@pytest.mark.parametrize(
    ("age", "goes_back"), [(0, False), (590, False), (610, True), (-5, False), (-86400, True)]
)
def test_a_claim_that_nobody_finishes_goes_back_by_the_time_in_its_name(
    spool: Spool, age: float, goes_back: bool
) -> None:
    claim_old(spool, record(), age)

    tidy.tidy(spool)

    assert bool(ready(spool)) == goes_back
    assert spool.count()["sending"] == (not goes_back)


def test_by_hand_a_dead_couriers_claim_goes_back_at_once(spool: Spool) -> None:
    claim_old(spool, record(), 5, started="1")

    tidy.tidy(spool, by_hand=True)

    assert len(ready(spool)) == 1


def test_by_hand_a_live_couriers_claim_stays(spool: Spool) -> None:
    claim_old(spool, record(), 5)

    tidy.tidy(spool, by_hand=True)

    assert spool.count()["sending"] == 1


def test_by_hand_a_claim_of_another_host_stays(spool: Spool) -> None:
    claim_old(spool, record(), 5, started="1", boot="another")

    tidy.tidy(spool, by_hand=True)

    assert spool.count()["sending"] == 1


def test_a_claimed_announcement_is_not_given_back_for_its_end_may_have_gone(spool: Spool) -> None:
    claim_old(spool, record(status="R"), 700)

    tidy.tidy(spool)

    assert spool.count() == {"open": 0, "ready": 0, "sending": 0, "aside": 0}


def test_an_announcement_that_nobody_sent_in_time_is_dropped(spool: Spool) -> None:
    put_old(spool, record(status="R"), 700)
    put_old(spool, record(status="R"), 60)

    tidy.tidy(spool)

    assert len(ready(spool)) == 1


def test_a_breadcrumb_without_a_session_announces_nothing_and_is_kept(spool: Spool) -> None:
    put_old(spool, record(status="R", session_id=None), 700)

    tidy.tidy(spool)

    assert len(ready(spool)) == 1


def test_too_many_files_cost_the_oldest_and_are_counted(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MAX_FILES", 5)
    monkeypatch.setattr(spool_module, "_TRIM_SLACK", 0)  # one write in so many trims
    for age in range(8):
        put_old(spool, record(status_desc=f"{age}"), age * 10)

    spool.trim()

    kept = [spool.read(path)["breadcrumb"]["status_desc"] for path in ready(spool)]
    assert kept == ["4", "3", "2", "1", "0"]
    assert spool.dropped() == {"over the caps": 3}


def test_too_many_bytes_cost_the_oldest(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "MAX_BYTES", 3000)
    monkeypatch.setattr(spool_module, "_TRIM_SLACK", 0)  # one write in so many trims
    for age in range(4):
        put_old(spool, record(error_desc="x" * 1000), age * 10)

    spool.trim()
    assert len(ready(spool)) == 2


def test_what_is_older_than_thirty_days_goes_when_that_was_so_a_day_ago(spool: Spool) -> None:
    put_old(spool, record(), 31 * 24 * 3600)
    put_old(spool, record(), 29 * 24 * 3600)
    os.utime(ready(spool)[0], (0, 0))
    # By a clock that is set ahead all is old, whichever program looks how often.
    for _ in range(3):
        tidy.tidy(spool)
    assert len(ready(spool)) == 2

    Path(spool.folder("old")).write_text(str(time.time() - 25 * 3600))
    tidy.tidy(spool)
    assert len(ready(spool)) == 1
    assert spool.dropped() == {"too old": 1}


@pytest.mark.parametrize("seen", ["nonsense", "nan", "1e20", ""])
def test_a_note_of_what_is_old_that_makes_no_sense_is_written_anew(spool: Spool, seen: str) -> None:
    put_old(spool, record(), 31 * 24 * 3600)
    Path(spool.folder("old")).write_text(seen)
    assert spool.trim() == 0
    assert abs(float(Path(spool.folder("old")).read_text()) - time.time()) < 3600


def test_a_clock_that_is_set_right_again_is_forgotten(spool: Spool) -> None:
    spool.put(record())
    Path(spool.folder("old")).write_text(str(time.time() + 40 * 24 * 3600))
    spool.trim()
    assert not Path(spool.folder("old")).exists()


def test_open_records_count_but_go_last(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "MAX_FILES", 3)
    monkeypatch.setattr(spool_module, "_TRIM_SLACK", 0)  # one write in so many trims
    opened = [spool.open(open_record()) for _ in range(2)]
    spool.put(record())
    spool.put(record())

    spool.trim()
    assert len(ready(spool)) == 1
    assert spool.open_paths() == sorted(opened)
    monkeypatch.setattr(spool_module, "MAX_FILES", 1)
    spool.trim()
    assert len(spool.open_paths()) == 1
    assert ready(spool) == []


def test_a_writer_keeps_the_caps_and_lists_only_now_and_then(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MAX_FILES", 1200)
    for _ in range(1300):
        spool.put(record())

    # 1,100 writes without a listing have a probability of 3e-8.
    assert len(ready(spool)) <= 1200
    assert len(ready(spool)) + spool.dropped()["over the caps"] == 1300


def test_a_full_spool_is_trimmed_now_and_then(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MAX_FILES", 200)
    monkeypatch.setattr(spool_module, "_TRIM_SLACK", 50)
    monkeypatch.setattr(spool_module, "_TRIM_CHANCE", 1)
    for _ in range(300):
        spool.put(record())
    # Each trim is a line.
    assert len(Path(spool.folder("dropped")).read_text().splitlines()) <= 4


def test_a_symbolic_link_is_not_followed(spool: Spool, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(encode(record()))
    secret.chmod(0o600)
    spool.prepare()
    link = spool.folder("ready", Entry.name_for(record(), 100))
    os.symlink(secret, link)

    with pytest.raises(InvalidRecordError):
        spool.read(link)


def test_a_fifo_does_not_make_a_reader_wait(spool: Spool) -> None:
    spool.prepare()
    path = spool.folder("ready", Entry.name_for(record(), 100))
    os.mkfifo(path, 0o600)

    with pytest.raises(InvalidRecordError):
        spool.read(path)


def test_a_file_that_others_may_write_is_not_read(spool: Spool) -> None:
    spool.put(record())
    (path,) = ready(spool)
    os.chmod(path, 0o620)

    with pytest.raises(InvalidRecordError):
        spool.read(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root's twin is the test below")
def test_a_file_of_root_is_not_an_ordinary_users(spool: Spool) -> None:
    with pytest.raises(InvalidRecordError, match="not a private file"):
        spool.read("/etc/passwd")


def test_the_systems_temporary_folder_is_not_used() -> None:
    with pytest.raises(PermissionError):
        Spool("/tmp").put(record())


@needs_root
def test_a_file_of_another_user_is_not_read(spool: Spool) -> None:
    spool.put(record())
    (path,) = ready(spool)
    os.chown(path, NOBODY, NOBODY)

    with pytest.raises(InvalidRecordError):
        spool.read(path)


def test_a_huge_file_is_not_read(spool: Spool) -> None:
    path = plant(spool, Entry.name_for(record(), 100), encode(record()) + b" " * 20_000)

    with pytest.raises(InvalidRecordError):
        spool.read(path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"endpoint": "http://x"}',
        b'{"endpoint": 7, "breadcrumb": {"project": "a/b"}}',
        b'{"endpoint": "file:///etc/passwd", "breadcrumb": {"project": "a/b"}}',
        b'{"endpoint": "http://x", "breadcrumb": 7}',
        b'{"endpoint": "http://x", "breadcrumb": {}}',
        b'{"endpoint": "http://x", "breadcrumb": {"project": "a/b"}, "process": {"pid": 7}}',
        b'{"endpoint": "http://x", "breadcrumb": {"project": "a/b"}, "process": 7}',
        b'{"endpoint": "http://x", "breadcrumb": {"project": "a/b"}, "not_before": "soon"}',
        b'{"endpoint": "http://x", "breadcrumb": {"project": "a/b"}, "oom_kills": 7}',
        b"[" * 10_000,
        b'{"a":' * 3_000,
        b"\xff\xfe",
        b"1" * 10_000,
    ],
)
def test_a_text_that_holds_no_breadcrumb_is_no_record(text: bytes) -> None:
    with pytest.raises(InvalidRecordError):
        parse(text)


def test_a_planted_breadcrumb_is_repaired_like_any_other() -> None:
    text = (
        b'{"endpoint": "http://x", "extra": 1, "breadcrumb": {"project": "a/b", "status": "X", '
        b'"session_id": "no uuid", "error_desc": "a\\ud800b\\u0000c", "unknown": "field"}}'
    )

    assert parse(text) == {
        "endpoint": "http://x",
        "breadcrumb": {"project": "a/b", "error_desc": "a\ufffdb\ufffdc"},
    }


def test_what_is_not_ours_is_set_aside_and_counted(spool: Spool) -> None:
    plant(spool, "notes.txt")
    plant(spool, "1-2-3.json")
    os.mkdir(spool.folder("ready", "folder"))
    with open(spool.folder("open", "something.json"), "w") as file:
        file.write("{}")
    with open(spool.folder("sending", "else"), "w") as file:
        file.write("{}")

    tidy.tidy(spool)

    assert spool.count() == {"open": 0, "ready": 0, "sending": 0, "aside": 5}
    assert spool.dropped() == {"set aside": 5}


def test_a_draft_whose_writer_died_goes_after_an_hour(spool: Spool) -> None:
    fresh, stale = plant(spool, ".1"), plant(spool, ".2")
    os.utime(stale, (time.time() - 4000, time.time() - 4000))

    tidy.tidy(spool)

    assert os.path.exists(fresh)
    assert not os.path.exists(stale)


@pytest.mark.parametrize("bits", [0o777, 0o770, 0o722])
def test_a_root_in_which_others_may_write_is_not_used(spool: Spool, bits: int) -> None:
    os.mkdir(spool.root)
    os.chmod(spool.root, bits)

    with pytest.raises(PermissionError):
        spool.put(record())
    assert os.listdir(spool.root) == []


def test_a_root_that_is_a_link_is_not_used(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    os.symlink(tmp_path / "elsewhere", spool.root)

    with pytest.raises(PermissionError):
        spool.put(record())
    assert os.listdir(tmp_path / "elsewhere") == []


@needs_root
def test_a_root_of_another_user_is_not_used(spool: Spool) -> None:
    os.mkdir(spool.root, 0o700)
    os.chown(spool.root, NOBODY, NOBODY)

    with pytest.raises(PermissionError):
        spool.put(record())


@pytest.mark.parametrize("name", ["open", "ready", "sending", "aside", "marks"])
def test_a_folder_in_which_others_may_write_is_set_aside_with_all_in_it(
    spool: Spool, name: str
) -> None:
    spool.prepare()
    planted = os.path.join(spool.folder(name), Entry.name_for(record(), 100))
    with open(planted, "wb") as file:
        file.write(encode(record()))
    os.chmod(spool.folder(name), 0o777)

    again = Spool(spool.root)
    again.put(record())

    assert mode(spool.folder(name)) == 0o700
    assert len(again.entries()) == 1
    assert len([one for one in os.listdir(spool.root) if one.startswith(f"{name}.aside")]) == 1


def test_a_folder_that_is_a_link_is_set_aside(spool: Spool, tmp_path: Path) -> None:
    spool.prepare()
    os.rmdir(spool.folder("ready"))
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", spool.folder("ready"))

    again = Spool(spool.root)
    again.put(record())

    assert os.listdir(tmp_path / "elsewhere") == []
    assert len(again.entries()) == 1


def test_a_state_folder_that_was_cleaned_away_is_made_again(spool: Spool) -> None:
    path = spool.open(open_record())
    import shutil

    shutil.rmtree(spool.root)
    end = record()
    spool.finish(path, end)

    assert [spool.read(path) for path in ready(spool)] == [end]


def test_a_record_is_plain_json_for_whoever_looks(spool: Spool) -> None:
    made = record()
    spool.put(made)

    assert json.loads(Path(ready(spool)[0]).read_text()) == made


def test_nothing_stays_for_more_than_thirty_days_but_live_runs(spool: Spool) -> None:
    running = spool.open(open_record())
    for name in ("ready", "marks", "aside"):
        spool.prepare()
        os.chmod(spool.folder(name), 0o777)
        os.rename(spool.folder(name), spool.folder(f"{name}.aside-0123abcd"))
        with open(spool.folder(f"{name}.aside-0123abcd", "left"), "wb"):
            pass
    for name in (
        "servers.json",
        "releases.json",
        "dropped",
        "looked",
        "servers.json.0123456789abcdef",
    ):
        with open(spool.folder(name), "wb"):
            pass
    foreign = spool.folder("notes.txt")
    with open(foreign, "wb"):
        pass
    long_ago = time.time() - 31 * 24 * 3600
    for folder, _below, names in os.walk(spool.root):
        for name in names:
            os.utime(os.path.join(folder, name), (long_ago, long_ago))

    tidy.tidy(spool)

    left = {os.path.join(at, name) for at, _below, names in os.walk(spool.root) for name in names}
    assert left == {running, foreign}
    assert not [name for name in os.listdir(spool.root) if "aside-" in name]


def test_what_is_young_stays(spool: Spool) -> None:
    spool.prepare()
    young = [spool.folder(name) for name in ("servers.json", "servers.json.0123456789abcdef")]
    for path in young:
        with open(path, "wb"):
            pass
    tidy.tidy(spool)
    assert all(map(os.path.exists, young))


def test_a_record_that_finds_no_space_when_it_is_closed_is_not_there(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = os.close

    def full(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    spool.prepare()
    with monkeypatch.context() as patched:
        patched.setattr(os, "close", full)
        with pytest.raises(OSError, match="quota"):
            spool.open(open_record())
    assert spool.count() == {"open": 0, "ready": 0, "sending": 0, "aside": 0}


def test_an_empty_record_that_cannot_be_removed_keeps_nobody_from_sending(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], check=True, stdout=subprocess.PIPE
    )
    empty = Path(spool.open(open_record(pid=int(gone.stdout))))
    os.truncate(empty, 0)

    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        assert recover(spool) == 0
    assert empty.exists()
    assert recover(spool) == 0
    assert not empty.exists()
    assert spool.count() == {"open": 0, "ready": 0, "sending": 0, "aside": 0}
