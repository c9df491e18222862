"""What must not leave: takes people, places and secrets out of a text and leaves it readable.

Everything here is pure. What is personal about this machine is passed in as a `Personal`; the
rest is recognised by its shape, so a text is cut too much rather than too little. Innocent text
with a slash or a number in it (`float32/float64`, `(64, 64, 36, 200)`) stays as it is.
"""

from __future__ import annotations

from migas.message.redact.words import NAMES_NOBODY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_CHARS = 10_000
"""How much of a text is looked at and kept: far more than a request of 2,500 bytes can hold."""

CUT_MARK = "\n…\n"
"""What stands where the middle of a longer text was; its line breaks stop every other rule."""

_GUARD = 2_000
_PASSES = 5


class Personal:
    """What is personal about this machine and the person who uses it.

    Args:
        homes: Home directories, as absolute paths.
        users: Names of the account and of its owner. Shared ones (`root`) are passed over.
        hosts: Names of the machine; of a full name its first label counts too.
    """

    __slots__ = ("homes", "hosts", "users")

    def __init__(
        self,
        homes: str | Iterable[str | None] | None = (),
        users: str | Iterable[str | None] | None = (),
        hosts: str | Iterable[str | None] | None = (),
    ) -> None:
        # A home of "/" or "/root" says nothing, and would turn every slash into a placeholder.
        self.homes = _longest_first(home.rstrip("\\/") for home in _names(homes))
        self.users = _longest_first(_names(users))
        self.hosts = _longest_first(
            label for host in _names(hosts) for label in (host, host.partition(".")[0])
        )


def redact(text: str | None, personal: Personal | None = None) -> str:
    """Take out of a text what could identify a person, a machine or a study, and every secret.

    Linear in the length of the text, idempotent, and never raising. A text longer than
    `MAX_CHARS` characters loses its middle first, in whole lines or words, so that no half of a
    secret escapes the rule that would have recognised the whole of it.

    Args:
        text: Any text, lone surrogates and NULs included; None counts as empty.
        personal: The homes, users and hosts of this machine; None when nothing is known of it.

    Returns:
        The text with placeholders such as `<path>`, `<url>`, `<secret>`, `sub-<id>` in it.
    """
    if not text:
        return ""
    if personal is None:
        personal = NOBODY
    for _ in range(_PASSES):
        # One rule's placeholder can complete another's match: the second pass settles that, and
        # what no pass changes any more is what makes this function idempotent.
        redacted = _cut(_apply_rules(_cut(text), personal))
        if redacted == text:
            break
        text = redacted
    return text


def _cut(text: str) -> str:
    if len(text) <= MAX_CHARS:
        return text
    half = (MAX_CHARS - len(CUT_MARK)) // 2
    head, tail = _beginning(text, half), text[-half:]
    line_start = tail.find("\n", 0, _GUARD) + 1
    if not line_start:
        # "Authorization: Bearer xyz" may begin just before the cut: four words are given up.
        words = tail.split(None, 4)
        tail = words[4] if len(words) == 5 else ""
    tail = tail[line_start:]
    key_end, key_start = tail.find("-----END "), tail.find("-----BEGIN ")
    if key_end >= 0 and not 0 <= key_start < key_end:
        tail = tail[key_end:]
    return head.rstrip() + CUT_MARK + tail.lstrip()


def _beginning(text: str, limit: int) -> str:
    """The beginning of a text, up to where nothing that a rule knows by its end is cut in half.

    That is the end of a line, else a blank, else what stands in no name, address or number. Where
    there is none for that long, the text is no name either.
    """
    import re

    kept = limit - _GUARD
    for end in (r"\n", r"\s", r"[^\w.+@%~^-]"):
        last = re.compile(f"(?s).*{end}").match(text, kept, limit)
        if last is not None:
            return text[: last.end() - 1]
    return text[:kept]


def _apply_rules(text: str, personal: Personal) -> str:
    import re

    from migas.message.redact import arguments, machines, paths, people, shapes

    for home in personal.homes:
        text = re.sub(re.escape(home) + r"(?![\w-]|\.\w)", "<path>", text, flags=re.IGNORECASE)
    text = shapes.apply((*shapes.BEFORE_PATHS, *arguments.RULES), text)
    text = paths.redact_paths(text)
    after = (*shapes.ADDRESSES, *people.RULES, *machines.RULES, *shapes.REMAINDER)
    text = shapes.apply(after, text)
    # Names come last: a path with a placeholder in its middle is harder to see whole.
    for names, placeholder in ((personal.hosts, "<host>"), (personal.users, "<user>")):
        if names:
            either = "|".join(map(re.escape, names))
            text = re.sub(rf"(?i)(?<![^\W_])(?<!<)(?:{either})(?![^\W_])(?!>)", placeholder, text)
    return text


def _names(names: str | Iterable[str | None] | None) -> list[str]:
    given = [names] if isinstance(names, str) else names or ()
    # One letter is no name: taking out every lone "a" would leave no sentence standing.
    return [
        name.strip()
        for name in given
        if name and len(name.strip()) > 1 and name.strip().lower() not in NAMES_NOBODY
    ]


def _longest_first(names: Iterable[str]) -> tuple[str, ...]:
    """Without doubles, and in an order in which no name hides a longer one that begins with it."""
    return tuple(
        sorted({name for name in names if len(name) > 1}, key=lambda name: (-len(name), name))
    )


NOBODY = Personal()
"""No home, no user, no host: what is known about nobody in particular."""
