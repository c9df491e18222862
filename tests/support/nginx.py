"""A real nginx that has a collector below a path of its host, and a neighbour beside it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
MISSING = "no nginx on this machine: apt-get install nginx"
START_SECONDS = 30.0

_SETTINGS = """
daemon off;
master_process off;
pid {folder}/pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    server {{
        listen 127.0.0.1:{port}{tls};
        location {path}/ {{
            proxy_pass http://127.0.0.1:{upstream}{stripped};
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
        location / {{ return 200 "neighbour:$http_cookie"; }}
    }}
}}
"""


@contextmanager
def running_nginx(
    upstream: int, path: str, *, strips: bool = True, certificate: Path | None = None
) -> Iterator[str]:
    """Run an nginx for a `with` block, and give the URL of its host.

    Args:
        upstream: The port of what it hands requests on to.
        path: Those below this path; to others the neighbour answers with the cookies it got.
        strips: Whether it takes the path away.
        certificate: A file with a certificate and its key, for TLS.
    """
    assert COMMAND is not None, MISSING
    folder = Path(tempfile.mkdtemp(prefix="migas-nginx-", dir="/tmp"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    keys = f" ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate}"
    settings = folder / "nginx.conf"
    settings.write_text(
        _SETTINGS.format(
            folder=folder,
            port=port,
            path=path,
            upstream=upstream,
            stripped="/" if strips else "",
            tls=keys if certificate else "",
        )
    )
    try:
        process = subprocess.Popen(
            [COMMAND, "-c", settings, "-p", folder, "-e", folder / "log"],
            stdin=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(port):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "nginx does not start"
                time.sleep(0.01)
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False
