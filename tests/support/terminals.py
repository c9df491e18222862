"""Programs on a terminal of their own, as a person at a keyboard has them."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS = 60.0


class Terminal:
    """A program whose standard error, or all of it, is a terminal.

    Args:
        command: What to run.
        environ: Its environment.
        whole: Whether the terminal is its controlling one, with stdin and stdout too.
    """

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], *, whole: bool = False
    ) -> None:
        self._ours, theirs = pty.openpty()
        self._seen = b""
        self.process = subprocess.Popen(
            command,
            env=dict(environ),
            stdin=theirs if whole else subprocess.DEVNULL,
            stdout=theirs if whole else subprocess.DEVNULL,
            stderr=theirs,
            start_new_session=whole,
            preexec_fn=_take_terminal if whole else None,  # noqa: PLW1509  no thread runs here
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def types(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def read_until(self, text: str) -> None:
        """Read on until a text is shown, and no further."""
        deadline = time.monotonic() + SECONDS
        while text.encode() not in self._seen:
            assert time.monotonic() < deadline, self._seen
            if not self._read():
                break
        before, found, self._seen = self._seen.partition(text.encode())
        assert found, before

    def read_all(self) -> str:
        """What is still shown until the program has ended."""
        while self._read():
            pass
        self.process.wait(SECONDS)
        return self._seen.decode().replace("\r\n", "\n")

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], SECONDS)
        assert ready, self._seen
        try:
            text = os.read(self._ours, 4096)
        except OSError:  # the last who had the terminal open has closed it
            return False
        self._seen += text
        return bool(text)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
