"""`track` around a block."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import migas
from tests.tracking.tracked import COMPLETED, run_in_threads

if TYPE_CHECKING:
    from tests.conftest import Spool


def test_track_is_a_context_manager(spool: Spool) -> None:
    with migas.track("lab/tool", "1.0.0") as session:
        assert spool.open_crumbs()[0]["session_id"] == session.session_id
    assert spool.endings() == [COMPLETED]


def test_track_is_an_asynchronous_context_manager(spool: Spool) -> None:
    async def main() -> None:
        async with migas.track("lab/tool", "1.0.0"):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert spool.endings() == [COMPLETED]


def test_one_track_serves_blocks_of_several_threads_at_once(spool: Spool) -> None:
    shared = migas.track("lab/tool", "1.0.0")
    both_in, first_out = threading.Barrier(2, timeout=10), threading.Event()

    def fail_first() -> None:
        try:
            with shared:
                both_in.wait()
                raise LookupError
        except LookupError:
            first_out.set()

    def work_on() -> None:
        with shared:
            both_in.wait()
            assert first_out.wait(10)
            assert spool.endings() == [("F", "Errored")]

    run_in_threads(fail_first, work_on)
    assert sorted(spool.endings()) == [COMPLETED, ("F", "Errored")]
    assert len({crumb["session_id"] for crumb in spool.crumbs()}) == 2
