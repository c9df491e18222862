"""What newer Pythons brought: annotations evaluated late, and imports that happen at first use."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.programs import Program, bare, run_all, tracked

if TYPE_CHECKING:
    from pathlib import Path

OFFLINE = {"MIGAS_ENDPOINT": "http://127.0.0.1:9", "MIGAS_DELIVERY": "spool"}

ANNOTATED = """\
import annotationlib, inspect, typing
IMPORT
SETUP

@TRACK
def main(given: Later) -> Later:
    return given

class Later:
    @TRACK
    @classmethod
    def make(cls, given: Unknown = None) -> Later:
        return cls()

text = annotationlib.Format.STRING
print(inspect.signature(main), typing.get_type_hints(main), main.__annotations__)
print(inspect.signature(Later.make, annotation_format=text))
print(annotationlib.get_annotations(Later.make, format=text))
try:
    Later.make.__annotations__
except NameError as error:
    print(error)
print(main(3), type(Later.make()))
"""

LAZY = """\
IMPORT
SETUP

@TRACK
def main():
    with SESSION:
        raise ValueError("no even number")

try:
    main()
except ValueError as error:
    print(error)
"""


def assert_same(text: str, folder: Path, options: tuple[str, ...] = (), lazy: str = "") -> None:
    """See that a program is the bare one and that its run waits."""
    options = ("-W", "error", *options)
    with_it = Program(
        tracked(text).replace("import migas", f"{lazy}import migas"),
        folder / "with",
        OFFLINE,
        options=options,
    )
    seen, expected = run_all([with_it, Program(bare(text), folder / "bare", {}, options=options)])
    assert seen == expected
    assert expected.status == 0
    assert list((folder / "with" / "state" / "ready").glob("*.json")) != []


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations wait from 3.14 on")
def test_a_name_that_is_defined_later_may_stand_in_an_annotation(tmp_path: Path) -> None:
    assert_same(ANNOTATED, tmp_path)


@pytest.mark.skipif(sys.version_info < (3, 15), reason="imports may be lazy from 3.15 on")
def test_a_program_may_import_lazily(tmp_path: Path) -> None:
    assert_same(LAZY, tmp_path, lazy="lazy ")


@pytest.mark.skipif(sys.version_info < (3, 15), reason="imports may be lazy from 3.15 on")
def test_all_imports_may_be_lazy(tmp_path: Path) -> None:
    assert_same(LAZY, tmp_path, ("-X", "lazy_imports=all"))
