"""What a person typed, as parsers of command lines and of numbers echo it: the value goes.

Options, choices and the names of programs are a program's own and stay.
"""

from __future__ import annotations

from migas.message.redact.shapes import STOP, rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

_QUOTED = r"([\"'])[^\n]{0,200}?\2"
_VALUE = rf"(?!-|{STOP})[^\s'\",\].:;!?)|/][^\s'\",\]]*+"


def _hide_all_but_options(match: re.Match[str]) -> str:
    said: list[str] = []
    for word in match[2].split(" "):
        option, _, value = word.partition("=")
        shown = word if not word or not value else f"{option}=<value>"
        if not word.startswith("-"):
            shown = "<value>" if word else ""
        if shown != "<value>" or said[-1:] != ["<value>"]:
            said.append(shown)
    return match[1] + " ".join(said)


def _keep_what_is_no_word(match: re.Match[str]) -> str:
    """A number that is none (`1.5`, `n/a`, `<NA>`) tells of an error, `Doe, Jane` of a person."""
    import re

    words = re.findall(r"[^\W\d_]{3,}", match[3])
    is_word = any(word.lower() not in ("nan", "none", "null", "inf") for word in words)
    return f"{match[1]}{match[2]}<value>{match[2]}" if is_word else match[0]


RULES = (
    # In a usage line (`[--participant-label LABEL]`) and in a sentence an option has no value.
    rule(
        "--part|--subj|--sess|--pati",
        r"\1<id>",
        r"(?i)(?<!\[)(--(?:participant|subject|session|patient)[\w-]{0,30}[\s,='\"]++)",
        rf"{_VALUE}(?:[\s,='\"]++{_VALUE})*",
    ),
    rule(
        "recon-all| -subj",
        r"\1<id>",
        r"(?i)(\brecon-all(?:[ ]-\w+){0,8}?[ ]-s[ ]|(?<=[ ])-subj(?:id|ect)[ ])",
        _VALUE,
    ),
    rule(
        "invalid |explicit|command|argument",
        r"\1\2<value>\2",
        r"(?i)((?:invalid (?:choice|[\w.<>-]{1,40} value):|ignored explicit argument",
        r"|no such command|(?:unexpected|unrecognized|unknown) (?:sub)?(?:argument|command):?)[ ])",
        _QUOTED,
    ),
    rule(
        "invalid value",
        r"\1\2<value>\2",
        r"(?i)(invalid value(?:(?: for [\"'][^\n:]{1,60}[\"'])?:[ ](?:(?:directory|file|path) )?",
        rf"|(?=[ ][\"'][^\n\"']{{0,200}}[\"'] for [\"']-)[ ])){_QUOTED}",
    ),
    rule("unrecognized arg", _hide_all_but_options, r"(unrecognized arguments?: )([^\n]+)"),
    rule(
        "unexpected extra arg|consume arg",
        r"\1<value>",
        r"(?i)(got unexpected extra arguments? \(|could not consume args?: )[^()\n]+",
    ),
    rule(
        "input_value=",
        r"\1<value>",
        r"(input_value=)(?:'[^'\n]*'|\"[^\"\n]*\"|[^\s,\]]+)",
    ),
    rule(
        " is not | <class",
        "'<value>'",
        r"'[^'\n]{1,200}'(?= is not (?:one of[: ]|a valid (?:integer|float|number|boolean)))",
        r"|(?<=value of )'[^'\n]{1,200}'(?= <class)",
    ),
    rule(
        "convert|literal for|parse|time data|isoformat",
        _keep_what_is_no_word,
        r"(?i)((?:convert string to \w+:|invalid literal for \w+\(\) with base \d+:|time data",
        r"|unable to parse (?:datetime )?string:?|invalid isoformat string:)[ ])",
        r"([\"'])([^\n]{0,200}?)\2",
    ),
)
"""Run before the paths are looked for: a value may hold a slash of its own."""
