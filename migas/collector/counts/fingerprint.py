"""Which failures are the same one: a number made of what their breadcrumbs have in common.

The type of an error, the message without what differs from run to run, and of a pipeline's error
the node that failed. Senders have redacted the message before; here it is only compared.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_FOLDED_CHARS = 300
"""How much of a folded message tells errors apart; senders cut long ones anywhere."""

_MAX_READ_CHARS = 4000

_NODE = re.compile(r"Exception raised (?:from node|while executing Node) (\S+)")
_LAST_ERROR = re.compile(r"\b[\w.]{0,80}(?:Error|Exception|Warning|Interrupt|Exit|Fault)(?=: )")

_NAME = re.compile(r"[A-Za-z_]\w{0,60}")
_MODULE = re.compile(r"[A-Za-z_][\w.]{0,80}")


def _quoted(found: re.Match[str]) -> str:
    """A quoted part as far as it is the program's: the name of a key, an argument, a module."""
    is_module = found.string.endswith("odule named ", 0, found.start())
    kept = _MODULE if is_module else _NAME
    return f"'{found[2]}'" if kept.fullmatch(found[2]) else "''"


_FOLDS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"<[a-z?][a-z ]{0,30}>"), "<>"),  # what redaction put in place of something
    (re.compile(r"(?<!\w)(['\"`])((?:(?!\1).)*)\1(?!\w)"), _quoted),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "0"),
    # Long hexadecimal words with a digit in them: hashes, identifiers.
    (re.compile(r"\b(?=[a-f]*[0-9])[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b", re.IGNORECASE), "0"),
    (re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?"), "0"),
    (re.compile(r"\(\s*0(?:\s*,\s*0?)*\s*\)"), "(0)"),  # a shape, of however many dimensions
)


def fingerprint(
    status: str, error_type: str | None, status_desc: str | None, error_desc: str | None
) -> int | None:
    """What the errors of breadcrumbs that failed in the same way have in common, in 63 bits.

    Args:
        status: The letter.
        error_type: As the breadcrumb has it, and so are the others.
        status_desc: It may name a pipeline's node.
        error_desc: The message.

    Returns:
        None for a breadcrumb that did not fail or does not say with which error.
    """
    if status != "F" or not error_type:
        return None
    parts = (error_type, node_of(status_desc, error_desc), folded(error_desc or ""))
    text = "\0".join(parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def node_of(status_desc: str | None, error_desc: str | None) -> str:
    """The node of a pipeline that raised an error; empty where none is named."""
    for text in (status_desc, error_desc):
        found = _NODE.search((text or "")[:_MAX_READ_CHARS])
        if found is not None:
            return found[1].rstrip(".")
    return ""


def folded(message: str) -> str:
    """A message without what differs from run to run.

    Placeholders, numbers, hexadecimal words and quoted parts are made alike, but for quoted names
    of what programs are made of: to miss `'SliceTiming'` is not to miss `'EchoTime'`. Of a
    traceback only what follows the last exception's name is looked at, for its lines change with
    each release.
    """
    message = message[-_MAX_READ_CHARS:]
    if "Traceback" in message or "File " in message:
        starts = [found.start() for found in _LAST_ERROR.finditer(message)]
        message = message[starts[-1] if starts else 0 :]
    for pattern, common in _FOLDS:
        message = pattern.sub(common, message)
    return " ".join(message.split())[:MAX_FOLDED_CHARS]
