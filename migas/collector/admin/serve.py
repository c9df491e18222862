"""`migas serve`: a collector that runs until it is told to stop."""

from __future__ import annotations

import json
import sys
from contextlib import suppress

from migas.collector.admin.command import add, say
from migas.collector.errors import CollectorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from migas.collector.admin.command import Answer, Subparsers

_PACKAGE_INDEX = "https://pypi.org"


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    serve = add(subparsers, "serve", _serve, "run a migas server of your own")
    serve.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    serve.add_argument("--port", default="8080", help="0 takes a free one; default: %(default)s")
    serve.add_argument(
        "--open", action="store_true", help="register unknown projects at their first breadcrumb"
    )
    serve.add_argument(
        "--workers",
        default="1",
        metavar="N",
        help="processes (default: 1); each keeps up to 16 connections to PostgreSQL",
    )
    serve.add_argument(
        "--ssl-certfile", metavar="FILE", help="answer over TLS with this certificate"
    )
    serve.add_argument("--ssl-keyfile", metavar="FILE", help="its key, where it is in another file")
    serve.add_argument(
        "--forwarded-allow-ips",
        metavar="IPS",
        help="proxies whose X-Forwarded-For is believed, as in 127.0.0.1",
    )
    serve.add_argument(
        "--access-log",
        action="store_true",
        help="write a line of JSON to stdout for each request, with no address in it; where this "
        "server answers is then told on stderr, or by --json in the first line",
    )
    serve.add_argument(
        "--root-path",
        default="",
        metavar="PATH",
        help="the path of a shared host below which a proxy has it, as in /migas",
    )
    serve.add_argument(
        "--public-url",
        default="",
        metavar="URL",
        help="where people open the pages, as in https://host.example/migas; webhooks name it",
    )
    serve.add_argument(
        "--rate-limit",
        default="1000",
        metavar="N",
        help="requests an address may make in 60 s, 0 for any number (default: %(default)s)",
    )
    serve.add_argument(
        "--retain", metavar="DAYS", help="delete sessions that began longer ago, as in 365d"
    )
    serve.add_argument(
        "--package-index",
        nargs="?",
        const=_PACKAGE_INDEX,
        metavar="URL",
        help="read the newest versions of packages there (without a URL: %(const)s); "
        "see `migas project package`",
    )


def _serve(options: argparse.Namespace) -> Answer:
    from dataclasses import fields

    from migas.collector.server.serve import Settings, serve

    told = {field.name: getattr(options, field.name) for field in fields(Settings)} | {
        "port": _number(options.port, 0, 65535, "port"),
        "workers": _number(options.workers, 1, 1000, "number of workers"),
        "rate_limit": _number(options.rate_limit, 0, 10**9, "rate limit"),
        "root_path": options.root_path.removesuffix("/"),
    }
    if options.retain is not None:
        told["retain"] = _number(options.retain.removesuffix("d"), 1, 36500, "number of days")

    def announce(url: str, database: str) -> None:
        line = f"migas collector on {url} (database {database})\n"
        if options.json:
            say(json.dumps({"url": url, "database": database}) + "\n")
        elif options.access_log:
            # Whoever has programs read the log gets nothing on stdout that is no JSON.
            with suppress(OSError):
                sys.stderr.write(line)
        else:
            say(line)

    serve(Settings(**told), announce)
    return None, ""


def _number(text: str, least: int, most: int, meaning: str) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise CollectorError(f"{text!r} is no {meaning}: give a number from {least} to {most}")
    return int(text)
