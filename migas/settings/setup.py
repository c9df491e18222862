"""`setup()`: what a program says is resolved whole, and then published by one assignment.

The order is what matters. A run that ends in another thread meanwhile sees the settings of before
or those of after, and never a process that is set up and does not know its server yet.
"""

from __future__ import annotations

from migas import host, log
from migas.settings import EXIT_TIMEOUT, RANKS, TIMEOUT, base_url, permission, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from types import ModuleType

    from migas.settings.values import BeforeSend, Settings

_after_setup: list[Callable[[], None]] = []


def setup(
    *,
    endpoint: str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
    filename: str | os.PathLike[str] | None = None,
    save_config: bool = True,
    enabled: bool = True,
    timeout: float | None = None,
    exit_timeout: float = EXIT_TIMEOUT.default,
    error_text: str | None = None,
    timing: bool | None = None,
    redact: Callable[[str], str] | None = None,
    before_send: BeforeSend | None = None,
    first_run_notice: bool = False,
    ranks: str | None = None,
) -> None:
    """Tell this process where to report, once, before anything is sent.

    Nothing here raises: a value that cannot be used is a warning in the `migas` log, and an
    endpoint that cannot be used switches sending off rather than falling back to another server.
    What a site's policy file says beats what is said here.

    Args:
        endpoint: Base URL of a migas server, with or without `/graphql`. By default what
            `MIGAS_ENDPOINT` says, else the parent's when this is a child of a process that was
            set up, else the user's policy file's, else what an earlier call said, else the
            official server.
        user_id: UUID of the user. By default a random one kept in the user's configuration.
        session_id: UUID shared by all runs of this process. By default the parent's, else each
            run has its own.
        filename: A JSON file of the caller's own with `endpoint`, `user_id` and `session_id`;
            read when it exists, for what the arguments do not say.
        save_config: Whether `filename` is written (mode 0600) with the resulting values.
        enabled: False switches sending off for the rest of the process, also for runs that are
            under way: a library's later `setup()` does not undo a user's no.
        timeout: Seconds that an explicit call waits for its answer in total. By default what
            `MIGAS_TIMEOUT` says, else 5. 0 means never to wait.
        exit_timeout: Seconds that the end of the process waits for delivery where nothing may
            outlive the process.
        error_text: What is said of an error: `none`, `type` (of the exception, without its
            message) or `redacted`, the default. Of several wishes the one for less wins.
        timing: False keeps from every server when a run ended and how long it took. By default
            one that asks for it, as the official one does not, is told. Of several wishes a no
            wins.
        redact: A function of an already redacted text that returns it with more taken out. A text
            for which it fails does not leave.
        before_send: A function of the whole breadcrumb, a dict, that returns it, changed or not,
            or None to drop it. When it fails, the breadcrumb is dropped.
        first_run_notice: Whether a user is told once, on a terminal, in one line that names the
            opt-out, before anything is sent.
        ranks: `first`, the default: of an MPI job only rank 0 speaks. `all`: every one does.
    """
    try:
        kept: dict[str, str] = {}
        with values.changing():
            resolved = values.settings()
            resolved = resolved.replace(is_set_up=True, enabled=resolved.enabled and bool(enabled))
            is_permitted = permission.refusal_by_user() is None
            if is_permitted:
                resolved = _with_limits(resolved, timeout, exit_timeout, ranks)
                resolved = _with_privacy(resolved, error_text, timing, redact, before_send)
            else:
                # No file is read, nothing is inherited: so no server is known, should the program
                # take the opt-out back without a second call.
                resolved = resolved.replace(endpoint_error="setup() was called while opted out")
            if is_permitted and resolved.enabled:
                if filename is not None:
                    kept = _own_file().read(filename)
                given = kept.get("endpoint") if endpoint is None else endpoint
                ids = (user_id or kept.get("user_id"), session_id or kept.get("session_id"))
                resolved = _with_surroundings(resolved, given, ids)
            values.publish(resolved)
        if is_permitted:
            _tell_children(resolved)
        if is_permitted and resolved.enabled:
            if filename is not None and save_config and resolved.endpoint_error is None:
                # Neither a session nor what a variable or a parent said.
                ours = {"endpoint": given, "user_id": _identity().user_id()}
                _own_file().write(filename, kept | ours)
            if first_run_notice and not resolved.captured_by_test and permission.refusal() is None:
                from migas.settings import first_run, places

                first_run.tell_once(places.config_folder())
        for hook in _after_setup:
            hook()
    except Exception as error:  # noqa: BLE001  telemetry must never break a program
        values.change(is_set_up=True, endpoint_error="setup() failed")
        log.warning("setup() failed, nothing will be sent: %r", error)


def call_after_setup(hook: Callable[[], None]) -> None:
    """Have a function called after each `setup()`, for runs that were open before it."""
    _after_setup.append(hook)


def _with_limits(
    settings: Settings, timeout: float | None, exit_timeout: float, ranks: str | None
) -> Settings:
    given = settings.given_timeout
    if timeout is not None:
        given = float(values.meant("timeout", timeout, TIMEOUT))
    return settings.replace(
        given_timeout=given,
        timeout=values.timeout_named(given),
        exit_timeout=values.meant("exit_timeout", exit_timeout, EXIT_TIMEOUT),
        ranks=settings.ranks if ranks is None else values.meant("ranks", ranks, RANKS),
    )


def _with_privacy(
    settings: Settings,
    error_text: str | None,
    timing: bool | None,
    redact: Callable[[str], str] | None,
    before_send: BeforeSend | None,
) -> Settings:
    for name, function in (("redact", redact), ("before_send", before_send)):
        if function is not None and not callable(function):
            log.warning(
                "%s is %r; it must be a function. Until then nothing passes.", name, function
            )
    return settings.replace(
        error_text=values.error_text_wished(settings.error_text, error_text),
        timing=values.timing_wished(settings.timing, timing),
        # A later one is added: a program's own function must not be undone by a library's.
        redact=settings.redact if redact is None else (*settings.redact, redact),
        before_send=(
            settings.before_send if before_send is None else (*settings.before_send, before_send)
        ),
    )


def _with_surroundings(
    settings: Settings, endpoint: str | None, ids: tuple[str | None, str | None]
) -> Settings:
    """The settings with the server and the ids that arguments, parent and files name."""
    parent = _identity().from_ancestor()
    user_id, session_id = ids
    inherited = parent.session_id if parent else None
    return settings.replace(
        **_server(values.endpoint_named(endpoint, parent.endpoint if parent else None)),
        is_forbidden=parent is not None and parent.is_forbidding,
        given_user_id=_uuid("user_id", user_id) or settings.given_user_id,
        session_id=_uuid("session_id", session_id) or inherited or settings.session_id,
    )


def _server(named: str | None) -> dict[str, str | None]:
    """The settings that a named server means; none when no server is named."""
    if named is None:
        return {}
    try:
        return {"endpoint": base_url(named), "endpoint_error": None}
    except ValueError as error:
        log.warning("%s Nothing will be sent.", error)
        return {"endpoint": "", "endpoint_error": str(error)}  # never another server in its place


def _uuid(name: str, value: object) -> str | None:
    """A value as a UUID; one that is none is a warning, and None."""
    if value is None:
        return None
    from migas.message import canonical_uuid  # most programs give none

    canonical = canonical_uuid(value)
    if canonical is None:
        log.warning("setup(%s=%r) is ignored: it must be a UUID.", name, value)
    return canonical


def _tell_children(settings: Settings) -> None:
    """Leave the programs that this process starts its server and session, or its no."""
    if settings.enabled and not settings.is_forbidden:
        _identity().offer_to_children(settings.endpoint, settings.session_id)
    else:
        _identity().forbid_to_children()


def _own_file() -> ModuleType:
    """What few programs need."""
    from migas.settings import own_file

    return own_file


def _identity() -> ModuleType:
    """What a program that is opted out never needs."""
    with host.forks_held_off():
        from migas.settings import identity
    return identity
