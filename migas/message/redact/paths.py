"""Paths, absolute and relative, with blanks in them and without, told from other slashes."""

from __future__ import annotations

from migas.message.redact.shapes import EXTENSIONS, LINKS, VERBS


def redact_paths(text: str) -> str:
    """Put `<path>` in the place of every path in a text, and keep the quotes around it."""
    import re

    for opening, closing in map(tuple, _QUOTES):
        if opening in text:
            inside = f"[^{opening}{closing}\n]+"
            text = re.sub(
                rf"(?<![^\W_bBrRuUfF])(?<!\\){opening}({inside}){closing}(?!\w)",
                lambda match: (
                    f"{match[0][0]}<path>{match[0][-1]}" if _is_quoted_path(match[1]) else match[0]
                ),
                text,
            )
    if "/" not in text and "\\" not in text:
        return text
    search = re.compile(_PATH).search
    pieces = []
    position = 0
    while match := search(text, position):
        start, end = match.span()
        run = match[0].rstrip(_AFTER_A_PATH)
        if match["relative"] and _is_innocent(run, text[max(start - 30, 0) : start]):
            pieces.append(text[position:end])
        else:
            end = _path_end(text, start + len(run), whole=start + len(run) == end)
            pieces += (text[position:start], "<path>")
        position = end
    return "".join(pieces) + text[position:]


# What a path is made of up to a blank: quotes and pipes end it, a placeholder or an escaped
# blank inside it does not.
_RUN = r"(?:[^\s'\"<>`|]++|<[a-z]+>|(?<=\w)'(?=\w)|(?<=\\)[ ])*+"
_ROOTED = (
    r"(?:(?i:file:)/++(?=\S)"
    r"|(?<![\w.)\]}/\\~%$])(?<![a-z]>)/++(?=[\w.~<$%@*+-])(?!\w+>)"
    r"|(?<![^\W_])[A-Za-z]:[\\/]"
    r"|(?<![\w\\])\\{2,}+(?=[^\s\\'\"<>`|]+\\)"
    r"|(?<![\w~/\\])~[\w.-]*+[\\/]"
    r"|\$\{?\w+\}?[\\/]|%\w{1,40}%[\\/]"
    r"|(?<![\w./\\])\.{1,2}[\\/](?=[\w.<])"
    r"|<(?:path|user|date|host)>[\\/](?=[\w.~<]))"
)
_RELATIVE = r"(?<![^\s'\"`<>|=:,;()\[\]{}])(?P<relative>[^\s'\"`<>|=:,;()\[\]{}/\\]++[/\\])"
_PATH = f"(?:{_ROOTED}|{_RELATIVE}){_RUN}"

_NAME_WORD = r"[^\s/\\'\"<>|:;,=()\[\]{}`-][^\s/\\'\"<>|:;,=`]{0,63}"
_MORE_FOLDERS = (
    rf"(?i)(?:[ ]{{1,2}}(?!{VERBS}){_NAME_WORD}){{0,6}}?"
    rf"[ ]{{1,2}}(?!{VERBS}){_NAME_WORD}[/\\]{_RUN}"
)
_LAST_FILE = (
    rf"(?i)(?:[ ](?!{VERBS}){_NAME_WORD}){{0,4}}?"
    rf"[ ](?!{VERBS})[^\s/\\'\"<>|:;,=`]{{1,64}}?\.{EXTENSIONS}(?:\.gz)?(?!\w)"
)
_LAST_WORDS = (
    rf"(?i)(?:[ ](?!{VERBS}|{LINKS})[^\W\d_][\w'-]{{0,40}}(?:\.\w{{1,9}}){{0,3}}"
    r"(?![^\s.,:;!?)\]'\"])){1,3}"
)
_FILE_END = rf"(?i)\.{EXTENSIONS}(?:\.gz)?$"
_ANY_FILE_END = r"\.[A-Za-z]\w{0,5}$"
_QUOTED_FILE_END = rf"(?i)\.(?:{EXTENSIONS}|log|set|par|rec|label|dat|db|md|ya?ml|toml|ini|cfg)$"
_AFTER_A_PATH = ".,;:!?)]}"
_QUOTES = ("''", '""', "``", "`'", "\u2018\u2019", "\u201c\u201d", "«»", "「」")

_SAFE_PART = (
    r"(?:\d[\d.,]*(?:e[+-]?\d+)?[a-zµ%°]{0,3}|[a-z]{1,2}\d?|\d[a-z]"
    r"|[<>|=]?(?:u?int|b?float|complex|bool|str|uint)\d*|[tb]\d\*?w?|std(?:in|out|err)"
    r"|(?:date|datetime|timedelta)\d*|c\+\+|[+-]|%[\d.]*[a-z]|-{1,2}[a-z][\w-]*"
    r"|and|or|not|true|false|none|null|nan|inf|yes|no|n/a|ipv[46]|x86|amd64|arm64)?"
)
_MEDIA_TYPE = r"(?:application|text|image|audio|video|multipart|message|font|model)/[\w.+*-]+"
_NAME_AND_VERSION = r"[A-Za-z][\w.-]*/v?\d+(?:\.\w+)+[\w.+-]*|HTTP/\d|w/[\w-]+"
_PERSON_AND_NUMBER = r"(?i)(?:patient|practitioner|person|subject|participant)s?/[\w.-]*\d"
# fmt: off
_FOLDERS = frozenset({
    "data", "home", "users", "user", "tmp", "temp", "var", "usr", "opt", "etc", "mnt", "media",
    "scratch", "work", "bids", "derivatives", "sourcedata", "rawdata", "documents", "desktop",
    "downloads", "subjects", "patients", "participants", "dicom", "nifti", "anat", "func",
    "dwi", "fmap", "freesurfer",
})
# fmt: on
_PLAIN_WORDS = frozenset(
    """
    add append array arrays base bool byte bytes char class close col cols column columns
    copy count create decode delete dict dimension dimensions direction download drop encode
    end entry error exec exit exponent field first fit float format frame function get group
    head header height home image in index input insert install int integer item key keys
    kind last left len length like line list load loader mask matrix max maximum mean median
    method min minimum mode move multi name names non number object open option options
    order out output platbase post prefix put range read remove right row rows save select
    selector series set shape size source start std stop str stretch string strings sum
    table tail target test text time train transform tuple type types update upload
    validation value values var version volume warning warp weight wid width write
    """.split()  # noqa: SIM905  words are read as words
)
"""What alternatives are made of (`read/write/append`); a path of such words names nobody."""
_BEFORE_A_PATH = (
    r"(?i)(?<![a-z])(?:open(?:ing)?|files?|director(?:y|ies)|dir|folder|path|mkdir|stat|cd|cp|mv"
    r"|rm|ls|cat)[\"']?[ ]?[:=]?[ ]?$"
)


def _path_end(text: str, end: int, *, whole: bool) -> int:
    """Where a path without quotes ends, which only its writer knows when there are blanks in it.

    "can't open /home/jane doe/my data/x.nii: denied" must not leave "doe" behind, so whatever
    could belong to the path goes with it: words as long as a separator follows in the same
    breath, and then up to three words that no sentence would have there. Punctuation, a verb, an
    option, a known ending of a file or a new path end it. A word too much may be lost; the rest
    of the sentence stays.

    Args:
        text: The whole text.
        end: Where the path's first run of characters without a blank ends.
        whole: Whether a blank ends that run; punctuation already says that the path is over.
    """
    import re

    while whole and not re.search(_FILE_END, text[max(end - 20, 0) : end]):
        more = re.compile(_MORE_FOLDERS).match(text, end)
        if more is None:
            last = re.compile(_LAST_FILE).match(text, end)
            if last is None and not re.search(_ANY_FILE_END, text[max(end - 7, 0) : end]):
                last = re.compile(_LAST_WORDS).match(text, end)
            return last.end() if last else end
        run = more[0].rstrip(_AFTER_A_PATH)
        whole = len(run) == len(more[0])
        end += len(run)
    return end


def _is_quoted_path(text: str) -> bool:
    import re

    if re.match(_ROOTED, text):
        return True
    if re.fullmatch(rf"\.?{EXTENSIONS}(?:\.gz)?", text):
        return False
    is_file = re.search(_QUOTED_FILE_END, text[-20:]) is not None
    if not is_file and "/" not in text and "\\" not in text:
        return False
    words = text.split()
    if len(words) > 1:
        # A sentence in quotes may mention a path; a path with blanks has few words and no verb.
        if len(words) > 8 or re.search(rf"(?i)[:;,] | [/~-]|(?<!\S){VERBS}", text):
            return False
        return is_file or not all(_is_innocent(word, "") for word in words)
    return is_file or not _is_innocent(text, "file: ")


def _is_innocent(run: str, before: str) -> bool:
    """Whether a run of characters with a slash in it is anything but a relative path."""
    import re

    if "\\" in run:
        # In a quoted message "\n" is a line break; a Windows path has longer names between.
        names = run.split("\\")
        return len(names) < 3 or any(re.match(r"[nrtx0u'\"]|$", name) for name in names[1:])
    parts = run.split("/")
    if all(re.fullmatch(f"(?i){_SAFE_PART}", part) for part in parts):
        return True
    if re.fullmatch(f"{_MEDIA_TYPE}|{_NAME_AND_VERSION}", run):
        return True
    if re.match(_PERSON_AND_NUMBER, run):
        return False
    words = [word for part in parts for word in re.split("[-_]", part.lower())]
    if all(word in _PLAIN_WORDS for word in words):
        return True
    return (
        len(parts) == 2
        and all(re.fullmatch(rf"(?i)[a-z]+(?:\(s\))?|{_SAFE_PART}", part) for part in parts)
        and all(part and part.lower() not in _FOLDERS for part in parts)
        and not re.search(_BEFORE_A_PATH, before)
    )
