"""Starts the measured programs, one after the other, from a process that is smaller than any.

Run as `python -I -S launcher.py`. A program's peak memory as the kernel counts it is never below
that of the process it was started from, and this one imports next to nothing for that reason.
It reads marshalled `(argv, environment, directory, timeout)` from stdin and writes
`(status, wall seconds, CPU seconds, peak memory in bytes)` to stdout.
"""

import _signal
import marshal
import posix
import sys
import time

_BYTES_PER_MAXRSS = 1 if sys.platform == "darwin" else 1024


def run(
    argv: list[str], environment: dict[str, str], directory: str, timeout: float
) -> tuple[int, float, float, int]:
    """Run one program to its end, or kill it after `timeout` seconds."""
    posix.chdir(directory)
    silence = [(posix.POSIX_SPAWN_OPEN, fd, "/dev/null", posix.O_RDWR, 0) for fd in (0, 1, 2)]
    start = time.perf_counter()
    pid = posix.posix_spawn(argv[0], argv, environment, file_actions=silence)
    _signal.signal(_signal.SIGALRM, lambda *_: posix.kill(pid, 9))
    _signal.setitimer(_signal.ITIMER_REAL, timeout)
    _, status, usage = posix.wait4(pid, 0)
    wall = time.perf_counter() - start
    _signal.setitimer(_signal.ITIMER_REAL, 0)
    return (
        posix.waitstatus_to_exitcode(status),
        wall,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * _BYTES_PER_MAXRSS,
    )


def main() -> None:
    """Serve requests until stdin ends."""
    while True:
        try:
            request = marshal.load(sys.stdin.buffer)
        except EOFError:
            return
        marshal.dump(run(*request), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
