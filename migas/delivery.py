"""The one way out: what may leave is composed, written down, and a courier is sent for it.

The user's process opens no socket here. It writes a small file, and starts a process that nobody
waits for, or waits for at most `exit_timeout` seconds where nothing may outlive the program.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time

from migas import breadcrumb, config, log, process
from migas.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from migas.breadcrumb import Breadcrumb
    from migas.dispatch import DispatchedCourier
    from migas.marks import Marks
    from migas.spool import Record
    from migas.watch import Watch

COURIER_SECONDS = 10.0
"""A process starts at most one courier in this time, and one more at its end."""


def compose(project: object, version: object, fields: Mapping[str, Any]) -> Breadcrumb:
    """What would leave the machine for a run, redacted, repaired and cut to the wire's size.

    Args:
        project: `owner/repo`.
        version: The project's version.
        fields: Names from `breadcrumb.FIELDS`; they win over the facts of this process.

    Raises:
        privacy.DroppedError: The program's own `before_send` keeps it back.
    """
    from migas import environment, privacy

    facts = environment.telemetry_fields()
    facts["user_id"] = config.user_id()
    facts["session_id"] = config.session_id()
    given = {name: value for name, value in fields.items() if value is not None}
    facts.update(privacy.redacted(given), project=project, project_version=version)
    return privacy.leaving(breadcrumb.compose(facts))


class Delivery:
    """The delivery of this process; there is one, and a forked child has its own."""

    def __init__(self) -> None:
        self.watch = _make_watch()
        # Reentrant: a signal's handler may end a run while this very thread holds it.
        self._lock = threading.RLock()
        self._spool: Spool | None = None
        self._marks: Marks | None = None
        self._open: set[str] = set()
        self._courier: DispatchedCourier | None = None
        self._courier_started = float("-inf")
        self._is_waiting = False
        self._is_exiting = False
        self._last_running: dict[str, float] = {}

    def open_run(self, crumb: Breadcrumb) -> str | None:
        """Write down what is sent if nobody hears of a run again.

        Returns:
            The open record's path, or None where none can be or needs to be written.
        """
        if config.refusal() is not None or config.delivery() == "log":
            return None
        try:
            spool = self._usable_spool()
            path = spool.open(self._open_record(crumb))
        except (OSError, RuntimeError) as error:
            log.debug("a run has no open record: %s", error)
            return None
        with self._lock:
            self._open.add(path)
            self._arm_marks(spool)
        return path

    def update_run(self, path: str, crumb: Breadcrumb) -> None:
        """Replace what an open record says."""
        try:
            self._usable_spool().replace_open(path, self._open_record(crumb))
        except (OSError, RuntimeError) as error:
            log.debug("an open record could not be updated: %s", error)

    def touch_run(self, path: str) -> None:
        """Show other hosts that a run is alive."""
        try:
            os.utime(path)
        except OSError as error:
            log.debug("an open record could not be touched: %s", error)

    def end_run(self, path: str | None, crumb: Breadcrumb) -> None:
        """Put a run's end among what waits, and see that it is sent."""
        if config.refusal() is not None:
            self.erase_run(path)
        elif config.delivery() == "log":
            _print(crumb)
        else:
            self._send_courier(self._write(path, crumb))
            self._closed(path)

    def erase_run(self, path: str | None) -> None:
        """Forget a run: nothing of it stays on disk."""
        if path is not None:
            try:
                os.unlink(path)
            except OSError as error:
                log.debug("an open record could not be erased: %s", error)
            self._closed(path)

    def queue(self, crumb: Breadcrumb) -> None:
        """Write a single breadcrumb among what waits, and see that it is sent."""
        self.end_run(None, crumb)

    def announce(self, crumb: Breadcrumb) -> None:
        """Say once that a run goes on; where that cannot be said now, it never is."""
        if config.refusal() is not None or config.delivery() == "spool":
            return
        if config.delivery() == "log":
            _print(crumb)
        elif self._may_start_courier():
            self._start_courier(self._write(None, crumb))

    def running_was_sent(self, session_id: str | None) -> None:
        """Remember that a session's `R` has just left: its end keeps a second's distance."""
        if session_id is not None:
            self._last_running[session_id] = time.time()

    def flush(self, timeout: float) -> bool:
        """Have everything that waits sent now.

        Args:
            timeout: Seconds to wait.

        Returns:
            Whether nothing of this user's waits any more.
        """
        if config.refusal() is not None:
            return False
        from migas import dispatch

        try:
            spool = self._usable_spool()
        except (OSError, RuntimeError) as error:
            log.debug("the spool cannot be used: %s", error)
            return False
        started = time.monotonic()
        if dispatch.can_start():
            attended = dispatch.dispatch(attended_for=timeout, by_hand=True)
            if attended is not None:
                attended.wait(timeout)
                attended.forget()
        while time.monotonic() - started < timeout:
            counts = spool.count()
            if not counts["ready"] and not counts["sending"]:
                return True
            if not os.path.exists(os.path.join(spool.root, "lease")):
                return False
            time.sleep(0.02)
        counts = spool.count()
        return not counts["ready"] and not counts["sending"]

    def at_exit(self) -> None:
        """Send a courier for what still waits, and give it its moment where it has only that."""
        self._is_exiting = True
        self.watch.close()
        try:
            if self._is_waiting:
                self._start_courier(None)
            if self._courier is not None:
                if not self._courier.wait(config.settings.exit_timeout):
                    self._courier.kill()
                self._courier.forget()
        finally:
            if self._marks is not None and not self._open:
                self._marks.disarm()

    def leave_to_parent(self) -> None:
        """In a forked child: what the parent opened is the parent's."""
        if self._marks is not None:
            self._marks.disarm(erase=False)
        if self._courier is not None:
            self._courier.forget()

    def _write(self, path: str | None, crumb: Breadcrumb) -> Record | None:
        """Put a breadcrumb among what waits.

        Returns:
            None, or the record itself where it cannot be written.
        """
        record = self._record(crumb)
        try:
            spool = self._usable_spool()
            if path is None:
                spool.put(record)
            else:
                spool.finish(path, record)
        except (OSError, RuntimeError) as error:
            log.debug("the spool cannot be used: %s", error)
            return record
        return None

    def _usable_spool(self) -> Spool:
        if self._spool is None:
            self._spool = Spool(config.state_folder())
        self._spool.prepare()
        return self._spool

    def _record(self, crumb: Breadcrumb) -> Record:
        record: Record = {"endpoint": config.settings.endpoint, "breadcrumb": crumb}
        sent = self._last_running.pop(crumb.get("session_id", ""), None)
        if sent is not None:
            record["not_before"] = sent + 1.05
        return record

    def _open_record(self, crumb: Breadcrumb) -> Record:
        from migas import recovery

        lost = breadcrumb.compose({**crumb, "status": "F", "status_desc": recovery.LOST})
        return {
            "endpoint": config.settings.endpoint,
            "breadcrumb": breadcrumb.fit(lost),
            "process": process.facts(),
            "oom_kills": recovery.oom_kills(),
        }

    def _arm_marks(self, spool: Spool) -> None:
        if self._marks is not None:
            return
        from migas.marks import Marks

        self._marks = Marks(spool.folder("marks"), process.facts())
        try:
            self._marks.arm()
        except (OSError, ValueError, RuntimeError) as error:
            log.debug("fatal signals will leave no mark: %s", error)

    def _closed(self, path: str | None) -> None:
        if path is not None:
            with self._lock:
                self._open.discard(path)

    def _send_courier(self, payload: Record | None) -> None:
        """Start a courier now, or a little later when one was started a moment ago."""
        if payload is not None:
            self._start_courier(payload)
            return
        left = self._courier_started + COURIER_SECONDS - time.monotonic()
        if left <= 0 or self._is_exiting:
            self._start_courier(None)
        elif not self._is_waiting:
            self._is_waiting = True
            self.watch.call_later(self, left, self._start_late)

    def _start_late(self) -> None:
        if self._is_waiting:
            self._start_courier(None)

    def _may_start_courier(self) -> bool:
        from migas import dispatch
        from migas.backoff import Backoff

        if config.delivery() == "spool" or not dispatch.can_start():
            return False
        try:
            root = self._usable_spool().root
        except (OSError, RuntimeError):
            return True  # what cannot be written down can only be handed over
        return Backoff(root).seconds_left(config.settings.endpoint) <= 0

    def _start_courier(self, payload: Record | None) -> None:
        if not self._may_start_courier():
            return
        import json

        from migas import dispatch, environment

        mode = config.delivery()
        attended = mode == "inline" or (mode == "auto" and environment.is_short_lived())
        with self._lock:
            self._is_waiting = False
            self._courier_started = time.monotonic()
            if self._courier is not None:
                self._courier.forget()
            started = dispatch.dispatch(
                None if payload is None else json.dumps(payload).encode(),
                attended_for=config.settings.exit_timeout if attended else None,
            )
            self._courier = started if attended else None
            if attended and self._is_exiting and started is not None:
                # Whoever ends a run this late has no later moment for us to wait in.
                if not started.wait(config.settings.exit_timeout):
                    started.kill()
                started.forget()


def _make_watch() -> Watch:
    from migas.watch import Watch

    return Watch()


def _print(crumb: Breadcrumb) -> None:
    text = breadcrumb.graphql_body(crumb).decode()
    try:
        sys.stderr.write(f"migas would send {text}\n")
    except Exception as error:  # noqa: BLE001  stderr may be closed or be anything
        log.debug("stderr cannot be written: %s", error)


_current: Delivery | None = None
_making = threading.RLock()
_before_exit: list[Callable[[], None]] = []


def current() -> Delivery:
    """The delivery of this process, made at its first use."""
    global _current  # noqa: PLW0603  the one delivery
    if _current is None:
        with _making:
            if _current is None:
                _current = Delivery()
                _install_hooks()
    _current.watch.ensure_running()
    return _current


def call_before_exit(function: Callable[[], None]) -> None:
    """Have a function called at the interpreter's end before the last courier is sent."""
    if function not in _before_exit:
        _before_exit.append(function)


_hooks_installed = False


def _install_hooks() -> None:
    global _hooks_installed  # noqa: PLW0603  hooks cannot be removed, so they are installed once
    if _hooks_installed:
        return
    _hooks_installed = True
    atexit.register(_at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


def _at_exit() -> None:
    try:
        for function in reversed(_before_exit):
            function()
        if _current is not None:
            _current.at_exit()
    except Exception as error:  # noqa: BLE001  nothing of ours may show at exit
        log.debug("delivery at exit failed: %r", error)


def _before_fork() -> None:
    if _current is not None:
        try:
            _current.watch.pause()
        except Exception as error:  # noqa: BLE001  an error here would be printed by the interpreter
            log.debug("the thread could not be stopped before a fork: %r", error)


def _after_fork_in_child() -> None:
    global _current, _making  # noqa: PLW0603
    inherited, _current = _current, None
    _making = threading.RLock()  # the parent's may be held by a thread that does not exist here
    if inherited is not None:
        try:
            inherited.leave_to_parent()
        except Exception as error:  # noqa: BLE001
            log.debug("a forked child could not let go: %r", error)


def send_before_death() -> None:
    """Send what waits because the process is about to die without coming to its end."""
    if _current is not None:
        try:
            _current.at_exit()
        except Exception as error:  # noqa: BLE001  death must not wait for our mistakes
            log.debug("delivery before death failed: %r", error)
