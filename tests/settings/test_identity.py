"""The user id: random, kept once, shared by simultaneous first runs, and left out where it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import pytest

from migas.settings import identity
from tests.support.desk import NOBODY

if TYPE_CHECKING:
    from pathlib import Path

KEPT = "7b3c9b52-3c0e-4f6f-8a53-1d2f9c0f6a11"


def always(_folder: str) -> bool:
    return True


def never(_folder: str) -> bool:
    return False


def test_a_new_id_is_random_and_kept(tmp_path: Path) -> None:
    first = identity.kept_or_new_user_id(str(tmp_path / "one"), persists=always)
    other = identity.kept_or_new_user_id(str(tmp_path / "other"), persists=always)
    assert first == identity.kept_or_new_user_id(str(tmp_path / "one"), persists=always)
    assert first != other
    assert uuid.UUID(first).version == 4


def test_a_kept_id_is_used(tmp_path: Path) -> None:
    tmp_path.joinpath("user_id").write_text(f"  {KEPT.upper()}\n")
    assert identity.kept_or_new_user_id(str(tmp_path), persists=always) == KEPT
    assert identity.kept_or_new_user_id(str(tmp_path), persists=never) == KEPT


def test_an_id_is_private(tmp_path: Path) -> None:
    identity.kept_or_new_user_id(str(tmp_path / "migas"), persists=always)
    assert tmp_path.joinpath("migas").stat().st_mode & 0o777 == 0o700
    assert tmp_path.joinpath("migas/user_id").stat().st_mode & 0o777 == 0o600


def test_where_nothing_persists_there_is_none(tmp_path: Path) -> None:
    assert identity.kept_or_new_user_id(str(tmp_path / "migas"), persists=never) is None
    assert not tmp_path.joinpath("migas").exists()


def test_where_nothing_can_be_written_there_is_none(tmp_path: Path) -> None:
    tmp_path.joinpath("migas").write_text("a file in the folder's place")
    assert identity.kept_or_new_user_id(str(tmp_path / "migas"), persists=always) is None


@pytest.mark.parametrize("text", ["", "nobody", "7b3c9b52-3c0e"])
def test_what_is_no_id_is_not_sent(tmp_path: Path, text: str) -> None:
    tmp_path.joinpath("user_id").write_text(text)
    assert identity.kept_or_new_user_id(str(tmp_path), persists=always) is None


def test_an_id_that_was_made_of_names_is_replaced_by_a_random_one(tmp_path: Path) -> None:
    made_of_names = str(uuid.uuid3(uuid.NAMESPACE_DNS, "ada@cluster.example.org"))
    tmp_path.joinpath("user_id").write_text(made_of_names)
    assert identity.kept_user_id(str(tmp_path)) is None
    assert identity.kept_or_new_user_id(str(tmp_path), persists=never) is None

    new = identity.kept_or_new_user_id(str(tmp_path), persists=always)

    assert new is not None
    assert uuid.UUID(new).version == 4
    assert tmp_path.joinpath("user_id").read_text().strip() == new
    assert [path.name for path in tmp_path.iterdir()] == ["user_id"]


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    tmp_path.joinpath("other").write_text(KEPT)
    tmp_path.joinpath("user_id").symlink_to(tmp_path / "other")
    assert identity.kept_user_id(str(tmp_path)) is None


@pytest.mark.parametrize("kind", ["fifo", "writable", "anothers"])
def test_an_id_in_a_file_that_is_not_the_users_own_is_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "user_id"
    if kind == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path.write_text(KEPT)
        path.chmod(0o622 if kind == "writable" else 0o644)
    if kind == "anothers":
        if os.geteuid() != 0:
            pytest.skip("only root gives files to others")
        os.chown(path, NOBODY, NOBODY)
    assert identity.kept_user_id(str(tmp_path)) is None


def test_an_id_is_forgotten(tmp_path: Path) -> None:
    identity.kept_or_new_user_id(str(tmp_path), persists=always)
    assert identity.forget_user_id(str(tmp_path))
    assert not identity.forget_user_id(str(tmp_path))
    assert identity.kept_user_id(str(tmp_path)) is None


def test_simultaneous_first_runs_agree(tmp_path: Path) -> None:
    text = (
        "import sys\nfrom migas.settings import identity\nsys.stdin.readline()\n"
        f"print(identity.kept_or_new_user_id({str(tmp_path / 'migas')!r}, persists=bool))"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    assert len({run.communicate()[0] for run in runs}) == 1
    assert [path.name for path in tmp_path.joinpath("migas").iterdir()] == ["user_id"]


def test_random_ids_are_of_the_right_form() -> None:
    ids = {identity.random_uuid() for _ in range(100)}
    assert len(ids) == 100
    assert {uuid.UUID(text).version for text in ids} == {4}
    assert {uuid.UUID(text).variant for text in ids} == {uuid.RFC_4122}
