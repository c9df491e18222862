"""The message itself: one flat record of a run, repaired and cut to what a migas server stores.

Everything here is pure. A server of the wire's version 0.9 answers `success` and then loses what
its database refuses, so a value is mended or left out before it is sent, never sent in hope.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any, Literal, TypedDict

    Status = Literal["R", "C", "F", "S"]
    """Running, completed, failed, suspended."""

    class Breadcrumb(TypedDict, total=False):
        """What leaves the machine: the fields of the server's `ProjectInput`, nothing else.

        The last two go beside it, in headers, to a server that has asked for them.
        """

        project: str
        project_version: str
        language: str
        language_version: str
        session_id: str
        user_id: str
        user_type: str
        platform: str
        container: str
        is_ci: bool
        status: Status
        status_desc: str
        error_type: str
        error_desc: str
        ended_ago: float
        """Seconds between the end and the sending; when it is composed, 0."""
        duration: float
        """Seconds from the run's opening to its end."""


MAX_REQUEST_BYTES = 2500
"""The largest request body a migas server reads; one byte more is answered with 413."""

MAX_VERSION_CHARS = 24
"""Where a server cuts a version when it stores it."""

MAX_LANGUAGE_CHARS = 32
MAX_PLATFORM_CHARS = 64

STATUSES: dict[str, Status] = {
    "R": "R",
    "running": "R",
    "pending": "R",
    "C": "C",
    "completed": "C",
    "success": "C",
    "F": "F",
    "failed": "F",
    "error": "F",
    "S": "S",
    "suspended": "S",
}
"""Every spelling of a status that a server or a released client knows, and the letter it means."""

CONTAINERS = ("unknown", "docker", "apptainer")
USER_TYPES = ("general", "dev", "ci")

PROGRAM_FIELDS = ("project", "project_version", "language", "language_version")
CONTEXT_FIELDS = ("session_id", "user_id", "user_type", "platform", "container", "is_ci")
PROCESS_FIELDS = ("status", "status_desc", "error_type", "error_desc")
FIELDS = (*PROGRAM_FIELDS, *CONTEXT_FIELDS, *PROCESS_FIELDS)
TIMING_HEADERS = {"ended_ago": "X-Migas-Ended-Ago", "duration": "X-Migas-Duration"}
"""The fields that no server gets which has not asked, and the headers in which they go.

Not in the body: the wire's other server refuses a field that it does not know, and is a header to
reach it all the same, because it stands where one that asked has been, nothing is lost.
"""
_ALL_FIELDS = (*FIELDS, *TIMING_HEADERS)
_KNOWN = frozenset(_ALL_FIELDS)
ACCEPTS_HEADER = "X-Migas-Accepts"
"""The header of an answer in which a server names those of them that it wants."""

TEXT_FIELDS = ("status_desc", "error_type", "error_desc")
"""The fields whose text comes from a running program; the only ones that need redaction."""

ADD_PROJECT_QUERY = "mutation($p:ProjectInput!){add_project(p:$p)}"

_CHOICES = {"container": CONTAINERS, "user_type": USER_TYPES}
_MAX_CHARS = {
    "language": MAX_LANGUAGE_CHARS,
    "language_version": MAX_VERSION_CHARS,
    "platform": MAX_PLATFORM_CHARS,
}
_CUT_ORDER = (
    ("error_desc", 600),
    ("status_desc", 300),
    ("error_type", 100),
    ("error_desc", 0),
    ("status_desc", 0),
    ("error_type", 0),
    ("project_version", 0),
    ("project", 0),
)
"""What is cut, one after the other, and the bytes that each may keep: a long description must not
cost the message of the error."""

_DOTS = frozenset((".", ".."))
_CUT_MARK = " … "
_MAX_CHAR_BYTES = 6
"""What one character can take in JSON at most: a control character's `\\u001f`."""

_FRAME_BYTES = 500
"""More than everything in a request takes beside its texts."""
_MAX_TEXT_CHARS = 8 * MAX_REQUEST_BYTES


_repaired: dict[str, tuple[str, object]] = {}
"""By field the text that was repaired last, and what became of it: a run says most twice."""


def compose(fields: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> Breadcrumb:
    """Build the breadcrumb that a server stores from values as a program gave them.

    Args:
        fields: Names from `FIELDS` and `TIMING_HEADERS` with values of any type; unknown names and
            None are left out.
        facts: Values of fields that nobody gave, right for the wire as they are.

    Returns:
        A new breadcrumb. A `user_id` or `session_id` that is no UUID is left out, an unknown
        status, container or user type too; texts have no NUL and no lone surrogate.
    """
    composed = dict(facts or ())
    for name, value in fields.items():
        if value is None or name not in _KNOWN:
            continue
        said, repaired = _repaired.get(name, (None, None))
        if said is not value:
            try:
                repaired = _repair(name, value)
            except Exception:  # noqa: BLE001  a foreign value may refuse anything
                repaired = None
            if type(value) is str and name not in TEXT_FIELDS:
                _repaired[name] = value, repaired
        composed[name] = repaired
        if repaired is None:
            del composed[name]  # and no fact stands in for it
    names = filter(composed.__contains__, _ALL_FIELDS)
    return {name: composed[name] for name in names}  # type: ignore[return-value]


def fit(breadcrumb: Breadcrumb, *, reserved: int = 0) -> Breadcrumb:
    """Cut a breadcrumb's texts in their middle until either form of its request is small enough.

    Args:
        breadcrumb: What is to be sent.
        reserved: Bytes that another form of request needs beside it.

    Returns:
        A breadcrumb whose GraphQL and REST bodies are at most `MAX_REQUEST_BYTES` bytes, less
        those reserved.
    """
    fitted = breadcrumb.copy()
    if _is_surely_small(fitted, MAX_REQUEST_BYTES - reserved):
        return fitted
    for name, kept in _CUT_ORDER:
        size = max(len(graphql_body(fitted)), len(rest_body(fitted)))
        excess = size + reserved - MAX_REQUEST_BYTES
        if excess <= 0:
            break
        text = fitted.get(name)
        if isinstance(text, str):
            fitted[name] = cut_middle(text, max(_json_cost(text) - excess, kept))  # type: ignore[literal-required]
    return fitted


def graphql_body(breadcrumb: Breadcrumb) -> bytes:
    """The body of the `add_project` mutation that stores this breadcrumb."""
    return encode({"query": ADD_PROJECT_QUERY, "variables": {"p": without_timing(breadcrumb)}})


def rest_body(breadcrumb: Breadcrumb) -> bytes:
    """The body of `POST /api/breadcrumb` that stores this breadcrumb."""
    return encode(nested(breadcrumb))


def without_timing(breadcrumb: Breadcrumb) -> Breadcrumb:
    """The fields that every server gets."""
    return {name: breadcrumb[name] for name in breadcrumb if name not in TIMING_HEADERS}  # type: ignore[literal-required,return-value]


def timing_headers(breadcrumb: Breadcrumb, accepted: Collection[str]) -> dict[str, str]:
    """The headers that go beside a breadcrumb: none beside that of a run which goes on.

    Args:
        breadcrumb: What is to be sent, now.
        accepted: The fields that its server has asked for.
    """
    if breadcrumb.get("status", "R") == "R":
        return {}
    return {
        header: str(breadcrumb[name])  # type: ignore[literal-required]
        for name, header in TIMING_HEADERS.items()
        if name in accepted and name in breadcrumb
    }


def nested(breadcrumb: Breadcrumb) -> dict[str, Any]:
    """The breadcrumb as `add_breadcrumb` and the REST call take it: with `ctx` and `proc`."""
    told: dict[str, Any] = {**breadcrumb}
    return {name: told.get(name, "") for name in PROGRAM_FIELDS} | {
        "ctx": {name: told[name] for name in CONTEXT_FIELDS if name in told},
        "proc": {name: told[name] for name in PROCESS_FIELDS if name in told},
    }


_json_text: Callable[[object], str] | None = None


def encode(message: object) -> bytes:
    """A message as JSON in UTF-8, without a byte of padding."""
    global _json_text  # noqa: PLW0603  an encoder costs more to make than to use
    if _json_text is None:
        _json_text = _encoder()
    return _json_text(message).encode()


def _encoder() -> Callable[[object], str]:
    try:
        # What `json` itself uses. It makes one anew for each text, and imports regular expressions
        # and enumerations: a fifth of what a short run would take in all.
        import _json

        make, text_of = _json.make_encoder, _json.encode_basestring
        in_c = make(None, _refuse, text_of, None, ":", ",", False, False, True)
        in_c({}, 0)
    except Exception:  # noqa: BLE001  interpreters differ in what they have
        import json

        return json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    return lambda message: "".join(in_c(message, 0))


def _refuse(value: object) -> object:
    raise TypeError(f"JSON has nothing for a {type(value).__name__}")


_json_value: Callable[[str], Any] | None = None


def decode(text: bytes) -> Any:
    """What a text in JSON and UTF-8 says.

    Raises:
        ValueError: It is none.
        RecursionError: It is nested too deeply.
    """
    global _json_value  # noqa: PLW0603  a decoder costs more to make than to use
    if _json_value is None:
        _json_value = _decoder()
    return _json_value(text.decode())


def _decoder() -> Callable[[str], Any]:
    try:
        import _json  # as above

        scan = _json.make_scanner(_Scanned)  # type: ignore[arg-type]
        if scan("[1.0,NaN]", 0)[1] != 9:
            raise ValueError("It reads in another way")
    except Exception:  # noqa: BLE001  as above
        import json

        return json.loads

    def decoded(text: str) -> Any:
        text = text.strip(_JSON_SPACES)
        try:
            value, end = scan(text, 0)
        except StopIteration:
            raise ValueError("It is no JSON") from None
        if end != len(text):
            raise ValueError("After the JSON there is more")
        return value

    return decoded


_JSON_SPACES = " \t\n\r"


class _Scanned:
    """What the scanner of `json` asks of its decoder."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float = parse_constant = float
    parse_int = int


def cut_middle(text: str, budget: int) -> str:
    """Shorten a text to a budget by taking characters out of its middle, where least is said.

    Args:
        text: Any text without lone surrogates.
        budget: The bytes the text may take inside a JSON string in UTF-8, its quotes aside.

    Returns:
        The text itself when it fits; else its beginning and its end with a mark between them.
    """
    if len(text) <= budget and _json_cost(text) <= budget:
        return text
    room = budget - _json_cost(_CUT_MARK)
    if room <= 0:
        return ""
    head = _prefix_within(text, room - room // 2)
    tail = _prefix_within(text[: len(head) - 1 : -1] if head else text[::-1], room // 2)[::-1]
    return head + _CUT_MARK + tail


def is_owner_and_repo(project: str) -> bool:
    """Whether a project has the form `owner/repo`, without which no server knows it."""
    return "/" in project.strip("/") and _DOTS.isdisjoint(project.split("/"))


def canonical_uuid(value: object) -> str | None:
    """The hyphenated lower-case form of a UUID given as text or `uuid.UUID`, or None."""
    text = value if type(value) is str else plain_text(value)
    digits = text.strip().lower().removeprefix("urn:uuid:").strip("{}").replace("-", "")
    try:
        is_uuid = len(digits) == 32 and len(bytes.fromhex(digits)) == 16  # it skips spaces
    except ValueError:
        is_uuid = False
    if not is_uuid:
        return None
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def plain_text(value: object) -> str:
    """Any value as text that a database stores, classes and exceptions by their names.

    A value whose own `__str__` fails becomes `<TypeName>`: a report about a broken object must
    not break in turn.
    """
    if isinstance(value, type):
        text = value.__name__
    else:
        try:
            # A subclass of str may have methods of its own: only its characters count.
            text = str.__str__(value if isinstance(value, str) else str(value))
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001  a foreign __str__ may raise anything
            text = f"<{type(value).__name__}>"
    text = text.replace("\0", "\ufffd")
    if not text.isascii():
        text = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
    return text


def field_text(name: str, value: object) -> str:
    """A field's value as text: an exception given as `error_type` means its class."""
    if name == "error_type" and isinstance(value, BaseException):
        value = type(value)
    return plain_text(value)


def _repair(name: str, value: object) -> object:
    if name in ("session_id", "user_id"):
        return canonical_uuid(value)
    if name == "is_ci":
        return bool(value)
    if name in TIMING_HEADERS:
        return _seconds(value)
    text = field_text(name, value)
    if name == "status":
        return STATUSES.get(text) or STATUSES.get(text.lower())
    if name in _CHOICES:
        return text if text in _CHOICES[name] else None
    if name not in TEXT_FIELDS:
        return text.strip()[: _MAX_CHARS.get(name)]
    if len(text) > _MAX_TEXT_CHARS:
        half = _MAX_TEXT_CHARS // 2
        return text[:half] + _CUT_MARK + text[-half:]
    return text


def _seconds(value: object) -> float | None:
    """Seconds as they are told: whole ones above a minute, one decimal below."""
    seconds = -1.0 if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    if not 0 <= seconds < float("inf"):
        return None
    return round(seconds) if seconds > 60 else round(seconds, 1)


def _is_surely_small(breadcrumb: Breadcrumb, limit: int) -> bool:
    """Whether a breadcrumb would fit even if every character were escaped; most do."""
    chars = sum(map(len, map(str, breadcrumb.values())))
    return _FRAME_BYTES + _MAX_CHAR_BYTES * chars <= limit


def _json_cost(text: str) -> int:
    return len(encode(text)) - 2


def _prefix_within(text: str, budget: int) -> str:
    """The longest beginning of a text that costs at most `budget` bytes."""
    spent = 0
    for index, character in enumerate(text):
        spent += _json_cost(character)
        if spent > budget:
            return text[:index]
    return text
