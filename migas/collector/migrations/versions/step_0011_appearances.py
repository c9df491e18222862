"""Users are counted by the days on which they were first and last seen, and by their types.

Counting everything anew, which follows the last step, fills these counts; those of users whom an
older collector notes afterwards, `migas db rebuild`.
"""

from __future__ import annotations

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Change no table."""
