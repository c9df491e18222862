"""The commands for the people on whose machines migas runs: see, switch off, erase, send, ask."""
# ruff: noqa: T201  commands print

from __future__ import annotations

import argparse
import json
import sys

from migas import message
from migas.cli import local_data
from migas.host.terminal import printable
from migas.settings import permission, setup, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  it has no public name

FLUSH_SECONDS = 60.0
USAGE_DAYS = 30


def register(subparsers: Subparsers) -> None:
    """Add the commands; each leaves `run` in the parsed options, which returns the exit status."""
    _add(subparsers, "status", _status, "whether runs are reported from here, and why")

    show = _add(subparsers, "show", _show, "the exact bytes that wait to be sent, or would be")
    show.add_argument("--project", metavar="OWNER/REPO", help="what a run of this would send")
    show.add_argument("--version", default="0.0.0", help="its version (default: %(default)s)")

    _add(subparsers, "optout", _optout, "switch everything off for this user")
    _add(subparsers, "optin", _optin, "take `optout` back")
    forget = _add(subparsers, "forget", _forget, "erase the user id and everything that waits")
    forget.add_argument(
        "--remote", action="store_true", help="have the server delete what it holds of you, first"
    )

    flush = _add(subparsers, "flush", _flush, "send now what waits in the spool")
    flush.add_argument(
        "--timeout",
        type=_seconds,
        default=FLUSH_SECONDS,
        metavar="SECONDS",
        help="wait at most this long (default: %(default)g)",
    )

    check = _add(subparsers, "check", _check, "ask whether a version is the newest, or flagged")
    check.add_argument("project", metavar="OWNER/REPO")
    check.add_argument("version")

    usage = _add(subparsers, "usage", _usage, "ask how often a project was used")
    usage.add_argument("project", metavar="OWNER/REPO")
    usage.add_argument("--since", type=_date, metavar="DATE", help="default: 30 days ago")
    usage.add_argument("--until", type=_date, metavar="DATE", help="default: now")
    usage.add_argument("--unique", action="store_true", help="count users rather than runs")


def complain(problem: str) -> int:
    """Say in one line what is wrong with the command or this machine; the exit status is 2."""
    print(f"migas: {printable(problem)}", file=sys.stderr)
    return 2


def _add(
    subparsers: Subparsers, name: str, run: Callable[[argparse.Namespace], int], summary: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_guarded(run))
    return parser


def _guarded(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    def guarded(options: argparse.Namespace) -> int:
        try:
            return run(options)
        except (OSError, RuntimeError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            return complain(f"{error}.")

    return guarded


def _tell(options: argparse.Namespace, result: Mapping[str, Any], text: str) -> None:
    print(json.dumps(result) if options.json else printable(text))


def _status(options: argparse.Namespace) -> int:
    told = local_data.status()
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
    lines["last success"] = local_data.moment(told["last_success"])
    failure = f": {told['last_failure_reason']}" if told["last_failure_reason"] else ""
    lines["last failure"] = local_data.moment(told["last_failure"]) + failure
    _tell(options, told, "\n".join(f"{name:13} {value}" for name, value in lines.items()))
    return 0


def _show(options: argparse.Namespace) -> int:
    setup.setup()
    # What waits goes to the server that its program named, whatever this process would do.
    reason = permission.refusal_by_user() if options.project is None else permission.refusal()
    if reason is not None:
        _tell(options, {"reason": reason, "requests": []}, f"Nothing is sent: {reason}.")
        return 0
    if options.project is None:
        requests = local_data.waiting()
    elif (problem := _project_problem(options.project)) is not None:
        return complain(problem)
    else:
        from migas.delivery.privacy import DroppedError

        try:
            requests = [local_data.example(options.project, options.version)]
        except DroppedError:
            requests = []
    if options.json:
        told = [
            {"url": f"{url}/graphql", "headers": headers, "body": body.decode()}
            for url, body, headers in requests
        ]
        print(json.dumps({"reason": None, "requests": told}))
        return 0
    for url, body, headers in requests:
        beside = "".join(f"{name}: {value}\n" for name, value in headers.items())
        print(f"POST {url}/graphql\n{beside}{body.decode()}")
    if not requests:
        print("Nothing waits. To see what a run would send: migas show --project OWNER/REPO")
    return 0


def _optout(options: argparse.Namespace) -> int:
    path = local_data.opt_out()
    _tell(
        options,
        {"enabled": False, "marker": path},
        f"Nothing is sent, written or started from now on ({path}).\n"
        "What waits stays where it is; `migas forget` erases it.",
    )
    return 0


def _optin(options: argparse.Namespace) -> int:
    reason = local_data.opt_in()
    text = f"Nothing is sent all the same: {reason}." if reason else "Runs are reported again."
    _tell(options, {"enabled": reason is None, "reason": reason}, text)
    return 2 if reason else 0


def _forget(options: argparse.Namespace) -> int:
    from migas.transport.answers import NoAnswerError

    told: dict[str, Any] = {}
    text = ""
    if options.remote:
        setup.setup()
        refusal = permission.refusal()
        if refusal is not None:
            return complain(f"Nothing is sent, not even a request to forget: {refusal}")
        try:
            deleted = local_data.forget_at_server()
        except NoAnswerError as error:
            problem = f"{error}. Nothing is erased here either, so that you can try again."
            _tell(options, {"success": False, "message": problem}, problem)
            return 1
        if deleted is not None:
            told["deleted_by_server"] = deleted
            text = f"The server has deleted {_counted(deleted, 'breadcrumb')}. "
    had_id, erased = local_data.forget()
    told.update(user_id=had_id, breadcrumbs=erased)
    who = "The user id is erased" if had_id else "There was no user id"
    _tell(options, told, f"{text}{who}. {_counted(erased, 'file')} of what waited here erased.")
    return 0


def _flush(options: argparse.Namespace) -> int:
    from migas.courier import main as courier

    refusal = permission.refusal_by_user()
    if refusal is not None:
        return complain(f"Nothing is sent: {refusal}.")
    try:
        before = local_data.given_up()
        delivered, refused, waiting = courier.flush(options.timeout)
        too_old = local_data.given_up() - before
    except (OSError, RuntimeError) as error:
        return complain(f"The spool cannot be used: {error}.")
    _tell(
        options,
        {"delivered": delivered, "refused": refused, "too_old": too_old, "waiting": waiting},
        f"{delivered} delivered, {refused} refused by the server, {waiting} still waiting"
        + (f", {too_old} given up as too old" if too_old else ""),
    )
    return 1 if waiting or refused else 0


def _check(options: argparse.Namespace) -> int:
    from migas import calls

    problem = _project_problem(options.project)
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
    _tell(options, answer, "\n".join(lines))
    return 0 if answer["success"] else 1


def _usage(options: argparse.Namespace) -> int:
    import datetime

    from migas import calls

    if (problem := _project_problem(options.project) or _set_up_by_hand()) is not None:
        return complain(problem)
    days = datetime.timedelta(days=USAGE_DAYS)
    since = options.since or (datetime.datetime.now(datetime.UTC) - days).date()
    answer = calls.get_usage(options.project, since, options.until, unique=options.unique)
    counted = _counted(answer["hits"], "user" if options.unique else "breadcrumb")
    text = counted if answer["success"] else _reason(answer)
    _tell(options, answer, text)
    return 0 if answer["success"] else 1


def _set_up_by_hand() -> str | None:
    """Be set up for a question that a person asks; that it may not be asked and why, or None."""
    setup.setup()
    values.change(asked_by_user=True)
    refusal = permission.refusal()
    return refusal and f"Nothing is asked: {refusal}."


def _project_problem(project: str) -> str | None:
    is_one = message.is_owner_and_repo(project)
    return None if is_one else f"{project!r} is no project; it must be OWNER/REPO."


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


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
