"""What a failed nipype node says: which node it was, and what went wrong in it.

A `NodeExecutionError` carries the node's name, its command line, its output and the traceback of
the worker, in one text of many lines. The name and the traceback go on, redacted, as released
clients have it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

MAX_TRACEBACK_SIZE = 1500
"""How many characters of a traceback are kept: its last ones, where the exception stands, and
where that has more to say, its beginning."""

_MAX_BEGINNING = 500

_MAX_TEXT_CHARS = 200_000
_NO_TRACEBACK = "No traceback available"


def node_execution_error(
    etype: type[BaseException] | None,  # noqa: ARG001  every handler takes these three
    evalue: object,
    etraceback: TracebackType | None,  # noqa: ARG001  the nested one, in the text, says more
) -> dict[str, str]:
    """Describe nipype's `NodeExecutionError` by the node's name and the exception inside it.

    Args:
        etype: The exception's class.
        evalue: Its message, or the exception itself.
        etraceback: Its traceback; that of the process which watched the node, hence not used.

    Returns:
        `status`, `status_desc` such as `Exception raised from node bold_reg`, `error_type`, and
        `error_desc`, the redacted traceback in one line.
    """
    from migas.delivery.privacy import Redacted, redacted_text

    # The end of the text has the exception, its beginning the node's name.
    text = str(evalue)
    text = text if len(text) <= _MAX_TEXT_CHARS else text[:2000] + text[-_MAX_TEXT_CHARS:]
    traceback = redacted_text(text.partition("Traceback:")[2]) or ""
    node = redacted_text(_node_name(text)) or "<?>"
    return {
        "status": "F",
        "status_desc": Redacted(f"Exception raised from node {node}"),
        "error_type": "NodeExecutionError",
        "error_desc": _last_words(traceback) or Redacted(_NO_TRACEBACK),
    }


def _node_name(text: str) -> str:
    _, found, rest = text.partition("Exception raised while executing Node ")
    words = rest.split(None, 1) if found else []
    return words[0].rstrip(".") if words else ""


def _last_words(text: str) -> str:
    """The end of a traceback in one line, from the beginning of a word on."""
    line = " ".join(text.split())
    if len(line) <= MAX_TRACEBACK_SIZE:
        return line
    from migas.message.excerpt import last_exception

    exception = last_exception(text)
    first = ""
    if len(exception) > MAX_TRACEBACK_SIZE:
        first = " ".join(exception.partition("\n")[0].split())
        first = first if len(first) <= _MAX_BEGINNING else first[:_MAX_BEGINNING].rpartition(" ")[0]
    beginning = f"{first} … " if first else "… "
    kept = line[-(MAX_TRACEBACK_SIZE - len(beginning)) :]
    return beginning + (kept.partition(" ")[2] or kept)
