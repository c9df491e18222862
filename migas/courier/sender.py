"""Sending one breadcrumb after the other, patiently or before somebody's patience ends."""

from __future__ import annotations

import time

from migas.spool.releases import newest_version
from migas.transport.answers import NoAnswerError, stored_by_add_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from migas.message import Breadcrumb
    from migas.spool.servers import Backoff
    from migas.transport.client import Client
    from migas.transport.deadlines import Worker

_SHARE = 0.9
"""Of the time left; the rest is for noting a failure before the end."""

_TOO_SHORT_SECONDS = 0.3


class Sender:
    """Sends breadcrumbs over one kept connection per server, each by one request.

    Where nobody waits, that is `add_project`, which brings news of versions, and asks a third site
    for them: it may take seconds. Whoever is waited for uses the REST call, which asks nobody else
    and answers when the breadcrumb is stored. It never sends the same a second time by another way:
    a server that has read a request stores it, answered or not, and would have it twice.

    Args:
        timeout: Seconds for each.
        until: The moment of the monotonic clock at which somebody who waits kills this process;
            None when nobody waits.
        learn: Gets a project and the server's answer, when that names another newest version.
        servers: What earlier couriers learned about servers, and later ones will.
        worker: A thread to make requests in, rather than to start one.
        keeps_thread: Whether there may be another one besides, as for `Client`.

    Attributes:
        until: The moment, which may come nearer.
    """

    def __init__(
        self,
        timeout: float,
        until: float | None = None,
        learn: Callable[[str, dict[str, Any]], None] | None = None,
        worker: Worker | None = None,
        servers: Backoff | None = None,
        *,
        keeps_thread: bool = True,
    ) -> None:
        self._timeout = timeout
        self._learn = learn
        self._learned: dict[str, object] = {}
        self.until = until
        self._worker = worker
        self._keeps_thread = keeps_thread
        self._servers = servers
        self._clients: dict[str, Client] = {}

    def __call__(self, endpoint: str, crumb: Breadcrumb) -> None:
        """Send one, which fits, to the server of that base URL.

        Raises:
            NoAnswerError: It is not known to be stored.
        """
        client = self._client(endpoint)
        until = self.until
        if until is None:
            self._stored(crumb, client.add_project(crumb, self._timeout))
            return
        left = max(until - time.monotonic(), 0.0)
        try:
            client.add_breadcrumb_rest(crumb, min(self._timeout, left * _SHARE))
        except NoAnswerError as error:
            if error.kind == "no route" and left < _TOO_SHORT_SECONDS:
                error.kind = "timeout"  # so short a try says nothing about the way
            raise

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()

    def _client(self, endpoint: str) -> Client:
        if endpoint not in self._clients:
            # urllib3 takes 100 ms to import, which a courier without work need not pay.
            from migas.transport.client import Client

            self._clients[endpoint] = Client(
                endpoint,
                self._servers,
                keeps_thread=self._keeps_thread,
                worker=self._worker,
            )
        return self._clients[endpoint]

    def _stored(self, crumb: Breadcrumb, answer: dict[str, Any]) -> None:
        project = crumb["project"]
        if not stored_by_add_project(answer):
            raise NoAnswerError(f"The server does not know the project {project!r}", "refused")
        newest = newest_version(answer)
        if self._learn is not None and newest and self._learned.get(project) != newest:
            self._learned[project] = newest
            self._learn(project, answer)
