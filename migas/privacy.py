"""What leaves of a breadcrumb's texts: redaction with the names that are personal here."""

from __future__ import annotations

import os

from migas import log
from migas.breadcrumb import TEXT_FIELDS, field_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from migas.redact import Personal

OWN_TEXTS = frozenset({"Completed", "Errored", "Suspended", "Lost", "SystemExit", "ExceptionGroup"})
"""Texts of ours that say nothing of anybody; most runs need no more than these."""


def redacted(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a breadcrumb with their texts redacted.

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
        is_own = not text or text in OWN_TEXTS
        changed[name] = text if is_own else _redact(text)
    return changed


def _redact(text: str) -> str | None:
    from migas.redact import redact

    try:
        return redact(text, personal_names())
    except Exception as error:  # noqa: BLE001  what cannot be redacted must not leave
        log.debug("a text could not be redacted: %r", error)
        return None


def personal_names() -> Personal:
    """Homes, users and hosts of this process, from its environment and the kernel alone.

    The account database is not asked: on a cluster it is a network service that may hang.
    """
    from migas.redact import Personal

    environ = os.environ
    homes = [environ.get("HOME"), environ.get("USERPROFILE")]
    users = [environ.get("USER"), environ.get("LOGNAME"), environ.get("USERNAME")]
    users += [os.path.basename(home.rstrip("\\/")) for home in homes if home]
    hosts = [environ.get("HOSTNAME"), environ.get("COMPUTERNAME")]
    if hasattr(os, "uname"):
        hosts.append(os.uname().nodename)
    return Personal(homes=homes, users=users, hosts=hosts)
