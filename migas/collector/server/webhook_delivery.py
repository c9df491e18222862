"""One letter to one receiver: a POST whose answer is a status, and nothing more of it is read.

The address is one that an administrator typed on the collector's own machine. So it may be a
private one, as a chat server's of the house is; nothing that came over the network chooses it, and
no answer leads anywhere else.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

import urllib3
from urllib3.exceptions import HTTPError

import migas
from migas.collector.days import moment

if TYPE_CHECKING:
    from migas.collector.news.webhooks import Letter

DEADLINE = 60.0
"""Seconds for the whole of it, after which nobody waits for it any more."""

_TIMEOUT = urllib3.Timeout(connect=5, read=10)

# A connection is tried thrice. What was answered is for `Webhooks` to judge: to try again here,
# the library would read the whole of the answer first, however long that is.
_RETRIES = urllib3.Retry(
    connect=2,
    read=0,
    redirect=0,
    status=0,
    other=0,
    backoff_factor=1,
    respect_retry_after_header=False,
)

_log = logging.getLogger("migas.collector")


class Delivery:
    """Sends letters, each in a thread of its own, and no two at a time to one receiver.

    A thread that hangs is left behind: it ends with the process at the latest.
    """

    def __init__(self) -> None:
        self._threads: dict[tuple[str, str], Thread] = {}

    async def send(self, letter: Letter, pages: str) -> bool:
        """Send a letter; return whether its receiver took it within `DEADLINE`.

        Args:
            letter: What is told to whom.
            pages: Below which address, or path if only that is known, its page is.
        """
        key = letter.project, letter.url
        earlier = self._threads.get(key)
        if earlier is not None and earlier.is_alive():
            return False
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bool] = loop.create_future()

        def tell(arrived: bool) -> None:
            if not answered.done():
                answered.set_result(arrived)

        def run() -> None:
            arrived = post(letter.url, _body(letter, pages))
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(tell, arrived)

        self._threads[key] = thread = Thread(target=run, daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(DEADLINE):
                return await answered
        except TimeoutError:
            return False


def post(url: str, body: bytes) -> bool:
    """Send JSON to an address; return whether the answer's status says that it was taken."""
    headers = {"Content-Type": "application/json", "User-Agent": f"migas/{migas.__version__}"}
    try:
        with urllib3.PoolManager(retries=_RETRIES, timeout=_TIMEOUT) as pool:
            response = pool.request(
                "POST", url, body=body, headers=headers, redirect=False, preload_content=False
            )
            response.close()
            return 200 <= response.status < 300
    except (HTTPError, OSError, ValueError) as error:
        # The address may be a secret, and an error's text may have it.
        _log.info("a webhook could not be reached: %s", type(error).__name__)
        return False


def _body(letter: Letter, pages: str) -> bytes:
    item = letter.item
    page = f"{pages}/p/{letter.project}{item.page and f'/{item.page}'}"
    told = {
        "id": item.id,
        "project": letter.project,
        "kind": item.kind,
        "text": f"{letter.project}: {item.text}",
        "time": moment(item.found).isoformat(),
        "page": page,
    }
    return json.dumps(told).encode()
