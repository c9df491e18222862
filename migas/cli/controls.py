"""The commands for the people on whose machines migas runs: see, switch off, erase, send, ask."""

from __future__ import annotations

import argparse

from migas.cli import local_data
from migas.cli.parser import add, complain, counted, project_problem, tell
from migas.settings import permission, places, setup, values
from migas.spool import Spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from migas.cli.parser import Subparsers

FLUSH_SECONDS = 60.0
USAGE_DAYS = 30


def register(subparsers: Subparsers) -> None:
    """Add the commands to the `migas` command."""
    summary = "whether runs are reported from here, and why"
    add(subparsers, "status", local_data.status, summary)

    show = add(
        subparsers, "show", local_data.show, "the exact bytes that wait to be sent, or would be"
    )
    show.add_argument("--project", metavar="OWNER/REPO", help="what a run of this would send")
    show.add_argument("--version", default="0.0.0", help="its version (default: %(default)s)")

    add(subparsers, "optout", local_data.opt_out, "switch everything off for this user")
    add(subparsers, "optin", local_data.opt_in, "take `optout` back")
    forget = add(
        subparsers, "forget", local_data.forget, "erase the user id and everything that waits"
    )
    forget.add_argument(
        "--remote", action="store_true", help="have the server delete what it holds of you, first"
    )

    flush = add(subparsers, "flush", _flush, "send now what waits in the spool")
    flush.add_argument(
        "--timeout",
        type=_seconds,
        default=FLUSH_SECONDS,
        metavar="SECONDS",
        help="wait at most this long (default: %(default)g)",
    )

    check = add(subparsers, "check", _check, "ask whether a version is the newest, or flagged")
    check.add_argument("project", metavar="OWNER/REPO")
    check.add_argument("version")

    usage = add(subparsers, "usage", _usage, "ask how often a project was used")
    usage.add_argument("project", metavar="OWNER/REPO")
    usage.add_argument("--since", type=_date, metavar="DATE", help="default: 30 days ago")
    usage.add_argument("--until", type=_date, metavar="DATE", help="default: now")
    usage.add_argument("--unique", action="store_true", help="count users rather than runs")


def _flush(options: argparse.Namespace) -> int:
    from migas.courier import main as courier

    refusal = permission.refusal_by_user()
    if refusal is not None:
        return complain(f"Nothing is sent: {refusal}.")
    try:
        before = _given_up()
        delivered, refused, waiting = courier.flush(options.timeout)
        too_old = _given_up() - before
    except (OSError, RuntimeError) as error:
        return complain(f"The spool cannot be used: {error}.")
    tell(
        options,
        {"delivered": delivered, "refused": refused, "too_old": too_old, "waiting": waiting},
        f"{delivered} delivered, {refused} refused by the server, {waiting} still waiting"
        + (f", {too_old} given up as too old" if too_old else ""),
    )
    return 1 if waiting or refused else 0


def _check(options: argparse.Namespace) -> int:
    from migas import calls

    problem = project_problem(options.project)
    if problem is None and not any(character.isdigit() for character in options.version):
        problem = f"{options.version!r} is no version such as 1.2.3."
    if (problem := problem or _set_up_by_hand()) is not None:
        return complain(problem)
    answer: dict[str, Any] = dict(calls.check_project(options.project, options.version))
    listed = calls.get_projects()
    if listed["success"] and "/" in options.project and options.project not in listed["projects"]:
        message = f"The server does not know the project {options.project!r}."
        answer = {**answer, "success": False, "message": message}
    lines = [_reason(answer)] if _reason(answer) else []
    if answer["success"]:
        if answer.get("flagged"):
            lines.insert(0, f"{options.version} has been flagged by its makers.")
        lines.append(f"The newest version is {answer.get('latest') or 'not known'}.")
    tell(options, answer, "\n".join(lines))
    return 0 if answer["success"] else 1


def _usage(options: argparse.Namespace) -> int:
    import datetime

    from migas import calls

    if (problem := project_problem(options.project) or _set_up_by_hand()) is not None:
        return complain(problem)
    days = datetime.timedelta(days=USAGE_DAYS)
    since = options.since or (datetime.datetime.now(datetime.UTC) - days).date()
    answer = calls.get_usage(options.project, since, options.until, unique=options.unique)
    hits = counted(answer["hits"], "user" if options.unique else "breadcrumb")
    tell(options, answer, hits if answer["success"] else _reason(answer))
    return 0 if answer["success"] else 1


def _set_up_by_hand() -> str | None:
    """Be set up for a question that a person asks; that it may not be asked and why, or None."""
    setup.setup()
    values.change(asked_by_user=True)
    refusal = permission.refusal()
    return refusal and f"Nothing is asked: {refusal}."


def _given_up() -> int:
    """How many breadcrumbs were given up as too old, lately."""
    return Spool(places.state_folder()).dropped().get("too old", 0)


def _reason(answer: Mapping[str, Any]) -> str:
    errors = answer.get("errors") or [{}]
    return str(answer.get("message") or errors[0].get("message") or "")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, 0 or more")
    return seconds


def _date(text: str) -> str:
    import datetime

    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no date such as 2026-11-22 or 2026-11-22T10:00:00Z"
        ) from None
    return text
