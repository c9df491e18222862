"""The newest version of a package, as the Python package index or one like it has it.

The index is a stranger: it may be slow, away or talk nonsense, and then nothing is known.
"""

from __future__ import annotations

import json
import logging
import time
from urllib.parse import quote

import urllib3
from urllib3.exceptions import HTTPError

from migas.collector.projects.versions import strict_version

DEADLINE = 20.0
"""Seconds for the whole of an answer."""

MAX_BYTES = 32_000_000
"""An index lists every file of a package; the longest lists have some megabytes."""

_CHUNK = 65536
_log = logging.getLogger("migas.collector")


def newest_version(index: str, package: str) -> str | None:
    """Ask an index for the newest version of a package that is not a pre-release.

    Returns:
        The version in its normal form; None when the index did not name one in time.
    """
    url = f"{index.rstrip('/')}/pypi/{quote(package, safe='')}/json"
    try:
        with urllib3.PoolManager(retries=False, timeout=DEADLINE / 2) as pool:
            answer = json.loads(_read(pool, url))
        return strict_version(answer["info"]["version"])
    except (HTTPError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        _log.info("the newest version of %s is not known: %s", package, error)
        return None


def _read(pool: urllib3.PoolManager, url: str) -> bytes:
    """The body of an answer, as far as it comes in time and is not too long."""
    deadline = time.monotonic() + DEADLINE
    response = pool.request("GET", url, preload_content=False)
    try:
        if response.status != 200:
            raise ValueError(f"status {response.status}")
        body = b""
        while chunk := response.read1(_CHUNK):
            body += chunk
            if len(body) > MAX_BYTES or time.monotonic() > deadline:
                raise ValueError("the answer is too long")
        return body
    finally:
        response.close()
