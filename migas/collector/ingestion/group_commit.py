"""Group commit: what arrives while a transaction commits shares the next one.

Under load the batches grow by themselves, and one flush to the disk serves many senders. Those who
were answered together mostly ask again together, so the next transaction waits for as many as long
as they keep coming. Else one of them would be written alone, while all others wait for that, and
then these without it. Whoever is alone waits for nobody. PostgreSQL's commit_delay and
commit_siblings are the model.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

MAX_BATCH = 256
LULL = 0.001
"""Seconds without another item, after which no more company is expected."""

MAX_LULLS = 32
"""Nobody is kept waiting for longer, however steadily others come."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupWriter(Generic[Item, Result]):
    """One task that writes what many submit, a batch in one transaction.

    Args:
        commit: Writes a batch and returns a result for each item, in their order, after the
            commit. When it raises, none of the batch may have been written.
        max_batch: The most items that share a transaction.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._commit = commit
        self._max_batch = max_batch
        self._expected = 1
        self._is_closing = False
        self._go_on = asyncio.Event()
        self._queue: asyncio.Queue[tuple[Item, asyncio.Future[Result]] | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run())

    async def submit(self, item: Item) -> Result:
        """Hand in an item and wait until the transaction that holds it was committed.

        Returns:
            What `commit` returned for this item.

        Raises:
            Exception: What `commit` raised: the item was not written.
        """
        written: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((item, written))
        if self._queue.qsize() + 1 >= self._expected:
            self._go_on.set()
        return await written

    async def close(self) -> None:
        """Write what was handed in so far, then end. Nothing may be submitted afterwards."""
        self._is_closing = True  # nobody else comes, so nobody is waited for
        self._queue.put_nowait(None)
        self._go_on.set()
        await self._task

    async def _run(self) -> None:
        open_for_more = True
        while open_for_more:
            batch: list[tuple[Item, asyncio.Future[Result]]] = []
            entry = await self._queue.get()
            await self._gather()
            while entry is not None:
                batch.append(entry)
                if self._queue.empty() or len(batch) == self._max_batch:
                    break
                entry = self._queue.get_nowait()
            open_for_more = entry is not None
            if batch:
                await self._write(batch)
                self._expected = min(len(batch) + self._queue.qsize(), self._max_batch)

    async def _gather(self) -> None:
        """Wait for as many as waited last time, beside the one that is here."""
        for _ in range(MAX_LULLS):
            here = self._queue.qsize()
            if here + 1 >= self._expected or self._is_closing:
                return
            # Whoever comes last sets this, too: all the others wait for nothing any more.
            self._go_on.clear()
            lull = asyncio.get_running_loop().call_later(LULL, self._go_on.set)
            await self._go_on.wait()
            lull.cancel()
            if self._queue.qsize() == here:
                return

    async def _write(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._commit([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  it belongs to those who wait, not to this task
            for _, written in batch:
                if not written.done():
                    written.set_exception(error)
            return
        for (_, written), result in zip(batch, results, strict=True):
            if not written.done():
                written.set_result(result)
