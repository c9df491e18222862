"""What decides how a run ended: its program's word, a signal that arrived, what left the block."""

from __future__ import annotations

from migas import log
from migas.message import outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from migas.message.outcome import FindHandler, Outcome


class Verdict:
    """The verdict on one run, open until its end."""

    __slots__ = ("_arrived", "_said")

    def __init__(self) -> None:
        self._said: Outcome | None = None
        self._arrived: tuple[str, tuple[int, str, str]] | None = None

    @property
    def is_said(self) -> bool:
        """Whether the program itself has said how the run ends."""
        return self._said is not None

    def say(self, said: Outcome) -> None:
        """Take the program's own word, the last one if there are several."""
        self._said = said

    def signal_arrived(self, name: str, error: BaseException) -> None:
        """Note what a signal's handler raised: if that ends the run, the signal ended it."""
        self._arrived = (name, outcome.fingerprint(error))

    def reached(
        self, error: BaseException | None, description: str, find_handler: FindHandler | None
    ) -> Outcome:
        """How the run ended.

        Args:
            error: What left it, if anything did.
            description: What is said of a run that completed.
            find_handler: Finds the function that describes an exception's type.

        Returns:
            The exception's outcome, unless the program's word is of a failure or the exception is
            no failure itself.
        """
        said = self._said
        if error is None:
            return said or outcome.completed(description)
        try:
            found = self._found_in(error, find_handler)
        except Exception as failure:  # noqa: BLE001  a hostile class must not cost us the end
            log.debug("an exception could not be read: %r", failure)
            found = outcome.failed("Errored")
        if said is None:
            return found
        if found["status"] == "C" or said["status"] == "F":
            return {**found, **said} if found["status"] == "F" else said
        return found

    def _found_in(self, error: BaseException, find_handler: FindHandler | None) -> Outcome:
        if self._arrived is not None:
            name, mark = self._arrived
            if outcome.is_made_of(error, mark):
                from migas.host import environment

                return outcome.terminated(name, environment.scheduler())
        return outcome.from_exception(error, find_handler)
