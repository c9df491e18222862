"""Explicit calls: each asks the server, waits at most `MIGAS_TIMEOUT`, and answers with a dict.

Nothing here raises for the network's or the server's sake, and nothing prints. A server's answer is
untrusted: its shape is checked, and what has another one is a failure with a message.
"""

from __future__ import annotations

from migas import log
from migas.delivery import hooks, privacy
from migas.host.terminal import printable
from migas.message import (
    MAX_REQUEST_BYTES,
    compose,
    encode,
    fit,
    is_owner_and_repo,
    nested,
    plain_text,
)
from migas.settings import permission, values
from migas.transport.answers import NoAnswerError, stored_by_add_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol, TypedDict

    from migas.message import Breadcrumb
    from migas.transport.client import Client

    class Asks(Protocol):
        """What the explicit calls need of a server's client."""

        def add_project(self, crumb: Breadcrumb, timeout: float) -> dict[str, Any]:
            """Send one breadcrumb, and give what the server answers."""

        def query(
            self,
            query: str,
            variables: Mapping[str, Any],
            name: str,
            timeout: float,
            stores: Breadcrumb | None = None,
        ) -> Any:
            """Ask for one field of the server's schema; some store a breadcrumb."""

    class _Answer(TypedDict, total=False):
        success: bool
        message: str
        errors: list[dict[str, str]]

    class ProjectAnswer(_Answer, total=False):
        """What `add_project` answers."""

        latest_version: str | None
        bad_versions: list[str]
        cached: bool

    class BreadcrumbAnswer(_Answer):
        """What `add_breadcrumb` answers."""

    class CheckAnswer(_Answer, total=False):
        """What `check_project` answers."""

        flagged: bool
        latest: str

    class UsageAnswer(_Answer, total=False):
        """What `get_usage` answers."""

        hits: int
        unique: bool

    class ProjectsAnswer(_Answer, total=False):
        """What `get_projects` answers."""

        projects: list[str]

    Date = str | datetime.date | datetime.datetime

_ADD_BREADCRUMB = (
    "mutation($project:String!,$project_version:String!,$language:String!,"
    "$language_version:String!,$ctx:ContextInput!,$proc:ProcessInput!)"
    "{add_breadcrumb(project:$project,project_version:$project_version,language:$language,"
    "language_version:$language_version,ctx:$ctx,proc:$proc){success message}}"
)
_ADD_BREADCRUMB_BYTES = len(encode({"query": _ADD_BREADCRUMB, "variables": {}})) - len("{}")
_CHECK_PROJECT = (
    "query($p:String!,$v:String!){check_project(project:$p,project_version:$v)"
    "{success flagged latest message}}"
)
_GET_USAGE = (
    "query($p:String!,$s:DateTime!,$e:DateTime,$u:Boolean!)"
    "{get_usage(project:$p,start:$s,end:$e,unique:$u)}"
)
_GET_PROJECTS = "{get_projects}"

_PROJECT_SHAPE: dict[str, Any] = {
    "bad_versions": [],
    "cached": False,
    "latest_version": None,
    "message": "",
}
_CHECK_SHAPE: dict[str, Any] = {"flagged": False, "latest": "", "message": ""}
_USAGE_SHAPE: dict[str, Any] = {"hits": 0, "message": "", "unique": False}


def add_project(project: str, project_version: str, **fields: Any) -> ProjectAnswer:
    """Store one breadcrumb and learn what the server knows of newer versions.

    Args:
        project: `owner/repo`, as the server knows it.
        project_version: The running version, best in the form of PEP 440.
        **fields: Any of `status`, `status_desc`, `error_type`, `error_desc`, `session_id`,
            `user_id`, `user_type`, `platform`, `container`, `is_ci`, `language`,
            `language_version`.

    Returns:
        `{'bad_versions', 'cached', 'latest_version', 'message', 'success'}`; on failure `success`
        is false and `message` says why.
    """

    def compose() -> Breadcrumb:
        return privacy.compose(project, project_version, fields)

    def ask() -> Any:
        _check_breadcrumb(project, project_version, fields)
        client, timeout = _client(compose)
        return _stored(compose(), client, timeout)

    answer: ProjectAnswer = _answered(_PROJECT_SHAPE, ask)
    return answer


def add_breadcrumb(
    project: str,
    project_version: str,
    wait: bool = False,
    **fields: Any,
) -> BreadcrumbAnswer:
    """Leave one breadcrumb of a run that reports its own progress.

    Args:
        project: `owner/repo`, as the server knows it.
        project_version: The running version.
        wait: Whether to send it now and wait for the answer. Otherwise it is written to the spool
            and a courier is sent for it.
        **fields: As for `add_project`.

    Returns:
        `{'success', 'message'}`; without `wait`, the message says that it is queued.
    """

    def ask() -> Any:
        _check_breadcrumb(project, project_version, fields)
        if wait and not _is_kept_here():
            client, timeout = _client()
            composed = privacy.compose(project, project_version, fields)
            crumb = fit(composed, reserved=_ADD_BREADCRUMB_BYTES)
            what = _ADD_BREADCRUMB, nested(crumb), "add_breadcrumb"
            return _sent(crumb, lambda: client.query(*what, timeout, crumb))
        try:
            hooks.current().queue(privacy.compose(project, project_version, fields))
        except Exception as error:  # noqa: BLE001  telemetry must never break a program
            raise _NotAskedError(f"The breadcrumb could not be queued: {error!r}") from None
        if values.delivery() == "log":
            raise _NotAskedError(_KEPT)
        return {"success": True, "message": "The breadcrumb is queued."}

    answer: BreadcrumbAnswer = _answered({"message": ""}, ask)
    return answer


def check_project(project: str, project_version: str, **_ignored: Any) -> CheckAnswer:
    """Ask whether a newer version exists, or this one has been flagged.

    Args:
        project: `owner/repo`.
        project_version: The version to compare.

    Returns:
        `{'success', 'flagged', 'latest', 'message'}`.
    """

    def ask() -> Any:
        _check_project(project, project_version)
        if not any(character.isdigit() for character in project_version):
            raise _NotAskedError(
                f"The version {project_version!r} cannot be compared; it must be such as '1.2.3'."
            )
        client, timeout = _client()
        variables = {"p": project, "v": str(project_version)}
        answer = client.query(_CHECK_PROJECT, variables, "check_project", timeout)
        if isinstance(answer, dict) and not answer.get("success") and not answer.get("message"):
            answer = {**answer, "message": f"The server knows no newest version of {project!r}."}
        return answer

    answer: CheckAnswer = _answered(_CHECK_SHAPE, ask)
    return answer


def get_usage(
    project: str,
    start: Date,
    end: Date | None = None,
    unique: bool = False,
) -> UsageAnswer:
    """Ask how often a project was used.

    Args:
        project: `owner/repo`.
        start: The first moment that counts: a date, a datetime, or a text such as `2026-11-22` or
            `2026-11-22T10:00:00Z`. A datetime without a time zone is taken as local time.
        end: The last one; a date means 00:00 UTC of that day. By default now.
        unique: Whether to count users rather than breadcrumbs.

    Returns:
        `{'hits', 'message', 'unique', 'success'}`.
    """

    def ask() -> Any:
        dates = {"s": _date("start", start), "e": None if end is None else _date("end", end)}
        _check_project(project)
        client, timeout = _client()
        variables = {"p": project, **dates, "u": bool(unique)}
        return client.query(_GET_USAGE, variables, "get_usage", timeout)

    answer: UsageAnswer = _answered(_USAGE_SHAPE, ask)
    return answer


def get_projects() -> ProjectsAnswer:
    """Ask which projects the server tracks.

    Returns:
        `{'success', 'message', 'projects'}`, the projects as a list of `owner/repo`.
    """

    def ask() -> Any:
        client, timeout = _client()
        projects = client.query(_GET_PROJECTS, {}, "get_projects", timeout)
        is_list = isinstance(projects, list) and all(isinstance(name, str) for name in projects)
        return {"success": True, "message": "", "projects": projects} if is_list else None

    answer: ProjectsAnswer = _answered({"message": "", "projects": []}, ask)
    return answer


def send_composed(crumb: Breadcrumb) -> ProjectAnswer:
    """Store a breadcrumb that is already composed and answer as `add_project`."""
    answer: ProjectAnswer = _answered(_PROJECT_SHAPE, lambda: _stored(crumb, *_client()))
    return answer


def flush(timeout: float = 5.0) -> bool:
    """Have everything that waits in the spool sent now.

    Args:
        timeout: Seconds to wait for it.

    Returns:
        Whether nothing waits any more.
    """
    try:
        if permission.refusal() is not None:
            return False
        return hooks.current().flush(max(float(timeout), 0.0))
    except Exception as error:  # noqa: BLE001  telemetry must never break a program
        log.debug("flush failed: %r", error)
        return False


_clients: dict[str, Client] = {}
_only_client: Asks | None = None


def replace_client(client: Asks | None) -> Asks | None:
    """Have one client answer for every server, as a test does, or None; return the one before."""
    global _only_client
    _only_client, previous = client, _only_client
    return previous


def client_for(endpoint: str) -> Client:
    """The pooled client of this process for a server."""
    import os

    from migas.transport.client import Client

    # A forked child must not speak on its parent's connections.
    key = f"{os.getpid()} {endpoint}"
    client = _clients.get(key)
    if client is None:
        from migas.spool import servers

        client = Client(endpoint, servers.of_this_user())
        _clients.clear()
        _clients[key] = client
    return client


_KEPT = "The delivery is 'log': nothing is sent."
_SPOOLED = "The delivery is 'spool': nothing is sent now, and no server is asked."


class _NotAskedError(Exception):
    """Why no server is asked; the message is the caller's."""


def _answered(shape: dict[str, Any], ask: Callable[[], Any]) -> Any:
    """What asking comes to, in the promised shape, whatever comes back.

    Args:
        shape: What is answered beside `success`, and its defaults.
        ask: Gives the server's answer, or raises `_NotAskedError`.
    """
    try:
        refusal = permission.refusal()
        if refusal is not None:
            return permission.refused(refusal, shape)
        answer = ask()
        if isinstance(answer, dict) and isinstance(answer.get("success"), bool):
            return _shaped(answer, shape)
        message = "The answer has another shape."
    except _NotAskedError as reason:
        message = str(reason)
    except NoAnswerError as error:
        log.debug("%s: %s", values.settings().endpoint, error)
        message = str(error)
    except Exception as error:  # noqa: BLE001  telemetry must never break a program
        log.debug("an explicit call failed: %r", error)
        message = printable(f"The call failed: {error!r}")
    return {**shape, "success": False, "message": message}


def _client(compose_it: Callable[[], Breadcrumb] | None = None) -> tuple[Asks, float]:
    """The client of the server that is to be asked, and how many seconds it has to answer.

    Args:
        compose_it: Gives the breadcrumb to keep where nothing may be sent now.

    Raises:
        _NotAskedError: No server may be asked, or no time is given to it.
    """
    if _is_kept_here():
        if compose_it is not None:
            try:
                hooks.current().queue(compose_it())
            except Exception as error:  # noqa: BLE001  telemetry must never break a program
                log.debug("a breadcrumb could not be kept: %r", error)
        raise _NotAskedError(_KEPT if values.delivery() == "log" else _SPOOLED)
    settings = values.settings()
    if settings.timeout <= 0:
        raise _NotAskedError("MIGAS_TIMEOUT is 0: nothing is waited for.")
    return _only_client or client_for(settings.endpoint), settings.timeout


def _is_kept_here() -> bool:
    """Whether a program's calls open no connection either; a person's commands may."""
    return not values.settings().asked_by_user and values.delivery() in ("log", "spool")


def _shaped(answer: dict[str, Any], shape: dict[str, Any]) -> dict[str, Any]:
    shaped = {"success": answer["success"]}
    for name, default in shape.items():
        value = answer.get(name, default)
        if isinstance(value, str):
            value = printable(value)
        elif isinstance(value, list):
            value = [printable(member) for member in value if isinstance(member, str)]
        is_expected = default is None or value is None or isinstance(value, type(default))
        shaped[name] = value if is_expected else default
    return shaped


def _stored(crumb: Breadcrumb, client: Asks, timeout: float) -> dict[str, Any]:
    """What a server answers to `add_project`, with a message where it said no and why."""
    answer: dict[str, Any] = _sent(crumb, lambda: client.add_project(crumb, timeout))
    project = crumb["project"]
    if answer["success"] or answer.get("message"):
        return answer
    if stored_by_add_project(answer):
        message = f"The breadcrumb is stored; no newest version of {project!r} is known."
    else:
        message = f"The server does not know the project {project!r}."
    return {**answer, "message": message}


def _sent(crumb: Breadcrumb, send: Callable[[], Any]) -> Any:
    """What a server answers to a breadcrumb that is sent now, before others that wait.

    An end overtakes what waits to say that its run goes on, as it does in the spool: behind it that
    would undo it, on a server which believes what came last. Without an answer nothing is dropped.
    """
    delivery, session = hooks.current(), crumb.get("session_id")
    if crumb.get("status", "R") == "R":
        delivery.running_was_sent(session)
        return send()
    answer = send()
    delivery.drop_running(session)
    return answer


def _check_breadcrumb(project: object, version: object, fields: Mapping[str, Any]) -> None:
    status = fields.get("status")
    if status is not None and not compose({"status": status}):
        # Left out, the server would take the breadcrumb for one of a run that goes on.
        raise _NotAskedError(
            f"The status {plain_text(status)!r} is not known; it must be R, C, F or S."
        )
    _check_project(project, version)


def _check_project(project: object, version: object = "") -> None:
    if not isinstance(project, str):
        problem = f"The project {project!r} is not a text; it must be 'owner/repo'."
    elif not is_owner_and_repo(project):
        problem = f"The project {project!r} cannot be known to a server; it must be 'owner/repo'."
    elif not isinstance(version, str):
        problem = f"The version {plain_text(version)!r} is not a text; it must be such as '1.2.3'."
    elif len(project) + len(version) > MAX_REQUEST_BYTES // 2:
        problem = "The project and its version are longer than a request may be."
    else:
        return
    raise _NotAskedError(problem)


def _date(name: str, value: object) -> str:
    """A date in the two forms that servers read."""
    import datetime

    try:
        if isinstance(value, str):
            is_date = len(value) == len("2026-11-22")
            value = (datetime.date if is_date else datetime.datetime).fromisoformat(value)
        if isinstance(value, datetime.datetime):
            return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if isinstance(value, datetime.date):
            return value.isoformat()
    except (ValueError, OverflowError):
        log.debug("%s is no date: %r", name, value)
    raise _NotAskedError(
        f"{name} is {value!r}; it must be a date such as '2026-11-22' or a datetime."
    )
