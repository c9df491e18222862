"""A project of two hundred sessions whose figures are known, and its pages."""

from __future__ import annotations

import datetime as dt
import json
import re
from contextlib import contextmanager
from html import unescape
from typing import TYPE_CHECKING, Any

from tests.collector.databases import a_session, putting
from tests.collector.live import PROJECT
from tests.collector.pages.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.databases import Databases
    from tests.collector.live import LiveServer

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
"""The time on every clock of these tests, a Friday."""

PAGE = f"/p/{PROJECT}"
CROSS = "\N{MULTIPLICATION SIGN}"
YESTERDAY = NOON - dt.timedelta(days=1)
PEOPLE = [f"00000000-0000-4000-8000-{number:012}" for number in range(40)]
BROKEN = {"status": "F", "error_type": "OSError", "error_desc": "[Errno 30] Read-only: <path>"}


def sessions() -> list[dict[str, Any]]:
    """Two versions, two platforms, and an error that apptainer brings about."""
    sent = []
    for number in range(200):
        in_apptainer = number % 4 == 0
        fields: dict[str, Any] = {
            "version": "1.1.0" if number % 2 else "1.0.0",
            "platform": "darwin" if number % 5 == 0 else "linux",
            "container": "apptainer" if in_apptainer else "docker",
            "language_version": "3.11.4" if number % 3 else "3.12.1",
            "is_ci": number % 10 == 0,
            "user_id": PEOPLE[number % 40],
            "duration": (90.0 if number % 2 else 60.0) + number % 7,
        }
        if number % 8 == 0 or number == 1:
            fields |= BROKEN
        elif number % 50 == 7:
            fields |= {"status": "R"}
        sent.append(a_session(YESTERDAY - dt.timedelta(days=number % 3 + 1), **fields))
    return sent


@contextmanager
def site_of(
    live_server: LiveServer, databases: Databases, kind: str, sent: list[dict[str, Any]]
) -> Iterator[Site]:
    """The pages of an open collector with some sessions, at noon of the present day."""
    with (
        databases.fresh(kind) as database,
        live_server.collector(
            database, open_registration=True, prepare=putting(sent), clock=NOON.timestamp
        ) as running,
    ):
        yield Site(running)


def links(html: str) -> list[str]:
    return [unescape(found) for found in re.findall(r'<a [^>]*?href="([^"]*)"', html)]


HOSTILE = [
    "<script>alert(1)</script>",
    "'\"><img src=x>",
    "%",
    "_",
    "\0",
    "\ud800",
    "a" * 5000,
]

API = f"/api/v1/projects/{PROJECT}"


def called(asked: Site, path: str, token: str | None = None) -> Any:
    token = token or asked.token(PROJECT)
    reply = asked.get(f"{API}/{path}", Authorization=f"Bearer {token}")
    assert reply.status == 200, reply
    return json.loads(reply.body)
