"""`GET /metrics`: what a collector does, in numbers that Prometheus collects.

Several processes behind one socket count in files of a folder that they share, and whichever is
asked adds them up. The library decides that when it is imported; so it is imported late.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from migas.collector.database.size import size_of
from migas.collector.http.access import access_of, collector_of, is_local
from migas.collector.ingestion.ingestion import Watch

if TYPE_CHECKING:
    from prometheus_client import Counter

    from migas.collector.database.size import Size
    from migas.collector.http.exchanges import Exchange

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of the library's own that names the folder of several processes."""

DEADLINE = 5.0
"""Seconds that the database has to tell its size; without it the other numbers are told."""

TELL_SECONDS = 0.05
"""While it is not empty the queue's length is told no more often: each time costs a counter's."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

router = APIRouter(include_in_schema=False)


class Metrics(Watch):
    """The numbers of one process, or its part in those of several."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._answers: dict[tuple[str | None, int | None, bool], Counter] = {}
        self._waiting = 0
        self._told = 0.0
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "migas_requests",
            "Requests by path and answer: an HTTP status (429 is the rate limit's), 'errors' of a"
            " GraphQL answer that refuses something, 'none' for a client that hung up.",
            ["path", "answer"],
            registry=self._registry,
        )
        breadcrumbs = Counter(
            "migas_breadcrumbs",
            "Breadcrumbs that were in order: stored (repeated ones too), refused for want of a"
            " registered project, or failed because the database did not take them.",
            ["result"],
            registry=self._registry,
        )
        self._results = {
            result: breadcrumbs.labels(result) for result in ("stored", "refused", "failed")
        }
        self._commits = Histogram(
            "migas_commit_seconds",
            "Seconds that a batch of breadcrumbs took to be written and committed.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._queue = Gauge(
            "migas_queue_breadcrumbs",
            "Breadcrumbs that wait to be committed.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )

    def answered(self, exchange: Exchange) -> None:
        """Count a request."""
        key = exchange.path, exchange.status, exchange.has_errors
        counter = self._answers.get(key)
        if counter is None:
            answer = "errors" if exchange.has_errors else str(exchange.status or "none")
            counter = self._requests.labels(exchange.path or "other", answer)
            self._answers[key] = counter
        counter.inc()

    def waits(self, change: int) -> None:
        """Count a breadcrumb into the queue, or out of it."""
        self._waiting += change
        now = time.monotonic()
        if not self._waiting or now > self._told + TELL_SECONDS:
            self._told = now
            self._queue.set(self._waiting)

    def wrote(self, seconds: float, **numbers: int) -> None:
        """Count a batch and what became of it."""
        self._commits.observe(seconds)
        for result, number in numbers.items():
            self._results[result].inc(number)

    def text(self, size: Size | None) -> tuple[bytes, str]:
        """All numbers as Prometheus reads them, and the media type of that."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        counted = self._registry
        if SHARED_FOLDER in os.environ:
            counted = CollectorRegistry()
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        return generate_latest(counted) + _of_database(size), CONTENT_TYPE_LATEST


def forget_worker(process: int) -> None:
    """Take what waited in a process that has ended out of the sums; what it has done stays."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(process)  # type: ignore[no-untyped-call]


def _of_database(size: Size | None) -> bytes:
    """What is asked for at the moment, and is the same for all processes."""
    from prometheus_client import generate_latest
    from prometheus_client.core import GaugeMetricFamily

    families = [
        GaugeMetricFamily("migas_database_up", "Whether the database answers.", size is not None)
    ]
    if size is not None:
        families += [
            GaugeMetricFamily("migas_database_bytes", "Size of the database.", size.bytes),
            GaugeMetricFamily("migas_database_rows", "Breadcrumbs in it, about.", size.rows),
        ]

    class Families:
        def collect(self) -> Any:
            return families

    return generate_latest(Families())


@router.head("/metrics")
@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Tell the numbers to this machine, and to whoever has a root token."""
    collector = collector_of(request)
    if not is_local(request):
        await access_of(collector.tokens, request.headers, root=True)
    size = None
    try:
        async with asyncio.timeout(DEADLINE), collector.connections.reading() as connection:
            size = await size_of(connection)
    except (SQLAlchemyError, OSError):
        pass
    counted: Metrics = request.app.state.metrics
    text, kind = counted.text(size)
    return Response(text, headers={"Content-Type": kind, "Cache-Control": "no-store"})
