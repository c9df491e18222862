"""What a failed nipype node says: which node it was, and the last thing that went wrong in it.

A `NodeExecutionError` carries the node's name, its command line, its output and the traceback of
the worker, in one text of many lines. Only the name and the last exception go on.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

MAX_TRACEBACK_SIZE = 1500
"""How many characters of a description are kept; what is over goes out of its middle."""

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
        `status`, `status_desc`, `error_type` and `error_desc`, the last such as
        `Node bold_reg: FileNotFoundError: No such file or directory: '<path>'`.
    """
    from migas.message.redact import redact

    # The end of the text has the exception, its beginning the node's name.
    text = str(evalue)
    text = text if len(text) <= _MAX_TEXT_CHARS else text[:2000] + text[-_MAX_TEXT_CHARS:]
    node = _node_name(text)
    description = redact(_last_exception(text)) or _NO_TRACEBACK
    return {
        "status": "F",
        "status_desc": "Errored",
        "error_type": "NodeExecutionError",
        "error_desc": _shorten(f"Node {redact(node)}: {description}" if node else description),
    }


def _node_name(text: str) -> str:
    _, found, rest = text.partition("Exception raised while executing Node ")
    words = rest.split(None, 1) if found else []
    return words[0].rstrip(".") if words else ""


def _last_exception(text: str) -> str:
    """The message below the last frame of the last traceback in a text.

    A frame's lines are indented deeper than "Traceback" itself and the exception's line is not;
    a message of several lines goes on to the end or to the next traceback.
    """
    _, found, traceback = text.rpartition("Traceback (most recent call last):")
    if not found:
        # Without frames nipype still writes a heading, and then the bare message.
        _, found, message = text.rpartition("Traceback:")
        return " ".join(message.split()) if found else ""
    opening = text[: len(text) - len(traceback) - len("Traceback (most recent call last):")]
    indent = len(opening) - len(opening.rstrip(" \t"))
    lines = traceback.splitlines()[1:]
    for index, line in enumerate(lines):
        depth = len(line) - len(line.lstrip(" \t"))
        if line.strip() and depth <= indent and not line.lstrip().startswith("File "):
            return " ".join(" ".join(lines[index:]).split())
    # Flattened to one line, as some loggers do: what follows the last frame cannot be told apart.
    return lines[-1].strip() if lines else ""


def _shorten(text: str) -> str:
    if len(text) <= MAX_TRACEBACK_SIZE:
        return text
    half = (MAX_TRACEBACK_SIZE - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"
