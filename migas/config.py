"""Settings of this process: what `setup()` was told, what the environment says, whether to send.

`refusal()` is the one place where sending is permitted or not. Everything that could leave a byte,
a file, a thread or a process asks it first.
"""

from __future__ import annotations

import os
import sys

from migas import identity, inheritance, log
from migas.breadcrumb import canonical_uuid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_ENDPOINT = "https://migas.nipreps.org"
DEFAULT_TIMEOUT = 5.0
DEFAULT_EXIT_TIMEOUT = 1.0
DELIVERIES = ("auto", "detached", "inline", "spool", "log")

VARIABLES = {
    "MIGAS_OPTOUT": "Any non-empty value: nothing is sent, written or started.",
    "DO_NOT_TRACK": "Any non-empty value but 0, false, no and off: the same.",
    "MIGAS_ENDPOINT": "Base URL of the server, with or without /graphql.",
    "MIGAS_TIMEOUT": "Seconds to wait for a server's answer, in total. Default 5; 0 never waits.",
    "MIGAS_DELIVERY": "auto (default), detached, inline, spool or log.",
    "MIGAS_STATE_DIR": "Folder for what waits to be sent.",
    "MIGAS_LOG_LEVEL": "Log to stderr at this level: DEBUG, INFO, WARNING, ERROR.",
}
"""Every environment variable that the client reads, and what it means."""

_FALSE_WORDS = ("0", "false", "no", "off")


class Settings:
    """What this process was told by `setup()`; one object, changed in place."""

    __slots__ = (
        "enabled",
        "endpoint",
        "endpoint_error",
        "exit_timeout",
        "given_user_id",
        "is_set_up",
        "session_id",
        "timeout",
    )

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything, as before the first `setup()`."""
        self.is_set_up = False
        self.enabled = True
        self.endpoint: str = DEFAULT_ENDPOINT
        self.endpoint_error: str | None = None
        self.given_user_id: str | None = None
        self.session_id: str | None = None
        self.timeout: float = DEFAULT_TIMEOUT
        self.exit_timeout: float = DEFAULT_EXIT_TIMEOUT


settings = Settings()
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
) -> None:
    """Tell this process where to report, once, before anything is sent.

    Nothing here raises: a value that cannot be used is a warning in the `migas` log, and an
    endpoint that cannot be used switches sending off rather than falling back to another server.

    Args:
        endpoint: Base URL of a migas server, with or without `/graphql`. By default what
            `MIGAS_ENDPOINT` says, else the parent's when this is a child of a process that was
            set up, else what an earlier call said, else the official server.
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
    """
    try:
        _setup(endpoint, user_id, session_id, filename, save_config, enabled, timeout, exit_timeout)
        for hook in _after_setup:
            hook()
    except Exception as error:  # noqa: BLE001  telemetry must never break a program
        settings.endpoint_error = "setup() failed"
        log.warning("setup() failed, nothing will be sent: %r", error)


def call_after_setup(hook: Callable[[], None]) -> None:
    """Have a function called after each `setup()`, for runs that were open before it."""
    _after_setup.append(hook)


def _setup(  # noqa: PLR0917  the public names, handed on in their order
    endpoint: str | None,
    user_id: str | None,
    session_id: str | None,
    filename: str | os.PathLike[str] | None,
    save_config: bool,
    enabled: bool,
    timeout: float | None,
    exit_timeout: float,
) -> None:
    settings.is_set_up = True
    settings.enabled = settings.enabled and bool(enabled)
    settings.exit_timeout = _seconds("exit_timeout", exit_timeout, DEFAULT_EXIT_TIMEOUT)
    settings.timeout = _timeout(timeout)
    if refusal(environment_only=True) is not None or not settings.enabled:
        return  # opted out: no file is read, nothing is inherited
    kept = _read_file(filename) if filename is not None else {}
    parent = inheritance.from_ancestor()

    chosen = (
        endpoint
        or kept.get("endpoint")
        or os.environ.get("MIGAS_ENDPOINT")
        or (parent.endpoint if parent else None)
    )
    if chosen is not None:
        settings.endpoint_error = None
        try:
            settings.endpoint = base_url(chosen)
        except ValueError as error:
            settings.endpoint_error = str(error)
            log.warning("%s Nothing will be sent.", error)

    settings.given_user_id = _uuid("user_id", user_id or kept.get("user_id"))
    settings.session_id = (
        _uuid("session_id", session_id or kept.get("session_id"))
        or (parent.session_id if parent else None)
        or settings.session_id
    )
    inheritance.offer_to_children(settings.endpoint, settings.session_id)
    if filename is not None and save_config:
        _write_file(filename)


def refusal(*, environment_only: bool = False) -> str | None:
    """Why nothing may be sent, or None when sending is permitted: the one gate.

    Args:
        environment_only: Ask only what cannot change later in this process, as a decorator does
            before `setup()` had its chance.

    Returns:
        A phrase such as `MIGAS_OPTOUT is set`, or None.
    """
    if os.environ.get("MIGAS_OPTOUT"):
        return "MIGAS_OPTOUT is set"
    do_not_track = os.environ.get("DO_NOT_TRACK", "")
    if do_not_track and do_not_track.strip().lower() not in _FALSE_WORDS:
        return "DO_NOT_TRACK is set"
    if environment_only:
        return None
    if not settings.is_set_up:
        return "setup() was not called"
    if not settings.enabled:
        return "setup(enabled=False) was called"
    if settings.endpoint_error is not None:
        return settings.endpoint_error
    if settings.endpoint == DEFAULT_ENDPOINT and "PYTEST_VERSION" in os.environ:
        return "a test must not reach the official server"
    return None


def delivery() -> str:
    """The chosen way of delivery, one of `DELIVERIES`."""
    asked = os.environ.get("MIGAS_DELIVERY", "").strip().lower()
    if asked and asked not in DELIVERIES:
        log.warning("MIGAS_DELIVERY is %r; it must be one of %s.", asked, ", ".join(DELIVERIES))
        return "spool"
    return asked or "auto"


def state_folder() -> str:
    """Where breadcrumbs wait to be sent: `MIGAS_STATE_DIR`, else the user's state directory.

    Raises:
        RuntimeError: No home directory is known for this user.
    """
    chosen = os.environ.get("MIGAS_STATE_DIR")
    if chosen:
        return os.path.abspath(chosen)
    # On Linux platformdirs says the same (a test compares), at 22 ms of import time in every run.
    if sys.platform.startswith("linux"):
        return os.path.join(_xdg_folder("XDG_STATE_HOME", ".local", "state"), "migas")
    import platformdirs

    return platformdirs.user_state_dir("migas", appauthor=False)


def config_folder() -> str:
    """Where the user's own choices and id are kept.

    Raises:
        RuntimeError: No home directory is known for this user.
    """
    if sys.platform.startswith("linux"):
        return os.path.join(_xdg_folder("XDG_CONFIG_HOME", ".config"), "migas")
    import platformdirs

    return platformdirs.user_config_dir("migas", appauthor=False)


def user_id() -> str | None:
    """The user's id for a breadcrumb: the one given to `setup()`, else the kept one."""
    if settings.given_user_id is not None:
        return settings.given_user_id
    try:
        folder = config_folder()
        return identity.user_id(folder, persists=_persists(folder))
    except (OSError, RuntimeError) as error:
        log.debug("no user id: %s", error)
        return None


def base_url(endpoint: object) -> str:
    """The base URL of a server from any of the forms in which people give it.

    Raises:
        ValueError: It is no http or https URL with a host.
    """
    from urllib.parse import urlsplit

    text = str(endpoint).strip()
    expected = "it must be an http:// or https:// URL such as https://migas.example.org."
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_usable = is_usable and (parts.port is None or parts.port > 0)
    except ValueError:
        is_usable = False
    if not is_usable or any(ord(char) <= 32 for char in text) or "?" in text or "#" in text:
        raise ValueError(f"The endpoint {text!r} cannot be used: {expected}")
    return text.rstrip("/").removesuffix("/graphql").rstrip("/")


def _xdg_folder(variable: str, *below_home: str) -> str:
    # The XDG Base Directory Specification: a relative value is to be ignored.
    value = os.environ.get(variable, "").strip()
    if value and os.path.isabs(value):
        return value
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise RuntimeError("no home directory is known for this user")
    return os.path.join(home, *below_home)


def _persists(folder: str) -> bool:
    """Whether a folder outlives this run: not one on a throw-away container's own root."""
    from migas import environment

    if environment.container() == "unknown":
        return True
    existing = folder
    while existing != os.path.dirname(existing) and not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    return os.stat(existing).st_dev != os.stat("/").st_dev


def _uuid(name: str, value: object) -> str | None:
    if value is None:
        return None
    canonical = canonical_uuid(value)
    if canonical is None:
        log.warning("setup(%s=%r) is ignored: it must be a UUID.", name, value)
    return canonical


def _seconds(name: str, value: object, default: float) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        log.warning("%s is %r; it must be a number of seconds, 0 or more.", name, value)
        return default
    return seconds


def _timeout(argument: float | None) -> float:
    if argument is not None:
        return _seconds("timeout", argument, DEFAULT_TIMEOUT)
    from_environment = os.environ.get("MIGAS_TIMEOUT", "").strip()
    if from_environment:
        return _seconds("MIGAS_TIMEOUT", from_environment, DEFAULT_TIMEOUT)
    return DEFAULT_TIMEOUT


def _read_file(filename: str | os.PathLike[str]) -> dict[str, str]:
    import json

    try:
        with open(filename, encoding="utf-8") as file:
            kept = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read as settings: %s", filename, error)
        return {}
    if not isinstance(kept, dict):
        log.warning("%s holds no JSON object; it is ignored.", filename)
        return {}
    return {name: value for name, value in kept.items() if isinstance(value, str)}


def _write_file(filename: str | os.PathLike[str]) -> None:
    import json

    path = os.fspath(filename)
    draft = f"{path}.{os.urandom(8).hex()}"
    values = {
        "endpoint": settings.endpoint,
        "user_id": user_id(),
        "session_id": settings.session_id,
    }
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({name: value for name, value in values.items() if value}, file)
        os.replace(draft, path)
    except OSError as error:
        log.warning("The settings cannot be saved in %s: %s", path, error)
