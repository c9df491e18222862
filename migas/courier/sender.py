"""Sending one breadcrumb after the other, patiently or before somebody's patience ends."""

from __future__ import annotations

import time

from migas.transport.answers import NoAnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from migas.message.breadcrumb import Breadcrumb
    from migas.transport.client import Client

# What is left after both is for noting the failure before the end.
_PATIENT_SHARE = 0.6
_LAST_SHARE = 0.35
_TOO_SHORT_SECONDS = 0.3


class Sender:
    """Sends breadcrumbs over one kept connection per server.

    Args:
        timeout: Seconds for each.
        hurry_until: The moment of the monotonic clock at which somebody kills this process. What
            cannot wait for `add_project`'s answer then goes by the REST call, which a server stores
            even when the client is gone.
        learn: Gets a project and the server's answer, when that names another newest version.
    """

    def __init__(
        self,
        timeout: float,
        hurry_until: float | None = None,
        learn: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> None:
        self._timeout = timeout
        self._learn = learn
        self._learned: dict[str, object] = {}
        self._hurry_until = hurry_until
        self._clients: dict[str, Client] = {}

    def __call__(
        self, endpoint: str, crumb: Breadcrumb, meanwhile: Callable[[], None] | None = None
    ) -> None:
        """Send one.

        Args:
            endpoint: The server's base URL.
            crumb: What to send, fitted.
            meanwhile: May be called while the server thinks; must not raise.

        Raises:
            NoAnswerError: It is not known to be stored.
        """
        client = self._client(endpoint)
        left = 0.0 if self._hurry_until is None else self._hurry_until - time.monotonic()
        if left <= 0:  # nobody waits, or whoever did has let us live
            self._stored(crumb, client.add_project(crumb, self._timeout, meanwhile))
            return
        try:
            answer = client.add_project(crumb, min(self._timeout, left * _PATIENT_SHARE))
            self._stored(crumb, answer)
        except NoAnswerError as error:
            if error.kind == "no route" and left < _TOO_SHORT_SECONDS:
                error.kind = "timeout"  # so short a try says nothing about the way
            if error.kind != "timeout":
                raise
            client.add_breadcrumb_rest(crumb, min(self._timeout, left * _LAST_SHARE))

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()

    def _client(self, endpoint: str) -> Client:
        if endpoint not in self._clients:
            # urllib3 takes 100 ms to import, which a courier without work need not pay.
            from migas.transport.client import Client

            self._clients[endpoint] = Client(endpoint, keeps_thread=True)
        return self._clients[endpoint]

    def _stored(self, crumb: Breadcrumb, answer: dict[str, Any]) -> None:
        if not answer["success"]:
            problem = f"The server does not know the project {crumb['project']!r}"
            raise NoAnswerError(problem, "refused")
        project, newest = crumb["project"], answer.get("latest_version")
        if self._learn is not None and newest and self._learned.get(project) != newest:
            self._learned[project] = newest
            self._learn(project, answer)
