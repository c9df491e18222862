"""Connections to one server over urllib3: proxies and certificates."""

from __future__ import annotations

import encodings.idna  # noqa: F401  a look-up of names would, in whichever thread asks
import os
import string
import sys
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

from migas import host
from migas.settings import policy
from migas.transport import exchanges

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import ssl
    from typing import Any


_MAX_CONNECTIONS = 4
_PLAIN = frozenset(f"{string.ascii_letters}{string.digits}-.:")


class _PlainConnection(HTTPConnection):
    """A connection that another thread can find and break off."""

    _handle: socket.socket | None = None

    def __str__(self) -> str:
        """The server, as errors name it."""
        return f"{self.host}:{self.port}"

    def request(self, *arguments: Any, **options: Any) -> None:
        exchanges.use(self._handle)
        super().request(*arguments, **options)

    def _new_conn(self) -> socket.socket:
        exchanges.use(None)
        # For `close`, should this be broken off now.
        self.sock = super()._new_conn()
        # A TLS handshake takes the socket itself away and gives another one back at its end.
        self._handle = self.sock.dup()
        exchanges.has_connected(self._handle)
        return self.sock

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()
        super().close()


class _TlsConnection(_PlainConnection, HTTPSConnection):
    """The same with TLS."""


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def pool_for(endpoint: str, user_agent: str) -> urllib3.PoolManager:
    """A pool of kept connections to a server, by way of the proxy that people named for it."""
    parts = urlsplit(endpoint)
    # Headers given with a request would replace these, the client's name included.
    headers = {
        "User-Agent": user_agent,
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    context = _tls_context() if parts.scheme == "https" else None
    proxy = _proxy_for(parts.scheme, parts.netloc.rpartition("@")[2])
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


def server_in(pool: urllib3.PoolManager, endpoint: str) -> HTTPConnectionPool:
    """The connections of a pool to one server.

    Reading a URL, urllib3 compiles a regular expression of more than a thousand characters, which
    takes 4 ms. A plain name or number it need not read.
    """
    parts = urlsplit(endpoint)
    if parts.hostname and _PLAIN.issuperset(parts.netloc):
        return pool.connection_from_host(parts.hostname, parts.port, parts.scheme)
    return pool.connection_from_url(endpoint)


def rehearse() -> None:
    """Go the way to a server as far as no server is needed, so that what was put off is there."""
    server_in(urllib3.PoolManager(), "http://localhost")


def _proxy_for(scheme: str, address: str) -> str | None:
    """The proxy that the site, the environment or the user names for a server, in this order."""
    decided: str | None = policy.site("proxy")
    if decided or not import_what_proxies_take():
        return decided or policy.user("proxy")
    from urllib.request import (  # type: ignore[attr-defined]  # the stubs lack the second
        getproxies_environment,
        proxy_bypass_environment,
    )

    proxies: dict[str, str] = getproxies_environment()
    if proxy_bypass_environment(address, proxies):
        return None
    return proxies.get(scheme) or proxies.get("all") or policy.user("proxy")


def import_what_proxies_take() -> bool:
    """Import what asks the environment for proxies, where it names any; whether it does.

    Few environments need it. A thread that a fork waits for must find it there already.
    """
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return False
    if "urllib.request" not in sys.modules:
        with host.forks_held_off():
            import urllib.request  # noqa: F401
    return True


def _tls_context() -> ssl.SSLContext:
    """What certificates are checked against.

    The system's store, `SSL_CERT_FILE` and `SSL_CERT_DIR` (OpenSSL's own variables), and
    `REQUESTS_CA_BUNDLE`, where clusters name their private CA.
    """
    context = create_urllib3_context()
    context.load_default_certs()
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle:
        if os.path.isdir(bundle):
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    return context
