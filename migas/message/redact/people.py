"""People and studies, told by the word before them: patients, subjects, DICOM's fields, users."""

from __future__ import annotations

from migas.message.redact.shapes import STOP, rule
from migas.message.redact.words import NAMES_NOBODY

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

# A letter that is not of a to z begins a name, in any script; in capitals it is a short form.
_NAME = (
    rf"(?!{STOP}|(?:names?|id|ids|labels?|level|data|sessions?|group|age|code|position|orientation"
    r"|alternative|key|common|info|information|number|list|table|file|directory|count|being"
    r"|specific|anterior|inferior|left|posterior|right|superior)\b)"
    r"(?-i:(?![a-z])[^\W\d_](?![A-Z])[^\W\d_])(?:[\w-]|'(?=\w))*+"
)
_NAMES = rf"{_NAME}(?:,?[ ](?:{_NAME}|(?-i:[A-Z])\.))*"
_WITH_DIGIT = r"(?=[\w.-]{0,80}\d)[\w.-]*\w"
_QUOTED = r"\"[^\"\n]{1,80}\"|'[^'\n]{1,80}'"
_WHO = rf"(?:{_QUOTED}|{_WITH_DIGIT}|{_NAMES}|[^\W_][\w-]*+(?=[ ]\((?:id|mrn|born|dob)\b))"
_IN_BRACKETS = rf"[ ]\((?:(?:id|mrn|born|dob|name)\b[^()\n]{{0,80}}|{_NAMES})\)"

_PERSON = r"(?:subject|participant|patient(?:in)?|proband(?:in)?|volunteer|paciente|sujet)"
_LABEL = r"(?:id|identifier|label|name|code|number|no\.?|nr\.?)"
_DICOM = (
    r"(?<![a-z])(?:(?:other)?patient(?:'?s)?[ _]?(?:name|id|birth\w{0,8}|address|comments|age)s?"
    r"|study[ _]?(?:description|comments|id)|requested[ _]?procedure[ _]?(?:description|id)"
    r"|performed[ _]?procedure[ _]?step[ _]?(?:description|id)|image[ _]?comments"
    r"|admitting[ _]?diagnos[ei]s[ _]?description|name[ _]?of[ _]?physicians\w{0,20}"
    r"|(?:referring|performing|requesting|attending)[ _]?physicians?(?:'s)?(?:[ _]?name)?"
    r"|operators?'?[ _]?name|institution[ _]?(?:name|address)|institutional[ _]?department[ _]?name"
    r"|station[ _]?name|accession[ _]?number|device[ _]?serial[ _]?number)"
)
_DICOM_SIGNS = (
    "patient|study|procedure|comments|diagnos|physician|operator|institution|station|accession"
    "|serial"
)

_WORDS = NAMES_NOBODY | frozenset(
    """
    age aged analysis anonymous average brain column criteria dataset description different
    directorie exclusion existing fsaverage here id identical inclusion individual info main
    manual manually more motion movement multiple native orientation parameter per position
    provided registered regex registration same separate separately session single size space
    specific surface there together under unknown within without weight
    """.split()  # noqa: SIM905  words are read as words
)
_ENDS = ("tion", "sion", "ness", "ity", "ing", "ded", "led", "ned", "sed", "ted", "ved")


def _hide_unless_word(match: re.Match[str]) -> str:
    """A name in small letters stands where only words of the trade and of grammar stand else."""
    for word in match[2].split():
        singular = word.removesuffix("s")
        if word in _WORDS or singular in _WORDS or word.endswith(_ENDS):
            return match[0]
    return f"{match[1]}<id>"


RULES = (
    # DICOM, HL7: DOE^JANE, DOE^JANE^^^; a power (x^2, mm^2) has no word on both sides.
    rule(
        "^",
        "<name>",
        r"(?<![\w^-])(?<!\w')[^\W\d_]{2}(?:[\w-]|'(?=\w))*+\^[^\W\d_]{2}(?:[\w^-]|'(?=\w))*+",
    ),
    rule(
        "dr.|dr |prof.|mr.|mr |mrs|ms.|ms |herr |frau |fr.|mme",
        r"\1 <name>",
        r"(?<!\w)((?:(?:Dr|Prof|Mrs?|Ms|Fr|Mme)\.|Mrs?|Ms|Dr|Herr|Frau|Mme)",
        r"(?:[ ](?:Prof|Dr)\.?(?!\w)){0,2})",
        rf"(?:[ ](?!(?:Prof|Dr)\b)(?i:{_NAME}))+",
    ),
    rule(
        _DICOM_SIGNS,
        r"\1<id>",
        rf"(?i)({_DICOM}[\"']?[ ]?:[ ]?[\"']?)[^\n;,)\]}}'\"]{{1,80}}",
    ),
    rule(
        _DICOM_SIGNS,
        r"\1<id>",
        rf"(?i)({_DICOM}(?:[ ]?=[ ]?|[ ](?:contains?[ ]|is[ ]|was[ ])?(?=[\"'(])(?!\(\d{{4}},)",
        r"|[ ](?=[\w-]{0,80}\d))[\"'(]?)(?:(?<=[\"'(])[^\"')\n]{1,80}",
        rf"|[^\s,;)\]}}'\"]+(?:[ ](?!{STOP}|\w+=)[^\s,;)\]}}'\"]+)*)",
    ),
    rule(
        "first|last|middle|family|given|maiden|nach|vor|surname|his_id",
        r"\1<id>",
        r"(?i)((?<![a-z])(?:(?:first|last|middle|family|given|maiden|nach|vor)[ _-]?name|surname",
        r"|his_id)[\"']?[ ]?[:=][ ]?[\"']?)[^\n,;)\]}'\"]{1,60}",
    ),
    rule(
        "mrn|ssn|nhs|accession|hospital|record|case|study|ehr|exam|visit|insurance",
        r"\1<id>",
        r"(?i)((?<![a-z])(?:mrn|ssn|nhs|(?:accession|insurance|hospital|nhs|medical record|case)",
        r"[ _]?(?:number|no\.?|nr\.?|id)|(?:record|study|ehr|exam|visit)[ _]id)[\"']?[ ]?[#:=]?",
        rf"[ ]?[\"']?){_WITH_DIGIT}(?:[ ]\d{{2,}})*(?:{_IN_BRACKETS})?",
    ),
    # A list at the end, as in: participant labels were not found: 01, jane.
    rule(
        "subject|participant|patient",
        r"\1<id>",
        rf"(?i)((?<![a-z]){_PERSON}(?:s|\(s\)|[ _]{_LABEL}s?)\b[^\n:.;]{{0,60}}:[ ]\[?)",
        r"(?:(?<=\[)[^\]\n]+|[\"']?[\w-]++[\"']?(?:,[ ][\"']?[\w-]++[\"']?)*+",
        r"(?=[.;)]?(?:\s*$|\n|[ ]\()|[.;] ))",
    ),
    rule(
        "(s) ",
        r"\1<id>",
        rf"(?i)((?<![a-z]){_PERSON}\(s\)[ ])(?!{STOP})[\w-]++(?:,[ ][\w-]++)*",
    ),
    rule(
        "subject|participant|patient|proband|volunteer|paciente|sujet",
        r"\1<id>",
        rf"(?i)((?<![a-z]){_PERSON}s?(?:[ _](?:with )?{_LABEL}s?|[ _](?:field|folder|directory))?",
        rf"[ ]#?){_WHO}(?:(?:,[ ]|[ ]and[ ])(?!sub|ses|run|task|line|row|scan){_WHO})*",
        rf"(?:{_IN_BRACKETS})?",
    ),
    # A single word in small letters is a name where a sentence goes on, or ends, behind it.
    rule(
        "subject |participant |patient |proband |volunteer ",
        _hide_unless_word,
        rf"(?i)((?<![a-z-]){_PERSON}[ ])(?-i:(?!{STOP})([a-z]{{2,24}}",
        rf"(?:[ ](?!{STOP})[a-z]{{2,24}})?))",
        rf"(?=[ ]{STOP}|[.;,:]?(?:[ ]\(|\s*$|\n)|[.;,:][ ])",
    ),
    rule(
        "session",
        r"\1<id>",
        r"(?i)(subject <id>,? session (?!<)(?=[\w-])|(?<![a-z])sessions?(?: (?:label|id|name))? ",
        rf"(?=[\"']))(?:{_QUOTED}|[\w-]+)",
    ),
    rule(
        "sub|ses",
        r"\1<id>",
        r"(?i)(?<![a-z0-9])((?:single[_-]subject|sub|ses)[_-])",
        r"(?!(?:process|workflow|module|director|folder|command|graph|class|typ|array|string|task",
        r"|set|sampl|field|domain|packag|region|volum|menu|quer|tree|step|optimal|interfac|network",
        r"|system|group|section|part|path|dir|list|id|label|level|nod|name|wf|routin|matri|pixel",
        r"|second|millimet|millisecond|space|word|surfac|divi|total|problem|block|cortical|band",
        r"|brick|voxel|dtype|caption|model|estimat|element|expression|option|component|categor",
        r"|program|project|resource|request|object|image|window|pattern|sequence|bundle)",
        r"(?:s|e|es|e?d|ded?|ers?|re|ric|t?ing|ors?|s?ions?|y|ies|(?:ic)?al|ly|x|ces)?",
        r"(?![a-z0-9]))[a-z0-9]+",
    ),
    rule(
        "sub|ses|participant|patient",
        r"\1<id>",
        r"(?i)(?<![a-z0-9])((?:sub(?:j(?:ect)?)?|ses(?:s(?:ion)?)?|participant|patient)",
        r"(?:[_ -]?(?:id|label|no|nr))?[_ #-]?)[a-z]{0,3}\d[a-z0-9]*",
    ),
    rule(
        "patient|mrn|dob|ssn|proband|birth",
        r"\1<id>",
        r"(?i)((?<![a-z])(?:patient(?:'?s)?[ _-]?\w{0,12}(?:[ _]\w{1,12})?|mrn|dob|ssn",
        r"|proband(?:in)?|date of birth|birth ?date)[\"']?[ ]?[:=][ ]?[\"']?)[^\n;)\]}'\"]{1,80}",
    ),
    rule(
        "subject|participant|session",
        r"\1<id>",
        r"(?i)((?<![a-z])(?<!--)(?:(?:subject|participant)(?:[ _-]?(?:id|label|name|code))?s?",
        r"[\"']?[ ]?[:=][ ]?|session(?:[ _-]?(?:label|name|code))?(?:[ ]?=|[\"']:)[ ]?)",
        r"[\[(]?[\"']?)(?!None\b)[^\s,;)\]}'\"]+",
    ),
    rule(
        "user|login|owner|account|role|uid",
        r"\1<user>",
        r"(?i)((?<![a-z])(?:user(?:[ _]?(?:name|id))?|login|owner|account(?:[ _]?name)?|role|uid)",
        r"[\"']?(?:[ ]?[=:][ ]*[\"']?|[ ][\"']))(?!None\b|0x)",
        r"(?:(?<=[\"'])[^\"'\n]+|[^\s\"',;)\]}]+)",
    ),
    rule(
        "user",
        r"\1<user>",
        r"(?i)((?:for|by|as|of|unknown) user )",
        r"(?!<user|(?:input|name|data|code|id|is|and|or|to)\b)(?:<[\w.-]+>|[\w.-]*\w)",
    ),
)
