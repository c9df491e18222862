"""What migas keeps on this machine: told to the person it belongs to, switched off, and erased.

What is erased in the state folder is `spool.layout.erase_all`'s to say.
"""
# ruff: noqa: T201  commands print

from __future__ import annotations

import json
import os
import time

from migas import message, settings
from migas.cli.parser import complain, counted, project_problem, tell
from migas.delivery import privacy, spawn
from migas.settings import identity, permission, places, policy, setup, values
from migas.spool import Spool, layout
from migas.spool.record import as_sent
from migas.spool.servers import Backoff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator
    from typing import Any

    from migas.message import Breadcrumb


def status(options: Namespace) -> int:
    """Tell whether runs are reported from here and why, to whom, and what is kept where."""
    told = _facts()
    spool = told["spool"]
    lines = {
        "reporting": "enabled" if told["enabled"] else f"off: {told['reason']}",
        "server": told["endpoint"] or "none",
        "user id": told["user_id"] or "none",
        "delivery": told["delivery"],
        "sent by": told["courier"],
        "about errors": told["error_text"],
        "about times": "told to servers that ask" if told["timing"] else "never told",
        "variables": " ".join(f"{n}={v}" for n, v in told["variables"].items()) or "none set",
        "policy files": ", ".join(
            file["path"] + (f" ({file['problem']})" if file["problem"] else "")
            for file in told["policies"]
        )
        or "none",
        "your choices": told["config_folder"] or "no folder is known that answers",
        "spool": spool["folder"] or "no folder is known that answers",
    }
    if spool["folder"] is not None:
        dropped = ", ".join(f"{number} {reason}" for reason, number in spool["dropped"].items())
        lines["in the spool"] = (
            f"{spool['ready']} waiting, {spool['sending']} being sent, {spool['open']} of running "
            f"programs, {spool['aside']} set aside; given up: {dropped or 'none'}"
        )
    lines["last success"] = _moment(told["last_success"])
    failure = f": {told['last_failure_reason']}" if told["last_failure_reason"] else ""
    lines["last failure"] = _moment(told["last_failure"]) + failure
    tell(options, told, "\n".join(f"{name:13} {value}" for name, value in lines.items()))
    return 0


def _facts() -> dict[str, Any]:
    """What `status` tells; times are seconds since the epoch, and None is what is not there."""
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
        **_spool_facts(),
    }


def _endpoint() -> str | None:
    """The server that reports go to or, for who is opted out, would go to; no credentials."""
    try:
        named = values.endpoint_named() or values.settings().endpoint
        return settings.base_url(settings.without_credentials(named))
    except ValueError:
        return None


def _spool_facts() -> dict[str, Any]:
    folder = _folder(places.state_folder)
    spool = Spool(folder) if folder else None
    states = Backoff(folder).states() if folder else {}
    success = max((state.get("last_success", 0.0) for state in states.values()), default=0.0)
    failed = max(states.values(), key=lambda state: state.get("last_failure", 0.0), default=None)
    failure = failed.get("last_failure", 0.0) if failed else 0.0
    counts = {**spool.count(), "dropped": spool.dropped()} if spool else {}
    return {
        "spool": {"folder": folder, **counts},
        "last_success": success or None,
        "last_failure": failure or None,
        "last_failure_reason": failed.get("reason") if failed and failure else None,
    }


def _moment(seconds: float | None) -> str:
    """A time as people read it, in their own time zone."""
    if seconds is None:
        return "never"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def show(options: Namespace) -> int:
    """Show the exact bytes that wait to be sent or, of a project, that a run would send."""
    setup.setup()
    # What waits goes to the server that its program named, whatever this process would do.
    reason = permission.refusal_by_user() if options.project is None else permission.refusal()
    if reason is not None:
        tell(options, {"reason": reason, "requests": []}, f"Nothing is sent: {reason}.")
        return 0
    folder = _folder(places.state_folder)
    if options.project is None:
        crumbs = list(_waiting(Spool(folder))) if folder else []
    elif (problem := project_problem(options.project)) is not None:
        return complain(problem)
    else:
        crumbs = _example(options.project, options.version)
    requests = []
    for endpoint, crumb in crumbs:
        accepted = Backoff(folder).accepts(endpoint) if folder else []
        headers = message.timing_headers(crumb, accepted)
        body = message.graphql_body(crumb).decode()
        requests.append({"url": f"{endpoint}/graphql", "headers": headers, "body": body})
        if not options.json:
            beside = "".join(f"{name}: {value}\n" for name, value in headers.items())
            print(f"POST {endpoint}/graphql\n{beside}{body}")
    if options.json:
        print(json.dumps({"reason": None, "requests": requests}))
    elif not requests:
        print("Nothing waits. To see what a run would send: migas show --project OWNER/REPO")
    return 0


def _waiting(spool: Spool) -> Iterator[tuple[str, Breadcrumb]]:
    """What waits to be sent, and to which server."""
    for entry in spool.entries():
        try:
            record = spool.read(spool.folder(layout.READY, entry.name))
        except (OSError, ValueError):
            continue  # sent meanwhile, or nothing that would ever be
        yield record["endpoint"], as_sent(record, time.time())


def _example(project: str, version: str) -> list[tuple[str, Breadcrumb]]:
    """What a run that completes now would send, if anything.

    Only the session is another one for each run. Whoever has no user id yet gets one, as by a run.
    """
    fields = {"status": "C", "status_desc": "Completed", "duration": 0}
    try:
        return [(values.settings().endpoint, privacy.compose(project, version, fields))]
    except privacy.DroppedError:
        return []


def opt_out(options: Namespace) -> int:
    """Leave the marker that switches everything off for this user."""
    folder = _config_folder()
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, policy.MARKER_NAME)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    tell(
        options,
        {"enabled": False, "marker": path},
        f"Nothing is sent, written or started from now on ({path}).\n"
        "What waits stays where it is; `migas forget` erases it.",
    )
    return 0


def opt_in(options: Namespace) -> int:
    """Take the marker away again, and tell why nothing is sent all the same, if so."""
    try:
        os.unlink(os.path.join(_config_folder(), policy.MARKER_NAME))
    except FileNotFoundError:
        pass
    reason = permission.refusal_by_user()
    text = f"Nothing is sent all the same: {reason}." if reason else "Runs are reported again."
    tell(options, {"enabled": reason is None, "reason": reason}, text)
    return 2 if reason else 0


def forget(options: Namespace) -> int:
    """Erase the user id and everything in the spool, and nothing that migas has not made."""
    from migas.transport.answers import NoAnswerError

    told: dict[str, Any] = {}
    text = ""
    if options.remote:
        setup.setup()
        refusal = permission.refusal()
        if refusal is not None:
            return complain(f"Nothing is sent, not even a request to forget: {refusal}")
        try:
            deleted = _forget_at_server()
        except NoAnswerError as error:
            problem = f"{error}. Nothing is erased here either, so that you can try again."
            tell(options, {"success": False, "message": problem}, problem)
            return 1
        if deleted is not None:
            told["deleted_by_server"] = deleted
            text = f"The server has deleted {counted(deleted, 'breadcrumb')}. "
    config_folder = _folder(_config_folder, must_answer=True)
    root = _folder(places.state_folder, must_answer=True)
    had_id = config_folder is not None and identity.forget_user_id(config_folder)
    erased = 0 if root is None else layout.erase_all(root)
    told.update(user_id=had_id, breadcrumbs=erased)
    who = "The user id is erased" if had_id else "There was no user id"
    tell(options, told, f"{text}{who}. {counted(erased, 'file')} of what waited here erased.")
    return 0


def _forget_at_server() -> int | None:
    """Have the server delete all that it holds of the kept user id.

    Returns:
        How many breadcrumbs it has deleted, or None when no user id is kept here.
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
