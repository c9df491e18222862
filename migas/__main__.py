"""`python -m migas`, and the file that a courier is started from."""

from __future__ import annotations

import gc
import os
import sys

if not __package__:
    # Started by its path, as couriers are: find the package that this very file belongs to, after
    # everything else, so that nothing beside it hides a module of the standard library.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main() -> int:
    """Be a courier, or run the command line."""
    # `spawn.COURIER_ARGUMENTS`, which is not imported for those who are none.
    if sys.argv[1:3] == ["flush", "--courier"]:
        # Somebody may wait, and taking an interpreter down takes 15 ms.
        os._exit(_be_courier(sys.argv[3:]))
    from migas.cli import main as cli

    return cli.main()


def _be_courier(arguments: list[str]) -> int:
    # Of all that is imported nothing is garbage; to look for some takes a twentieth of the time.
    gc.set_threshold(50_000)
    # Of the courier's arguments, those that say where it finds what it imports, and when.
    told = dict(word.split("=", 1) for word in arguments if "=" in word)
    if "--library" in told:
        sys.path.append(told["--library"])
    from migas.courier import unused

    unused.put_off()
    if "--warm" in told:
        from migas.courier import warm

        return warm.main(arguments, float(told["--warm"]))
    from migas.courier import main as courier

    return courier.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
