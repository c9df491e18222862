"""What leaves of a breadcrumb: its texts redacted, and as much as people want to be said."""

from __future__ import annotations

import os

from migas import log, message
from migas.host import environment
from migas.message import TEXT_FIELDS, field_text, fit
from migas.settings import identity, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from migas.message import Breadcrumb
    from migas.message.redact import Personal

COMMON_TEXTS = frozenset({"Completed", "Errored", "Suspended", "Lost"})
"""Descriptions of ours that are known at a glance; most runs need no more than these."""

EXITED = "Exited with code "


class Redacted(str):
    """A text that has been redacted already and stands among words of ours."""

    __slots__ = ()


class DroppedError(Exception):
    """A breadcrumb that the program's own `before_send` keeps back."""


def compose(project: object, version: object, fields: Mapping[str, Any]) -> Breadcrumb:
    """What would leave the machine for a run, redacted, repaired and cut to the wire's size.

    Args:
        project: `owner/repo`.
        version: The project's version.
        fields: Names from `message.FIELDS`; they win over the facts of this process.

    Raises:
        DroppedError: The program's own `before_send` keeps it back.
    """
    said = redacted(fields)
    said.update(project=project, project_version=version)
    if said.get("user_id") is None:
        said["user_id"] = identity.user_id()
    if said.get("session_id") is None:
        said["session_id"] = identity.session_id()
    composed = message.compose(said, environment.telemetry_fields())
    if not values.settings().timing:
        return leaving(message.without_timing(composed))
    composed.setdefault("ended_ago", 0)  # whoever sends it says how long ago that is by then
    return leaving(composed)


def redacted(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a breadcrumb with their texts redacted, as far as `error_text` lets them be said.

    This comes before anything is cut: half a secret is no longer recognised as one.

    Returns:
        A new mapping; a text that cannot be redacted is left out.
    """
    changed = dict(fields)
    for name in TEXT_FIELDS:
        value = fields.get(name)
        if value is None:
            continue
        text = field_text(name, value)
        is_done = not text or isinstance(value, Redacted) or _is_own(name, text)
        changed[name] = text if is_done else redacted_text(text)
    return _silenced(changed)


def _is_own(name: str, text: str) -> bool:
    """Whether a text is in words of ours or of Python's alone, which name nobody.

    They must stay even where the account is called `sigterm`; so nothing that anybody else could
    put a name into counts as ours.
    """
    if name == "error_type":
        import builtins

        kind = getattr(builtins, text, None)
        return isinstance(kind, type) and issubclass(kind, BaseException)
    if name != "status_desc":
        return False
    if text in COMMON_TEXTS:
        return True
    if text.startswith(EXITED):
        return text[len(EXITED) :].removeprefix("-").isdecimal()
    import re
    import signal

    names = "|".join((*signal.Signals.__members__, r"signal \d+"))
    schedulers = "|".join(environment.SCHEDULERS)
    return (
        text in ("Killed (out of memory)", "Lost (the host restarted)")
        or re.fullmatch(rf"(Terminated|Crashed) \(({names})(, ({schedulers}))?\)", text) is not None
    )


def leaving(composed: Breadcrumb) -> Breadcrumb:
    """A breadcrumb as it leaves: the program's `before_send` has seen it whole.

    Returns:
        A fitted breadcrumb; what `before_send` changed is repaired like anything else.

    Raises:
        DroppedError: `before_send` wants it dropped, or failed.
    """
    if not values.settings().before_send:
        return fit(composed)
    try:
        crumb: Mapping[str, Any] = composed
        for before_send in values.settings().before_send:
            changed = before_send(dict(crumb))
            if changed is None:
                raise DroppedError("before_send dropped the breadcrumb")
            crumb = changed
        return fit(message.compose(crumb))
    except DroppedError:
        raise
    except Exception as error:  # noqa: BLE001  the program's own function may raise anything
        raise DroppedError(f"before_send failed: {error!r}") from None


def _silenced(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what `error_text` forbids to say of an error."""
    wish = values.settings().error_text
    if wish == "redacted":
        return fields
    fields.pop("error_desc", None)
    if wish == "none":
        fields.pop("error_type", None)
    # A handler may have put the error's text into the description.
    is_own = _is_own("status_desc", str(fields.get("status_desc") or "Errored"))
    if not is_own and fields.get("status") not in ("R", "C"):
        fields["status_desc"] = "Errored"
    return fields


def redacted_text(text: str) -> str | None:
    """A text without what the rules, and the functions of `setup(redact=…)`, take out of it.

    Returns:
        None for one that cannot be redacted, which must not leave.
    """
    from migas.message.redact import redact

    try:
        changed = redact(text, personal_names())
        for more in values.settings().redact:
            changed = str(more(changed))
        return changed
    except Exception as error:  # noqa: BLE001  what cannot be redacted must not leave
        log.debug("a text could not be redacted: %r", error)
        return None


def personal_names() -> Personal:
    """Homes, users and hosts of this process, from its environment and the kernel alone.

    The account database is not asked: on a cluster it is a network service that may hang.
    """
    from migas.message.redact import Personal

    environ = os.environ
    homes = [environ.get("HOME"), environ.get("USERPROFILE")]
    users = [environ.get("USER"), environ.get("LOGNAME"), environ.get("USERNAME")]
    users += [os.path.basename(home.rstrip("\\/")) for home in homes if home]
    hosts = [environ.get("HOSTNAME"), environ.get("COMPUTERNAME")]
    if hasattr(os, "uname"):
        hosts.append(os.uname().nodename)
    return Personal(homes=homes, users=users, hosts=hosts)
