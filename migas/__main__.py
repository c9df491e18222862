"""`python -m migas`, and the file that a courier is started from."""

from __future__ import annotations

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
        from migas.courier import main as courier

        return courier.main(sys.argv[3:])
    from migas.cli import main as cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
