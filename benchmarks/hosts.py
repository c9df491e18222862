"""The same ratios in programs that have loaded much already: click, or numpy and asyncio."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.clients import HOSTS
from benchmarks.ratios import SHORT, compared

if TYPE_CHECKING:
    from benchmarks.__main__ import Options
    from benchmarks.report import Table


def measure(options: Options) -> list[Table]:
    """Compare both forms with the released migas in larger programs."""
    cells = [replace(SHORT, name=host, host=host) for host in HOSTS if host != "plain"]
    return compared("hosts", "In larger programs, 50 ms of work", cells, options)
