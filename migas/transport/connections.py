"""Connections to one server over urllib3: proxies, certificates, and how to break one off."""

from __future__ import annotations

import os
import socket
import threading
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from migas.settings import policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Any


_MAX_CONNECTIONS = 4

# By the identifier of the thread that asks.
_in_use: dict[int, HTTPConnection] = {}
_broken: set[int] = set()


class _PlainConnection(HTTPConnection):
    """A connection that another thread can find and break off."""

    def __str__(self) -> str:
        """The server, as errors name it."""
        return f"{self.host}:{self.port}"

    def request(self, *arguments: Any, **options: Any) -> None:
        _use(self)
        super().request(*arguments, **options)


class _TlsConnection(_PlainConnection, HTTPSConnection):
    """The same with TLS, which connects before its first request."""

    def connect(self) -> None:
        _use(self)
        super().connect()


def _use(connection: HTTPConnection) -> None:
    here = threading.get_ident()
    if here in _broken:
        raise ConnectionAbortedError("Nobody waits for the answer any more")
    _in_use[here] = connection


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def break_off(thread: int | None) -> bool:
    """End the exchange that a thread hangs in, so that the thread can end.

    Args:
        thread: Its identifier.

    Returns:
        Whether it had a connection at all, rather than being still on its way there.
    """
    _broken.add(thread or 0)
    connection = _in_use.get(thread or 0)
    connected = None if connection is None else connection.sock
    if connected is None:
        return False
    try:
        # Not an SSLSocket's own shutdown: it drops the TLS state under the reader's feet.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
    except (OSError, TypeError, AttributeError):
        return True  # what gevent and eventlet take for sockets has none, and is left behind
    return True


def forget(thread: int | None) -> None:
    """Note that a thread has ended."""
    _in_use.pop(thread or 0, None)
    _broken.discard(thread or 0)


def pool_for(endpoint: str, user_agent: str) -> urllib3.PoolManager:
    """A pool of kept connections to a server, by way of the proxy that people named for it."""
    from urllib.request import (  # type: ignore[attr-defined]  # the stubs lack the second
        getproxies_environment,
        proxy_bypass_environment,
    )

    parts = urlsplit(endpoint)
    # Headers given with a request would replace these, the client's name included.
    headers = {
        "User-Agent": user_agent,
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    context = _tls_context() if parts.scheme == "https" else None
    proxies = getproxies_environment()
    proxy = policy.site("proxy")
    if not proxy and not proxy_bypass_environment(parts.netloc.rpartition("@")[2], proxies):
        proxy = proxies.get(parts.scheme) or proxies.get("all") or policy.user("proxy")
    pool: urllib3.PoolManager
    if proxy:
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        credentials = urlsplit(proxy)
        login = f"{unquote(credentials.username or '')}:{unquote(credentials.password or '')}"
        pool = urllib3.ProxyManager(
            proxy,
            headers=headers,
            proxy_headers=(
                urllib3.make_headers(proxy_basic_auth=login) if credentials.username else None
            ),
            ssl_context=context,
            maxsize=_MAX_CONNECTIONS,
        )
    else:
        pool = urllib3.PoolManager(headers=headers, ssl_context=context, maxsize=_MAX_CONNECTIONS)
    pool.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    return pool


def _tls_context() -> ssl.SSLContext:
    """What certificates are checked against.

    The system's store, `SSL_CERT_FILE` and `SSL_CERT_DIR` (OpenSSL's own variables), and
    `REQUESTS_CA_BUNDLE`, where clusters name their private CA.
    """
    from urllib3.util.ssl_ import create_urllib3_context

    context = create_urllib3_context()
    context.load_default_certs()
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle:
        if os.path.isdir(bundle):
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    return context
