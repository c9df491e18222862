"""Every setting as one row: where people and programs say it, what is right, what it means.

`setup()`, the policy files, the command line's help and the tests of the README read this table.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    Delivery = Literal["auto", "detached", "inline", "spool", "log"]
    ErrorText = Literal["none", "type", "redacted"]

DELIVERIES: tuple[Delivery, ...] = ("auto", "detached", "inline", "spool", "log")
ERROR_TEXTS: tuple[ErrorText, ...] = ("none", "type", "redacted")
"""What is said of an error, the least first."""

OFFICIAL_HOST = "migas.nipreps.org"
_ADDRESS_CHARS = frozenset("0123456789abcdefABCDEF:.")


class Setting:
    """One setting.

    Args:
        meaning: What it does, in a sentence for the help; also how it is said.
        variable: The environment variable that says it, if one does.
        key: The key of `config.toml` that says it, if one does.
        parse: Gives the value that is meant, or raises ValueError with what would be right.
        default: What holds when nobody says anything.
        fallback: What holds when something is said that cannot be meant.
    """

    __slots__ = ("default", "fallback", "key", "meaning", "parse", "variable")

    def __init__(
        self,
        meaning: str,
        *,
        variable: str | None = None,
        key: str | None = None,
        parse: Callable[[Any], Any] = str,
        default: Any = None,
        fallback: Any = None,
    ) -> None:
        self.meaning = meaning
        self.variable = variable
        self.key = key
        self.parse = parse
        self.default = default
        self.fallback = fallback

    def problem(self, name: str, value: object) -> str | None:
        """What is wrong with a value, in a sentence that says what would be right, or None."""
        try:
            self.parse(value)
        except ValueError as error:
            shown = without_credentials(value) if isinstance(value, str) else value
            return f"{name} is {shown!r}; {error}"
        return None


def is_url(text: str) -> bool:
    """Whether a text is an http or https URL with a host and without a query (RFC 3986).

    `urllib.parse` says the same, as a test sees, but would cost each run 4 ms.
    """
    scheme, _, rest = text.partition("://")
    address = rest.partition("/")[0].rpartition("@")[2]
    is_numbered = ":" in address and not address.endswith("]")
    host, _, port = address.rpartition(":") if is_numbered else (address, "", "")
    if host.startswith("["):
        is_host = host.endswith("]") and ":" in host and set(host[1:-1]) <= _ADDRESS_CHARS
    else:
        is_host = bool(host) and not set("[]:") & set(host)
    is_port = not port or (port.isascii() and port.isdecimal() and 0 < int(port) < 65536)
    is_plain = all(ord(char) > 32 for char in text) and not set("?#") & set(text)
    return scheme.lower() in ("http", "https") and is_host and is_port and is_plain


def without_credentials(text: str) -> str:
    """A text for people to see, which may be a URL with a name and a password in it."""
    scheme, mark, rest = text.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else text


def base_url(endpoint: object) -> str:
    """The base URL of a server from any of the forms in which people give it.

    Raises:
        ValueError: It is no http or https URL with a host, or there is a name or password in it,
            which would be told to other programs and be kept on disk.
    """
    text = str(endpoint).strip()
    if not is_url(text) or _has_credentials(text):
        raise ValueError(
            f"The endpoint {without_credentials(text)!r} cannot be used: it must be an http:// or "
            "https:// URL such as https://migas.example.org, without a name or a password."
        )
    return text.rstrip("/").removesuffix("/graphql").rstrip("/")


def _url(value: object) -> str:
    if not isinstance(value, str) or not is_url(value):
        raise ValueError("it must be an http:// or https:// URL")
    return value


def _server(value: object) -> str:
    if _has_credentials(_url(value)):
        raise ValueError("there must be no name and no password in it")
    return str(value)


def _has_credentials(url: str) -> bool:
    return "@" in url.partition("://")[2].partition("/")[0]


def _true_or_false(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it must be true or false")  # noqa: TRY004  one kind of error for all rows
    return value


def _seconds(value: object) -> float:
    try:
        number = -1.0 if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError("it must be a number of seconds, 0 or more")
    return number


def _one_of(choices: tuple[str, ...]) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"it must be one of {', '.join(choices)}")
        return value

    return parse


OPTOUT = Setting(
    "Any non-empty value (in a file: true): nothing is sent, written or started.",
    variable="MIGAS_OPTOUT",
    key="optout",
    parse=_true_or_false,
)
DO_NOT_TRACK = Setting(
    "Any non-empty value but 0, false, no and off: the same.", variable="DO_NOT_TRACK"
)
ENDPOINT = Setting(
    "Base URL of the server, with or without /graphql.",
    variable="MIGAS_ENDPOINT",
    key="endpoint",
    parse=_server,
    default=f"https://{OFFICIAL_HOST}",
)
PROXY = Setting("URL of the proxy that leads to it.", key="proxy", parse=_url)
DELIVERY = Setting(
    "auto (default), detached, inline, spool or log.",
    variable="MIGAS_DELIVERY",
    key="delivery",
    parse=_one_of(DELIVERIES),
    default="auto",
    fallback="spool",  # nothing is lost, and nothing leaves by a way that was not asked for
)
TIMEOUT = Setting(
    "Seconds to wait for a server's answer, in total. Default 5; 0 never waits.",
    variable="MIGAS_TIMEOUT",
    key="timeout",
    parse=_seconds,
    default=5.0,
    fallback=5.0,
)
ERROR_TEXT = Setting(
    "What is said of an error: none, type or redacted (default).",
    key="error_text",
    parse=_one_of(ERROR_TEXTS),
    default="redacted",
    fallback="none",
)
TIMING = Setting(
    "Whether a server that asks is told when a run ended and how long it took (default: true).",
    key="timing",
    parse=_true_or_false,
    default=True,
    fallback=False,
)
STATE_DIR = Setting("Folder for what waits to be sent.", variable="MIGAS_STATE_DIR")
LOG_LEVEL = Setting(
    "Log to stderr at this level: DEBUG, INFO, WARNING, ERROR.", variable="MIGAS_LOG_LEVEL"
)
EXIT_TIMEOUT = Setting(
    "Seconds that the end of a process waits for delivery.",
    parse=_seconds,
    default=1.0,
    fallback=1.0,
)
RANKS = Setting(
    "first: of an MPI job only rank 0 speaks. all: every one does.",
    parse=_one_of(("first", "all")),
    default="first",
    fallback="first",
)

TABLE = tuple(row for row in list(globals().values()) if isinstance(row, Setting))

VARIABLES = {row.variable: row for row in TABLE if row.variable is not None}
"""Every environment variable that the client reads."""

KEYS = {row.key: row for row in TABLE if row.key is not None}
"""Every key of `config.toml`."""
