"""Settings of this process: what `setup()` was told, and what environment and files say besides."""

from __future__ import annotations

import os

from migas import log
from migas.host import forks
from migas.settings import (
    DEFAULT_ENDPOINT,
    DEFAULT_EXIT_TIMEOUT,
    DEFAULT_TIMEOUT,
    VARIABLES,
    as_uuid,
    choice,
    permission,
    policy,
    seconds,
    settings,
)
from migas.settings.places import config_folder, persists, state_folder
from migas.settings.policy import DELIVERIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from migas.settings import BeforeSend

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
    exit_timeout: float = DEFAULT_EXIT_TIMEOUT,
    error_text: str | None = None,
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
        redact: A function of an already redacted text that returns it with more taken out. A text
            for which it fails does not leave.
        before_send: A function of the whole breadcrumb, a dict, that returns it, changed or not,
            or None to drop it. When it fails, the breadcrumb is dropped.
        first_run_notice: Whether a user is told once, on a terminal, in one line that names the
            opt-out, before anything is sent.
        ranks: `first`, the default: of an MPI job only rank 0 speaks. `all`: every one does.
    """
    try:
        settings.is_set_up = True
        settings.enabled = settings.enabled and bool(enabled)
        settings.exit_timeout = seconds("exit_timeout", exit_timeout, DEFAULT_EXIT_TIMEOUT)
        if timeout is not None:
            settings.given_timeout = seconds("timeout", timeout, DEFAULT_TIMEOUT)
        settings.timeout = _timeout(settings.given_timeout)
        _set_privacy(error_text, redact, before_send)
        if ranks is not None:
            settings.ranks = choice("ranks", ranks, ("first", "all"), settings.ranks)
        # Opted out: no file is read or written, nothing is inherited.
        is_permitted = permission.refusal(environment_only=True) is None
        if is_permitted and not settings.enabled:
            _forbid_to_children()
        elif is_permitted:
            _setup(endpoint, (user_id, session_id), filename, save_config)
            if first_run_notice and not settings.is_captured and permission.refusal() is None:
                from migas.settings import first_run

                first_run.tell_once(config_folder())
        for hook in _after_setup:
            hook()
    except Exception as error:  # noqa: BLE001  telemetry must never break a program
        settings.endpoint_error = "setup() failed"
        log.warning("setup() failed, nothing will be sent: %r", error)


def _forbid_to_children() -> None:
    with forks.held_off():
        from migas.settings import inheritance

    inheritance.forbid_to_children()


def call_after_setup(hook: Callable[[], None]) -> None:
    """Have a function called after each `setup()`, for runs that were open before it."""
    _after_setup.append(hook)


def _setup(
    endpoint: str | None,
    given_ids: tuple[str | None, str | None],
    filename: str | os.PathLike[str] | None,
    save_config: bool,
) -> None:
    with forks.held_off():  # who is opted out never needs them
        from migas.settings import identity, inheritance  # noqa: F401
    kept: dict[str, str] = {}
    if filename is not None:
        from migas.settings import own_file

        kept = own_file.read(filename)
    parent = inheritance.from_ancestor()
    settings.is_forbidden = parent is not None and parent.is_forbidding
    given = kept.get("endpoint") if endpoint is None else endpoint
    _set_endpoint(endpoint_named(given, parent.endpoint if parent else None))

    given_user, given_session = given_ids
    settings.given_user_id = (
        as_uuid("user_id", given_user or kept.get("user_id")) or settings.given_user_id
    )
    settings.session_id = (
        as_uuid("session_id", given_session or kept.get("session_id"))
        or (parent.session_id if parent else None)
        or settings.session_id
    )
    if settings.is_forbidden:
        inheritance.forbid_to_children()
    else:
        inheritance.offer_to_children(settings.endpoint, settings.session_id)
    if filename is not None and save_config and settings.endpoint_error is None:
        # Neither a session nor what a variable or a parent said: they are this run's alone.
        own_file.write(filename, {**kept, "endpoint": given, "user_id": user_id()})


def _set_endpoint(named: str | None) -> None:
    if named is None:
        return
    settings.endpoint_error = None
    try:
        settings.endpoint = base_url(named)
    except ValueError as error:
        settings.endpoint = ""  # never another server in its place
        settings.endpoint_error = str(error)
        log.warning("%s Nothing will be sent.", error)


def endpoint_named(argument: str | None = None, inherited: str | None = None) -> str | None:
    """The server that reports are to go to, of all that name one.

    Args:
        argument: What the program says.
        inherited: What a parent that was set up uses.

    Returns:
        What was named first in the order of precedence, unchecked, or None when nothing was.
    """
    decided = policy.site("endpoint")
    if decided is None and argument is not None:
        return argument  # an empty one, too: a mistake that must not lead to another server
    return decided or os.environ.get("MIGAS_ENDPOINT") or inherited or policy.user("endpoint")


def _set_privacy(
    error_text: str | None, redact: Callable[[str], str] | None, before_send: BeforeSend | None
) -> None:
    wishes = [settings.error_text, policy.site("error_text"), policy.user("error_text")]
    if error_text is not None:
        wishes.append(choice("error_text", error_text, policy.ERROR_TEXTS, "none"))
    order = policy.ERROR_TEXTS.index
    settings.error_text = min((wish for wish in wishes if wish is not None), key=order)
    for name, function in (("redact", redact), ("before_send", before_send)):
        if function is not None and not callable(function):
            log.warning(
                "%s is %r; it must be a function. Until then nothing passes.", name, function
            )
    # A later one is added: a program's own function must not be undone by a library's.
    if redact is not None:
        settings.redact = (*settings.redact, redact)
    if before_send is not None:
        settings.before_send = (*settings.before_send, before_send)


def delivery() -> str:
    """The chosen way of delivery, one of `DELIVERIES`."""
    decided = policy.site("delivery")
    if decided is not None:
        return str(decided)
    asked = os.environ.get("MIGAS_DELIVERY", "").strip().lower()
    if asked and asked not in DELIVERIES:
        log.warning("MIGAS_DELIVERY is %r; it must be one of %s.", asked, ", ".join(DELIVERIES))
        return "spool"
    return asked or policy.user("delivery") or "auto"


def session_id() -> str:
    """The session of what this process says outside any run: the given one, else one of its own."""
    if settings.session_id is not None:
        return settings.session_id
    if settings.own_session_id is None:
        from migas.settings import identity

        settings.own_session_id = identity.random_uuid()
    return settings.own_session_id


def user_id() -> str | None:
    """The user's id for a breadcrumb: the one given to `setup()`, else the kept one."""
    if settings.given_user_id is not None or settings.is_captured:
        return settings.given_user_id
    from migas.settings import identity

    try:
        return identity.user_id(config_folder(), persists=persists)
    except (OSError, RuntimeError) as error:
        log.debug("no user id: %s", error)
        return None


def base_url(endpoint: object) -> str:
    """The base URL of a server from any of the forms in which people give it.

    Raises:
        ValueError: It is no http or https URL with a host.
    """
    text = str(endpoint).strip()
    if not policy.is_url(text):
        raise ValueError(
            f"The endpoint {text!r} cannot be used: it must be an http:// or https:// URL such as "
            "https://migas.example.org."
        )
    return text.rstrip("/").removesuffix("/graphql").rstrip("/")


def _timeout(argument: float | None) -> float:
    decided = policy.site("timeout")
    if decided is not None:
        return float(decided)
    if argument is not None:
        return argument
    from_environment = os.environ.get("MIGAS_TIMEOUT", "").strip()
    if from_environment:
        return seconds("MIGAS_TIMEOUT", from_environment, DEFAULT_TIMEOUT)
    by_user = policy.user("timeout")
    return DEFAULT_TIMEOUT if by_user is None else float(by_user)
