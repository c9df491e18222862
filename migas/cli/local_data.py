"""What migas keeps on this machine: told to the person it belongs to, and erased for them.

What is erased in the state folder is `spool.layout.erase_all`'s to say.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from migas import message, settings
from migas.delivery import privacy, spawn
from migas.settings import identity, permission, places, policy, setup, values
from migas.spool import Spool, layout
from migas.spool.record import as_sent
from migas.spool.servers import Backoff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from migas.message import Breadcrumb


def status() -> dict[str, Any]:
    """Whether runs are reported from here and why, to whom, and what is kept where.

    Returns:
        `enabled`, `reason` (why not, or None), `endpoint`, `user_id`, `delivery`, `courier`
        (what sends from here, and why), `timeout` (seconds), `error_text`, `timing`, `variables`
        (those that are set), `config_folder`, `policies` (`path` and `problem` of each file that
        was found), `spool` (`folder` and how many lie where), `last_success` and `last_failure`
        (seconds since the epoch, or None), `last_failure_reason`.
    """
    setup.setup()
    reason = permission.refusal()
    folder = _folder(_config_folder)
    files = [] if policy.silent() else [*policy.site_files(), *policy.user_files()]
    return {
        "enabled": reason is None,
        "reason": reason,
        "endpoint": _endpoint(),
        "user_id": identity.kept_user_id(folder) if folder and reason is None else None,
        "delivery": values.delivery(),
        "courier": str(spawn.find_way()),
        "timeout": values.settings().timeout,
        "error_text": values.settings().error_text,
        "timing": values.settings().timing,
        "variables": {
            name: settings.without_credentials(os.environ[name])
            for name in settings.VARIABLES
            if os.environ.get(name)
        },
        "config_folder": folder,
        "policies": [{"path": file.path, "problem": file.problem} for file in files],
        "spool": _spool_counts(),
        **_last_contacts(),
    }


def _endpoint() -> str | None:
    """The server that reports go to or, for who is opted out, would go to; no credentials."""
    try:
        named = values.endpoint_named() or values.settings().endpoint
        return settings.base_url(settings.without_credentials(named))
    except ValueError:
        return None


class Request(NamedTuple):
    """One request as it would be made now: its server, its body, what goes beside it in headers."""

    server: str
    body: bytes
    headers: dict[str, str]


def _request(endpoint: str, crumb: Breadcrumb) -> Request:
    folder = _folder(places.state_folder)
    accepted = Backoff(folder).accepts(endpoint) if folder else []
    return Request(endpoint, message.graphql_body(crumb), message.timing_headers(crumb, accepted))


def waiting() -> list[Request]:
    """What waits to be sent, a request for each breadcrumb."""
    folder = _folder(places.state_folder)
    if folder is None:
        return []
    spool = Spool(folder)
    found = []
    for entry in spool.entries():
        try:
            record = spool.read(spool.folder(layout.READY, entry.name))
        except (OSError, ValueError):
            continue  # sent meanwhile, or nothing that would ever be
        found.append(_request(record["endpoint"], as_sent(record, time.time())))
    return found


def given_up() -> int:
    """How many breadcrumbs were given up as too old, lately.

    Raises:
        RuntimeError: No home directory is known for this user, or it does not answer.
    """
    return Spool(places.state_folder()).dropped().get("too old", 0)


def example(project: str, version: str) -> Request:
    """What a run of a project that completes now would send.

    Only the session is another one for each run. Whoever has no user id yet gets one, as by a run.

    Raises:
        privacy.DroppedError: It would not be sent at all.
    """
    setup.setup()
    fields = {"status": "C", "status_desc": "Completed", "duration": 0}
    return _request(values.settings().endpoint, privacy.compose(project, version, fields))


def opt_out() -> str:
    """Leave the marker that switches everything off for this user; return its path.

    Raises:
        OSError: It cannot be written.
        RuntimeError: No home directory is known for this user, or it does not answer.
    """
    folder = _config_folder()
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, policy.MARKER_NAME)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    return path


def opt_in() -> str | None:
    """Take the marker away again.

    Returns:
        Why nothing is sent all the same, or None.

    Raises:
        OSError: It cannot be removed.
        RuntimeError: No home directory is known for this user, or it does not answer.
    """
    try:
        os.unlink(os.path.join(_config_folder(), policy.MARKER_NAME))
    except FileNotFoundError:
        pass
    return permission.refusal_by_user()


def forget() -> tuple[bool, int]:
    """Erase the user id and everything in the spool, and nothing that migas has not made.

    Returns:
        Whether there was a user id, and how many breadcrumbs were erased.

    Raises:
        OSError: Something cannot be erased.
        RuntimeError: A folder does not answer.
    """
    config_folder = _folder(_config_folder, must_answer=True)
    root = _folder(places.state_folder, must_answer=True)
    had_id = config_folder is not None and identity.forget_user_id(config_folder)
    return had_id, 0 if root is None else layout.erase_all(root)


def forget_at_server() -> int | None:
    """Have the server delete all that it holds of the kept user id.

    Returns:
        How many breadcrumbs it has deleted, or None when no user id is kept here.

    Raises:
        NoAnswerError: The server does not say that it has.
    """
    from migas import calls
    from migas.transport.answers import forgotten

    folder = _folder(_config_folder)
    user_id = identity.kept_user_id(folder) if folder else None
    if user_id is None:
        return None
    client = calls.client_for(values.settings().endpoint)
    return forgotten(client.ask("DELETE", f"/api/users/{user_id}", b"", values.settings().timeout))


def _config_folder() -> str:
    folder = places.config_folder()
    if places.silent(folder):
        raise places.SilentError(folder)
    return folder


def _folder(ask: Any, *, must_answer: bool = False) -> str | None:
    try:
        return str(ask())
    except RuntimeError as error:
        if must_answer and isinstance(error, places.SilentError):
            raise
        return None


def _spool_counts() -> dict[str, Any]:
    folder = _folder(places.state_folder)
    if folder is None:
        return {"folder": None}
    spool = Spool(folder)
    return {"folder": folder, **spool.count(), "dropped": spool.dropped()}


def _last_contacts() -> dict[str, Any]:
    folder = _folder(places.state_folder)
    states = Backoff(folder).states() if folder else {}
    success = max((state.get("last_success", 0.0) for state in states.values()), default=0.0)
    failed = max(states.values(), key=lambda state: state.get("last_failure", 0.0), default=None)
    failure = failed.get("last_failure", 0.0) if failed else 0.0
    return {
        "last_success": success or None,
        "last_failure": failure or None,
        "last_failure_reason": failed.get("reason") if failed and failure else None,
    }


def moment(seconds: float | None) -> str:
    """A time as people read it, in their own time zone."""
    if seconds is None:
        return "never"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
