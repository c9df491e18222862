"""What can go wrong in a collector, told apart by who has to be told."""

from __future__ import annotations


class CollectorError(Exception):
    """The person who runs a command gave something that cannot work; the message says what would.

    A command prints the message on one line and ends with exit status 2.
    """


class UnstorableError(ValueError):
    """A breadcrumb has a value that no database row can hold; its sender is told which.

    Args:
        field: The field's name, as `ProjectInput` has it.
        reason: What would be right, as the end of a sentence that begins with the field's name.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"'{field}' {reason}")
        self.field = field
        self.reason = reason


class NotStoredError(Exception):
    """A breadcrumb was in order, but the database did not commit it; the cause is in the log."""

    def __init__(self) -> None:
        super().__init__("Error during ingestion.")
