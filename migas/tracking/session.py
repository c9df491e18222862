"""A run: from the moment it opens to the one breadcrumb that says how it ended.

The session object owns the logic; `track`'s wrappers only enter and leave it. A run inside another
of the same project and version joins it and says nothing of its own.
"""

from __future__ import annotations

import os
import time

from migas import host, log
from migas.settings import permission, values
from migas.tracking import ANNOUNCE_SECONDS, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType
    from typing import Any, Self

    from migas.calls import ProjectAnswer
    from migas.delivery import Delivery, OpenRun, hooks, privacy  # noqa: TC004  see _load()
    from migas.host import process  # noqa: TC004
    from migas.host.process import ProcessFacts
    from migas.message import Breadcrumb
    from migas.message.outcome import Outcome, Verdict
    from migas.tracking import nesting  # noqa: TC004
    from migas.tracking.handlers import HandlerSpec
    from migas.tracking.nesting import Place

_REPLACED = "Replaced by another program"

_open_sessions: set[Session] = set()


class Session:
    """One run of a program or a workflow; a context manager, also with `async with`.

    Make it with `migas.session(…)`. Whatever fails inside stays inside: the program's result,
    exception and output are those of the bare program.
    """

    def __init__(self, plan: Plan, *, wait: bool = False) -> None:
        self.response: ProjectAnswer | None = None
        if not _is_preloaded:
            preload()
        self._plan = plan
        self._session_id = _session_id(plan.fields) if _is_preloaded else None
        self._place: Place | None = None
        self._verdict: Verdict | None = None
        self._wait = wait
        self._pid = 0
        self._began = 0.0
        self._opener: ProcessFacts | None = None
        self._run: OpenRun | None = None
        self._fields = dict(plan.fields)
        self._is_opted_out = False
        self._is_joined = False
        self._is_ended = False
        self._is_discarded = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        self.stop(error)

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        self.stop(error)

    def start(self) -> Self:
        """Open the run. One that is never stopped ends with the interpreter.

        Returns:
            The session itself.
        """
        try:
            self._start()
        except RecursionError:
            self._abandon()  # half open it would tell of an end that is not the run's
        except Exception as error:  # noqa: BLE001  telemetry must never break a program
            log.debug("a run could not be opened: %r", error)
        except BaseException:  # Ctrl-C, say: whoever does not get in will not get out
            self._abandon()
            raise
        return self

    def stop(self, exc: BaseException | None = None) -> None:
        """End the run; a second call does nothing.

        Args:
            exc: The exception that ended it, if one did.
        """
        if self._is_opted_out:
            self._is_ended = True
            return
        try:
            self.place.close()
            ended = self.outcome_of(exc)
            try:
                self._end(ended)
            except KeyboardInterrupt:
                self._is_ended = False  # once more: what is said twice is counted once
                self._end(ended)
                raise
        except Exception as error:  # noqa: BLE001  telemetry must never break a program
            log.debug("a run could not be ended: %r", error)

    def stop_returned(self, result: object) -> None:
        """End the run of a function that returned, whose result may be its exit code."""
        if self._plan.returns_exit_code and isinstance(result, int) and not self._said.is_said:
            self.set_exit_code(result)
        self.stop()

    def update(self, **fields: Any) -> None:
        """Say more about the run while it lasts; the values are part of what is sent at its end.

        Args:
            **fields: Fields of the breadcrumb; a `status_desc` describes a completed run's end.
        """
        self._fields.update(fields)
        run = self._run
        if self.is_open and run is not None and run.has_record and self._speaks():
            self._guarded(lambda: run.update(self._compose({})))

    def fail(self, desc: str = "Errored") -> None:
        """Have the run end as failed although no exception leaves it.

        Args:
            desc: What went wrong.
        """
        self._guarded(lambda: self._said.say(_outcomes().failed(desc)))

    def complete(self) -> None:
        """Have the run end as completed; an exception that leaves it still counts."""
        self._guarded(lambda: self._said.say(_outcomes().completed(self._description())))

    def set_exit_code(self, code: int) -> None:
        """Have the run end as the exit code of its program says.

        Args:
            code: 0 for a completed run, anything else for a failed one.
        """
        self._guarded(lambda: self._said.say(_outcomes().exited(code)))

    def discard(self) -> None:
        """Have nothing sent for this run."""
        self._is_discarded = True
        if self._speaks():
            self._guarded(self._erase)

    # What follows is made when it is asked for: who is opted out never needs it.

    @property
    def session_id(self) -> str:
        """What the run is called on the wire, a UUID."""
        if self._session_id is None:
            self._session_id = _session_id(self._plan.fields)
        return self._session_id

    @session_id.setter
    def session_id(self, session_id: str) -> None:
        self._session_id = session_id

    @property
    def place(self) -> Place:
        """Where the run stands among the others of its context."""
        if self._place is None:
            # Also who is opted out by a file has one, and nothing else of what a run needs.
            from migas.tracking.nesting import Place

            self._place = Place(self)
        return self._place

    @property
    def _said(self) -> Verdict:
        if self._verdict is None:
            self._verdict = _outcomes().Verdict()
        return self._verdict

    @property
    def project(self) -> str:
        """`owner/repo`."""
        return self._plan.project

    @property
    def version(self) -> str:
        """The project's version."""
        return self._plan.version

    @property
    def is_open(self) -> bool:
        """Whether the run has begun and not ended."""
        return self._pid != 0 and not self._is_ended

    def is_ours(self) -> bool:
        """Whether this process has opened the run, or inherits it from one that is gone."""
        here = os.getpid()
        if self._pid != here and self.is_open and not self._is_joined and self._is_inherited():
            self._pid = here
        return self._pid == here

    @property
    def signals(self) -> tuple[int, ...]:
        """The signals whose arrival ends this run."""
        return self._plan.signals

    def signal_arrived(self, name: str, error: BaseException) -> None:
        """Note what a signal's handler raised: if that ends the run, the signal ended it."""
        self._guarded(lambda: self._said.signal_arrived(name, error))

    def outcome_of(self, error: BaseException | None) -> Outcome:
        """How the run ended if this is what left it, or nothing did."""
        return self._said.reached(error, self._description(), self._plan.find_handler)

    def end_by_signal(self, name: str) -> None:
        """End the run by a signal that is about to end the process."""
        from migas.host import environment

        scheduler = environment.scheduler()
        self._guarded(lambda: self._end(_outcomes().terminated(name, scheduler)))

    def end_with_interpreter(self) -> None:
        """End a run that was started and never stopped."""
        self.stop(_outcomes().last_unhandled())

    def settle_replaced(self) -> None:
        """Have the record say how the run ended should another program take this one's place."""
        run = self._run
        if run is not None and run.has_record and self._speaks() and not self._is_discarded:
            ended = self._said.reached(None, _REPLACED, None)
            self._guarded(lambda: run.settle(self._compose(ended)))

    def obey_settings(self) -> None:
        """Do what a late `setup()` means for a run: open its record, or leave no trace of it."""
        if permission.refusal() is None:
            self._open()
        else:
            if self._run is not None:
                _delivery().dismiss_courier()
            self._guarded(self._erase)
            self._release_signals()

    def _start(self) -> None:
        if self._pid:
            if self._is_ended:
                log.warning("A session is one run, and this one has ended: make another one.")
            return
        self._pid = os.getpid()
        self._began = time.monotonic()
        is_set_up = values.settings().is_set_up
        refusal = permission.refusal() if is_set_up else permission.refusal_by_user()
        if refusal is not None:
            log.debug("A run is not reported: %s.", refusal)
            # That is for good: no run is told of from its middle on.
            self._is_opted_out = permission.refusal_by_variable() is not None
        if not self._is_opted_out:
            self.place.begin()
        if refusal is not None:
            return
        self._is_joined = self.place.has_speaker()
        if self._is_joined and self.place.parent is not None:
            self.session_id = self.place.parent.session_id
        if not self._speaks():
            return
        _open_sessions.add(self)
        _watch_over_open_sessions()
        if self._plan.signals:
            from migas.tracking import signals as signal_registry

            signal_registry.serve(self)
        if values.settings().is_set_up:
            self._open()

    def _abandon(self) -> None:
        """Undo as much of an opening as there was."""
        self._is_ended = True
        if self._place is not None:
            self._place.leave()
        _open_sessions.discard(self)
        self._guarded(self._erase)

    def _open(self) -> None:
        """Write the open record and make the appointments; again after a late `setup()`."""
        if self._is_discarded or (self._run is not None and self._run.has_record):
            return
        shared = values.settings().session_id
        if shared is not None and "session_id" not in self._plan.fields:
            self.session_id = shared
        self._run = _delivery().open_run(self._compose({}))
        self._opener = process.facts()
        if self._plan.init_ping:
            self._run.announce_later(self._plan.announce_after, self._announce)

    def _end(self, ended: Outcome) -> None:
        if not self.is_open:
            return
        speaks = self._speaks()
        self._is_ended = True
        _open_sessions.discard(self)
        if not speaks:
            return
        self._release_signals()
        refusal = permission.refusal()
        if refusal is not None or self._is_discarded:
            log.debug("A run is not reported: %s.", refusal or "it was discarded")
            self._erase()
            return
        here = _delivery()
        here.make_room()
        try:
            crumb = self._compose({**ended, "duration": time.monotonic() - self._began})
        except privacy.DroppedError:
            self._erase()
            raise
        # Where opening failed there may be room now.
        run = self._run or here.without_record()
        if self._wait and values.delivery() not in ("log", "spool"):
            self._send_and_wait(run, crumb)
        else:
            run.end(crumb)
        if self._plan.update_notice:
            from migas.tracking import update_notice

            update_notice.tell(self._plan.project, self._plan.version)

    def _erase(self) -> None:
        if self._run is not None:
            run, self._run = self._run, None
            run.erase()

    def _release_signals(self) -> None:
        if self._plan.signals:
            from migas.tracking import signals as signal_registry

            signal_registry.release(self)

    def _send_and_wait(self, run: OpenRun, crumb: Breadcrumb) -> None:
        from migas import calls
        from migas.transport.answers import stored_by_add_project

        run.settle(crumb)
        self.response = answer = calls.send_composed(crumb)
        if stored_by_add_project(answer):
            run.erase()
        else:
            run.end(crumb)

    def _compose(self, fields: dict[str, Any]) -> Breadcrumb:
        return privacy.compose(
            self._plan.project,
            self._plan.version,
            {**self._fields, "session_id": self.session_id, **fields},
        )

    def _description(self) -> str:
        given = self._fields.get("status_desc")
        return "Completed" if given is None else str(given)

    def _announce(self) -> None:
        if self.is_open and self._speaks() and not self._is_discarded:
            _delivery().announce(self._compose({"status": "R"}))

    def _speaks(self) -> bool:
        """Whether this process may say anything about this run."""
        return self.is_ours() and not self._is_joined

    def _is_inherited(self) -> bool:
        """Whether this is a forked child that carries the run on while its opener is gone."""
        if self._run is None or self._opener is None or not process.is_gone(self._opener):
            return False
        return not nesting.is_pool_worker() and self._run.is_inherited_by(_delivery())

    def _guarded(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001  telemetry must never break a program
            log.debug("a run could not be noted: %r", error)


def session(
    project: str,
    version: str,
    *,
    error_handlers: HandlerSpec | Iterable[HandlerSpec] | None = None,
    init_ping: bool = True,
    announce_after: float = ANNOUNCE_SECONDS,
    signals: Iterable[str | int] = (),
    wait: bool = False,
    **fields: Any,
) -> Session:
    """Have a block reported as a run: `with migas.session("owner/repo", "1.2.0") as run: …`.

    Args:
        project: `owner/repo`, as the server knows it.
        version: The project's version.
        error_handlers: As for `track`.
        init_ping: Whether a run that lasts `announce_after` seconds announces itself once.
        announce_after: Seconds.
        signals: Signals, by name or number, whose arrival ends the run as `Terminated`.
        wait: Whether to send the end before the block is left, waiting at most `MIGAS_TIMEOUT`
            seconds; `response` then holds the server's answer.
        **fields: Further fields of the breadcrumb, such as `user_type='dev'`.

    Returns:
        A session for one run.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has a value that cannot be meant.
    """
    plan = Plan(
        project,
        version,
        error_handlers=error_handlers,
        init_ping=init_ping,
        announce_after=announce_after,
        signals=signals,
        fields=fields,
    )
    return Session(plan, wait=wait)


_is_preloaded = False


def preload() -> None:
    """Import what a run needs, as early as a program says that it will have runs.

    Not left to the first run: a child that is forked while another thread imports a module waits
    for that module for ever. Who is opted out never needs them.
    """
    if not _is_preloaded and permission.refusal_by_user() is None:
        try:
            _load()
        except OSError as error:  # no file can be opened any more
            log.debug("what a run needs cannot be loaded: %s", error)


def _load() -> None:
    """Give this module the names of what a run needs, rather than look each up at each use.

    Raises:
        OSError: No file can be opened any more.
    """
    global _is_preloaded, hooks, nesting, privacy, process  # noqa: PLW0603  as an import does
    with host.forks_held_off():
        from migas.delivery import hooks, privacy
        from migas.host import process
        from migas.message import outcome  # noqa: F401
        from migas.tracking import nesting
    _is_preloaded = True


def open_sessions() -> list[Session]:
    """The runs of this process that have begun and not ended."""
    return [session for session in list(_open_sessions) if session.is_ours()]


_is_watching = False


def _watch_over_open_sessions() -> None:
    """Once per process: runs that were open before `setup()`, and those that nobody stops."""
    global _is_watching  # noqa: PLW0603  hooks are installed once
    if _is_watching:
        return
    with host.forks_held_off():
        from migas.settings import setup

        _is_watching = True
        hooks.call_at_execs(open_sessions)
        setup.call_after_setup(_after_setup)
        hooks.current()
        hooks.call_before_exit(_end_with_interpreter)


def _delivery() -> Delivery:
    """The delivery of this process; a program that is opted out never loads it."""
    if not _is_preloaded:
        _load()
    return hooks.current()


def _after_setup() -> None:
    for session in open_sessions():
        session.obey_settings()


def _end_with_interpreter() -> None:
    for session in open_sessions():
        session.end_with_interpreter()


def _outcomes() -> ModuleType:
    """What tells how a run ended; who is opted out never loads it."""
    from migas.message import outcome

    return outcome


def _session_id(fields: dict[str, Any]) -> str:
    from migas.settings.identity import random_uuid

    given = None
    if "session_id" in fields:
        from migas.message import canonical_uuid

        given = canonical_uuid(fields["session_id"])
    return given or values.settings().session_id or random_uuid()
