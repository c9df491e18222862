"""The compared clients, each in its ordinary use, and the programs that use them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benchmarks.environments import OURS, POSTHOG, RELEASED, SENTRY, Environment
from benchmarks.harness import Program

if TYPE_CHECKING:
    from collections.abc import Mapping

WORK = "time.sleep(0.05)"
"""What the measured programs do: nothing, for 50 ms."""

PROJECT = '"owner/repo", "1.0"'


@dataclass(frozen=True)
class Client:
    """One way to watch a program.

    Args:
        name: What the tables call it.
        environment: Where it is installed.
        module: What a program imports for it.
        opening: The lines that set it up; `URL` is the server's.
        decorator: The line above the function, if it has a decorator.
        block: The line of the `with` block around the function's body, if it is used so.
        settings: Environment variables.
    """

    name: str
    environment: Environment
    module: str = ""
    opening: str = ""
    decorator: str = ""
    block: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)

    def program(self, url: str = "", *, host: str = "plain", work: str = WORK) -> Program:
        """A program that this client watches.

        Args:
            url: The server's base URL.
            host: What else the program is made of; a key of `HOSTS`.
            work: What its function does, in a line.
        """
        head, above = HOSTS[host]
        body = f"    {self.block}\n        {work}" if self.block else f"    {work}"
        lines = [
            "import os, time",
            head,
            'URL = os.environ.get("BENCHMARK_URL", "")',
            f"import {self.module}" if self.module else "",
            self.opening,
            above,
            self.decorator,
            f"def main():\n{body}",
            "main()",
        ]
        source = "\n".join(line for line in lines if line) + "\n"
        return Program(
            self.name, self.environment.python, source, {"BENCHMARK_URL": url, **self.settings}
        )

    def with_settings(self, name: str, **settings: str) -> Client:
        """The same client under another name with more environment variables."""
        return replace(self, name=name, settings={**self.settings, **settings})


HOSTS = {
    "plain": ("", ""),
    "click": ("import click", "@click.command()"),
    "numpy + asyncio": ("import asyncio, numpy", ""),
}
"""What a program has loaded anyway: lines at its top, lines above its function."""

BARE = Client("bare Python", OURS)

_SETUP = "migas.setup(endpoint=URL)"
TRACK = Client("@migas.track", OURS, "migas", _SETUP, f"@migas.track({PROJECT})")
SESSION = Client("with migas.session", OURS, "migas", _SETUP, "", f"with migas.session({PROJECT}):")
FORMS = (SESSION, TRACK)

RELEASED_TRACK_EXIT = Client(
    "migas 0.4.0 track_exit",
    RELEASED,
    "migas",
    f'migas.setup(endpoint=URL + "/graphql")\nmigas.track_exit({PROJECT})',
)
SENTRY_MONITOR = Client(
    "sentry-sdk @monitor",
    SENTRY,
    "sentry_sdk",
    'sentry_sdk.init(dsn=URL.replace("//", "//key@") + "/1")',
    '@sentry_sdk.monitor(monitor_slug="main")',
)
POSTHOG_CAPTURE = Client(
    "posthog capture",
    POSTHOG,
    "posthog",
    'client = posthog.Posthog("phc_key", host=URL)\n'
    'client.capture("started", distinct_id="somebody")',
)

RIVALS = (RELEASED_TRACK_EXIT, SENTRY_MONITOR, POSTHOG_CAPTURE)


def bare_twin(client: Client) -> Client:
    """Bare Python in a client's own environment, whose start-up may differ from another's."""
    return Client(f"bare beside {client.name}", client.environment)


def usable(clients: tuple[Client, ...]) -> list[Client]:
    """Those whose environment exists or can be made."""
    return [client for client in clients if not client.environment.problem]


def missing(clients: tuple[Client, ...]) -> dict[str, str]:
    """The others, with the reason to be told in the table."""
    problems = {client.name: client.environment.problem for client in clients}
    return {name: f"skipped: {problem}" for name, problem in problems.items() if problem}
