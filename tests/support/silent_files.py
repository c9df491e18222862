"""A file system that never answers, as a network's whose server is gone.

Run as a program, it serves one through `/dev/fuse` until it is killed:
`python -m tests.support.silent_files FOLDER`.
"""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REQUEST_BYTES = 1 << 20
_HEADER_BYTES = 16


@contextmanager
def silent_files(folder: Path, *, over: bool = False) -> Iterator[bool]:
    """Mount one for a `with` block, `over` a folder that exists; whether this machine lets us."""
    folder.mkdir(parents=True, exist_ok=over)
    command = [sys.executable, "-m", "tests.support.silent_files", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline() == b"mounted\n"
        finally:
            server.kill()  # with it whoever waits for an answer gets an error
            subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def _serve(folder: str) -> None:
    """Greet the kernel, as `fuse(4)` has it, and say no more."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"silent", folder.encode(), b"fuse", 0, options.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    unique = struct.unpack("<IIQ", os.read(device, _REQUEST_BYTES)[:_HEADER_BYTES])[2]
    greeting = struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 0, 0, 0, 1 << 16, 1, *(0,) * 10)
    os.write(device, struct.pack("<IiQ", _HEADER_BYTES + len(greeting), 0, unique) + greeting)
    print("mounted", flush=True)
    while True:  # until it is killed
        time.sleep(60)


if __name__ == "__main__":
    _serve(sys.argv[1])
