"""What is recognised by its shape: secrets, addresses, labels of people, dates, long numbers.

A rule is a text that must occur for it to matter, a pattern and what stands in for a match. No
pattern goes back over what it has read: each begins where a run of its characters begins, so the
time is linear however hostile the text is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable

    Replacement = str | Callable[[re.Match[str]], str]
    Rule = tuple[list[str], Replacement, str]

EXTENSIONS = (
    r"(?:nii|mgz|mgh|gii|dcm|ima|hdr|img|bval|bvec|tsv|csv|json|txt|h5|hdf5|mat|npy|npz|pkl|pickle"
    r"|edf|bdf|fif|vhdr|vmrk|eeg|snirf|trk|tck|annot|xlsx?|docx?|pptx?|odt|ods|pdf|zip|tar|tgz|gz"
    r"|bz2|xz|zst|7z|png|jpe?g|tiff?|svg|html?|xml|sqlite3?|parquet|pth|pt|ckpt|onnx|safetensors"
    r"|mp4|avi|wav|bam|fastq|fasta|vcf|crash|pklz|eml|pem|rtf|sav)"
)
"""Endings of files that hold data or documents, hence names that people gave."""

DIGITS = "0|1|2|3|4|5|6|7|8|9"

# Words that follow a path, a label or an option in a sentence, but are hardly ever part of it.
VERBS = (
    r"(?:is|are|was|were|be|been|has|have|had|does|did|do|not?|cannot|can|could|should|would|will"
    r"|must|may|might|returned|returns|exited|exits|failed|fails|to|from|into|onto|via|because"
    r"|while|when|after|before|if|as|already|exists?|denied|missing|found|line|errors?|using|by"
    r"|but|than|then|or|permission|unable|took|needs?|requires?|exceeded|raised|killed|died"
    r"|crashed|timed|expected|got|contains?|HTTP)\b"
)
LINKS = r"(?:of|the|an?|in|on|and|with|at|for|this|that|it|its|which|status|code|process)\b"
STOP = (
    rf"(?:{VERBS}|{LINKS}|(?:option|flag|argument|arg|value|switch|parameter|instead|given|twice"
    r"|only|also|so|you|see|try|use|accepts?|takes?|selects?)\b)(?![\w-])"
)


def apply(rules: Iterable[Rule], text: str) -> str:
    """Replace every match of the rules, each in its turn."""
    import re

    lower = text.lower()
    for needs, replacement, pattern in rules:
        if any(sign in lower for sign in needs):
            text = re.sub(pattern, replacement, text)
    return text


def rule(needs: str, replacement: Replacement, *pattern: str) -> Rule:
    """A row of a table of rules.

    Args:
        needs: Signs, in small letters and with bars between them, one of which must occur in a text
            for the rule to matter.
        replacement: What stands in for a match, or the function that says so.
        pattern: The parts of the regular expression.
    """
    return needs.split("|"), replacement, "".join(pattern)


def _keep_number(match: re.Match[str]) -> str:
    """Round numbers and powers of two (1048575, 2000000) are limits and sizes, and name nobody."""
    text = match[0]
    is_limit = text.isascii() and text.isdigit() and len(text) < 21 and _is_limit(int(text))
    return text if match["kept"] or (is_limit and text[0] != "0") else "<digits>"


def _is_limit(number: int) -> bool:
    near = (number - 1, number, number + 1)
    return any(n & (n - 1) == 0 for n in near) or not str(number)[1:].strip("0")


def _keep_short_groups(match: re.Match[str]) -> str:
    """An IPv6 address has `::` or eight groups; a slice such as `[1::2]` has few digits."""
    text = match[0]
    digits = sum(character not in ":." for character in text)
    is_address = digits >= 4 and ("::" in text or text.count(":") == 7)
    return "<ip>" if is_address else text


def _keep_words(match: re.Match[str]) -> str:
    """Random text changes between upper case, lower case and digits all the time; names do not."""
    text = match[0].strip("_=-")
    kinds = [
        "d" if character.isdigit() else "u" if character.isupper() else "l"
        for character in text
        if character.isalnum()
    ]
    changes = sum(kinds[i] != kinds[i - 1] for i in range(1, len(kinds)))
    is_random = kinds.count("d") >= 2 and changes >= 0.4 * len(kinds)
    return "<secret>" if is_random else match[0]


BEFORE_PATHS = (
    rule(
        "-----begin ",
        "<secret>",
        r"(?s)-----BEGIN [A-Z0-9 ]{0,40}-----.*?(?:-----END [A-Z0-9 ]{0,40}-----|\Z)",
    ),
    # A file's URL is a path and may have spaces in it, so the rule for paths takes it.
    rule(
        "://",
        "<url>",
        r"(?i)(?<![\w+.-])(?!file:)[\w+.-]++://(?:[^\s/?#]*+@)?[^\s'\"<>`]*[^\s'\"<>`.,;:!?)\]}]",
    ),
    rule("arn:", "<url>", r"(?<![\w-])arn:[\w-]{2,12}:[^\s'\"<>`,;)\]}]*\w"),
    rule("exec_host=", r"\1<host>", r"(\bexec_host=)[\w.-]+(?:/[\d*.+-]+)*"),
    # Datasets of AFNI, and images that are named without their ending.
    rule(
        "+orig|+tlrc|+acpc|open |match: ",
        "<path>",
        r"(?<![\w.+-])[\w.-]++\+(?:orig|tlrc|acpc)(?:\.(?:HEAD|BRIK(?:\.gz)?))?(?!\w)",
        r"|(?:(?<=image files match: )|(?<=open image )|(?<=open volume )|(?<=open dataset ))",
        r"(?=[\w.-]{0,200}[\d_])[\w.-]*\w",
    ),
    rule(
        ":|=",
        r"\1<secret>",
        r"(?i)((?:authorization|cookie|passphrase)\\?[\"']?[ \t]*[:=][ \t]*\\?[\"']?)[^\n\"']+",
    ),
    rule(
        ":|=",
        r"\1<secret>",
        r"(?i)((?:passw(?:or)?d|passcode|(?<![a-z])(?:pwd|pw|pin)(?![a-z])|mot de passe|passwort",
        r"|secret(?:[_ -]?access)?(?:[_ -]?key)?|(?<!unexpected )(?<!invalid )token(?!s|iz)",
        r"|(?<=invalid )token(?=[ \t]*[:=][ \t]*\S{0,80}\d)|credentials?",
        r"|(?:api|access|account|private|auth|license|shared|signing|encryption)[_ -]?key",
        r"|(?<![a-z])(?:auth|sig|signature)(?==)|session[_-]?(?:id|key))",
        r"(?:[_.-][\w.-]{0,30}|\d{1,3})?\\?[\"']?[ \t]*(?:=>|:=|==?|:(?!:))[ \t]*\\?[\"']?)",
        r"(?!(?:expected|must|EOF|invalid)\b)(?:(?<=\")[^\"\n]*+|(?<=')[^'\n]*+|\([^)\n]*+\)?",
        r"|(?:(?:bearer|basic)[ \t]+)?\S*[^\s,;)\]}'\"])",
    ),
    rule(
        "--",
        r"\1<secret>",
        r"(?i)(--[\w-]{0,30}(?:passw(?:or)?d|token|secret|key|passphrase)[\"']?,?[ \t]+[\"']?)",
        r"(?!-)[^\s\"',\]]+",
    ),
    rule(
        "bearer|basic",
        r"\1 <secret>",
        r"(?i)\b(bearer|basic)[ \t]+(?=[\w.~+/-]{0,200}[\d=])[\w.~+/=-]{8,}",
    ),
    rule(
        DIGITS + "|-|_",
        "<secret>",
        r"(?<![A-Za-z0-9])(?:A[KS]IA[0-9A-Z]{12,}|gh[a-z]_\w{16,}|github_pat_\w{16,}",
        r"|xox[a-z]-[\w-]{8,}|xapp-[\w-]{8,}|glpat-[\w-]{12,}|hf_\w{16,}|AIza[\w-]{20,}",
        r"|ya29\.[\w-]{8,}|(?:npm|dop_v1|shpat)_\w{16,}|pypi-[\w-]{16,}",
        r"|(?:sk|pk|rk)[-_](?=[\w-]{0,100}\d)[\w-]{12,}|eyJ[\w-]{6,}(?:\.[\w-]*){0,4})",
    ),
    rule(
        "@", "<url>", r"(?<![\w.+-])[\w.+-]++@[\w.-]++:(?!\d+\b)[^\s'\"<>`]*[^\s'\"<>`.,;:!?)\]}]"
    ),
    rule("@", "<email>", r"(?<![\w.+%-])[\w.+%-]++@(?:[\w-]+\.)+[^\W\d_][\w-]+"),
    rule("@", "<user>@<host>", r"(?<![\w.+%-])[\w.+%-]++@[^\W\d_][\w-]*+(?!\.\w)"),
    rule(
        DIGITS,
        "<date>",
        r"(?<![\w.])(?:(?:1[89]|20)\d\d(?:[-/]\d{1,2}[-/]\d{1,2}|\.\d\d\.\d\d)|",
        r"\d{1,2}([-/.])\d{1,2}\1(?:1[89]|20)\d\d|\d{1,2}/\d{1,2}/\d\d",
        r"|(?:1[89]|20)\d\d(?:0\d|1[0-2])(?:[0-2]\d|3[01])(?=[T_-]\d{4}))",
        r"(?:[T _-]\d{1,2}[:.h-]?\d{2}(?:[:.-]?\d{2})?(?:[.,]\d{1,9})?",
        r"(?:Z|[ ]?[+-]\d{2}:?\d{2})?)?(?![\w]|\.\d)",
    ),
    rule(
        DIGITS,
        "<date>",
        r"(?i)(?<!\w)(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6}[,.]?[ ])?",
        r"(?:\d{1,2}(?:st|nd|rd|th)?[ .-]{1,2}",
        r"(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz]|janv|f[eé]vr|avr|juin|juil",
        r"|ao[uû]t|d[eé]c)[a-zé]{0,7}[ .,-]{1,2}(?:\d{4}|\d{2}(?!\d|:))",
        r"|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}[ .]{1,2}\d{1,2}",
        r"(?:st|nd|rd|th)?,?[ ](?:\d{1,2}:\d{2}(?::\d{2})?[ ])?\d{4})",
        r"(?:[ ,]{1,2}\d{1,2}:\d{2}(?::\d{2})?)?(?!\w)",
    ),
)
"""What may hold a slash of its own, and so must be gone when paths are looked for."""

ADDRESSES = (
    # A bare file name may name a person; endings that are also names of attributes are left out.
    rule(
        ".",
        "<path>",
        rf"(?i)(?<![\w.+-])(?!(?:nii|tar)\.\w+(?![\w.]))[\w+-]+(?:\.[\w+-]+)*?\.{EXTENSIONS}(?:\.gz)?(?![\w(]|\.\w)",
    ),
    rule(
        "-",
        "<uuid>",
        r"(?i)(?<![0-9a-f])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![0-9a-f])",
    ),
    rule(
        ":|-|.",
        "<mac>",
        r"(?i)(?<![\w:-])(?:[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4,6}",
        r"|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4})(?![\w:-])",
    ),
    # Four numbers with dots are an address unless a word before them says that they are a version.
    rule(
        ".",
        "<ip>",
        r"(?i)(?<![\w.])(?<!version )(?<!version: )(?<![=~<>]=)\d{1,3}(?:\.\d{1,3}){3}",
        r"(?:/\d{1,2})?(?!\w|\.\d)",
    ),
    rule(
        ":",
        _keep_short_groups,
        r"(?i)(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,8}(?:%\w{1,16})?(?:/\d{1,3})?(?![\w:])",
    ),
)
"""What may stand behind a label, and is told better by its own shape."""

REMAINDER = (
    rule(DIGITS + "|a|b|c|d|e|f", "<secret>", r"(?i)(?<![a-z0-9])[0-9a-f]{32,}+(?![a-z0-9])"),
    rule(DIGITS, _keep_words, r"(?<![\w+/=-])[\w+/=-]{20,}+"),
    rule(
        DIGITS,
        _keep_number,
        r"(?i)(?P<kept>0x[0-9a-f]+|(?<![\w.])\d++\.\d++(?:e[+-]?\d+)?(?![\w.]*\d)",
        r"|\d{7,}+(?=[ ]?(?:bytes?|[kmgt]i?b|elements?|voxels?)\b))",
        r"|\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,6}(?!\w)|(?<!\w)0\d(?:[ .-]\d\d){4}(?!\w)",
        r"|(?<![\w.-])(?:\(\d{3}\)[ ]?|\d{3}[.-])\d{3}[.-]\d{4}(?!\w)",
        r"|(?<![\w.-])\d{3}-\d{2}-\d{4}(?!\w)|\d++(?:\.\d++){5,}|\d{7,}",
    ),
    rule("-u |--user ", r"\1<secret>", r"(?<!\w)(-u |--user )[^\s:]+:\S+"),
    # Endings that are also Python's own words (`io`, `at`, `home`) would cut module names.
    rule(
        ".",
        "<host>",
        r"(?i)(?<![\w.-])(?!self\.|_?threading\.|_thread\.)(?:www\.(?:[\w-]++\.)*[\w-]++",
        r"|(?:[\w-]++\.)+(?:com|org|net|edu|gov|mil|eu|de|fr|uk|ch|nl|pl|jp|cn|kr|au|ca|br|ru",
        r"|local|lan|internal|intranet|localdomain|cluster|hpc))(?![\w-]|\.\w)",
    ),
)
