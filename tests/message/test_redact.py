"""What leaves the machine in an error's text, and what stays readable of it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import migas.message.redact
from migas.message.redact import CUT_MARK, MAX_CHARS, Personal, redact

JANE = Personal(homes="/home/jdoe", users=("jdoe", "Jane Doe"), hosts="lab42.example.org")
DATA = Path(__file__).parent / "data"
MESSAGES = tomllib.loads((DATA / "redaction.toml").read_text("utf-8"))
# A message alone must stay as it is.
REPORTS = [
    row if len(row) == 3 else [*row, [], row]
    for rows in tomllib.loads((DATA / "reports.toml").read_text("utf-8")).values()
    for row in rows
]


@pytest.mark.parametrize(("text", "expected"), MESSAGES["cut"])
def test_what_identifies_is_cut(text: str, expected: str) -> None:
    assert redact(text, JANE) == expected


@pytest.mark.parametrize("text", MESSAGES["kept"])
def test_innocent_text_stays_as_it_is(text: str) -> None:
    assert redact(text, JANE) == text


@pytest.mark.parametrize(("text", "gone", "left"), REPORTS, ids=[row[0] for row in REPORTS])
def test_reports_lose_people_and_machines_and_keep_what_went_wrong(
    text: str, gone: list[str], left: list[str]
) -> None:
    redacted = redact(text, JANE)
    assert [word for word in gone if word in redacted] == []
    assert [words for words in left if words not in redacted] == []


ALL_TEXTS = [*MESSAGES["kept"], *(row[0] for row in MESSAGES["cut"] + REPORTS)]


@pytest.mark.parametrize("text", ALL_TEXTS)
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact(text, JANE)
    assert redact(once, JANE) == once


def test_lines_are_kept_apart() -> None:
    assert redact("cannot open\n/home/jane/x\nbecause") == "cannot open\n<path>\nbecause"


@pytest.mark.parametrize("text", [None, ""])
def test_no_text_gives_no_text(text: str | None) -> None:
    assert redact(text) == ""


def test_a_home_with_blanks_in_it_is_cut_whole() -> None:
    personal = Personal(homes=r"D:\Profiles\Jane Doe")
    assert redact(r"no space left in D:\Profiles\Jane Doe today", personal) == (
        "no space left in <path> today"
    )


def test_a_hosts_first_label_is_a_name_of_it_too() -> None:
    assert redact("lab42 is busy", JANE) == "<host> is busy"


def test_names_inside_longer_words_are_left_alone() -> None:
    personal = Personal(users="ana")
    assert redact("banana of ana in bold_ana_wf", personal) == "banana of <user> in bold_<user>_wf"


def test_a_user_called_like_a_placeholder_does_not_break_it() -> None:
    personal = Personal(users=("digits", "id"))
    assert redact("digits /home/x in sub-01", personal) == "<user> <path> in sub-<id>"


@pytest.mark.parametrize("name", ["root", "runner", "test", "j", "error", "sub", "term", "null"])
def test_shared_accounts_are_no_names(name: str) -> None:
    text = f"{name} mean square error of sub and term is null"
    assert redact(text, Personal(users=name)) == text


@pytest.mark.parametrize("names", [None, (), ("", None, "  ")])
def test_unknown_names_cut_nothing(names: tuple[str | None, ...] | None) -> None:
    assert redact("a sentence", Personal(names, names, names)) == "a sentence"


def test_a_long_text_loses_its_middle() -> None:
    text = "first line\n" + "nothing to see here\n" * 50_000 + "last line"
    redacted = redact(text)
    assert len(redacted) <= MAX_CHARS
    assert redacted.startswith("first line\n")
    assert redacted.endswith("\nlast line")
    assert CUT_MARK in redacted


BLOB = "q83vEjRWeJCrze8SNFZ4" * 1_000


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        (f"ValueError:{BLOB}", "ValueError:"),
        (f"KeyError('{BLOB}')", "KeyError('"),
        (f"{{'retries':3,'body':'{BLOB}'}}", "{'retries':3,'body':'"),
        ("[0,1,2," + "31,47," * 5_000, "[0,1,2,31,47,31,47,"),
        (
            "読み込めません。" + "画像が壊れています。" * 2_000,
            "読み込めません。画像が壊れています。",
        ),
        ("日本" * 20_000, "日本日本"),
    ],
    ids=["colon", "call", "dict", "numbers", "sentences", "letters"],
)
def test_a_long_text_without_a_blank_keeps_its_beginning(text: str, beginning: str) -> None:
    redacted = redact(text)
    assert redacted.startswith(beginning)
    assert BLOB[:8] not in redacted
    assert redact(redacted) == redacted


@pytest.mark.parametrize("unit", ["word,", "word;word=", '{"name":1,', "x" * 50, "日本", "[[1,2],"])
@pytest.mark.parametrize("start", ["", "ValueError:", "cannot parse "])
def test_the_beginning_of_a_long_text_without_a_blank_stays_readable(start: str, unit: str) -> None:
    redacted = redact(start + unit * (5 * MAX_CHARS // len(unit)))
    assert redacted.startswith(start + unit * 20)
    assert CUT_MARK in redacted or redacted.endswith("\n…")


@pytest.mark.parametrize("separator", [",", "&", '"', "=", ";", "|"])
@pytest.mark.parametrize("known", ["jane.roe@example.org", "jane-roe.nii.gz", "host.example.org"])
def test_of_a_long_text_without_a_blank_no_half_of_a_name_is_left(
    known: str, separator: str
) -> None:
    half = MAX_CHARS // 2
    for cut_at in range(half - len(known) - 4, half + 2):
        text = ("word" + separator) * half
        text = text[: cut_at - 1] + separator + known + separator + text
        assert known[:6] not in redact(text)


SECRET = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQb2"


@pytest.mark.parametrize("separator", [" ", "\n", ",", "|"])
@pytest.mark.parametrize(
    "key", ["", "password: ", "Authorization: Bearer ", "-----BEGIN KEY-----\n"]
)
def test_a_cut_never_leaves_half_a_secret(key: str, separator: str) -> None:
    end = "\n-----END KEY-----" if "BEGIN" in key else ""
    half = MAX_CHARS // 2
    reach = len(key) + len(SECRET) + 8
    for shift in range(-reach, reach, 5):
        for cut_at in (half, 3 * MAX_CHARS - half):
            before = ("word" + separator) * MAX_CHARS
            before = before[: cut_at - reach + shift - 1] + separator
            text = before + key + SECRET + end + separator
            text += ("tail" + separator) * ((3 * MAX_CHARS - len(text)) // 5)
            left = redact(text)
            assert not any(SECRET[i : i + 6] in left for i in range(len(SECRET) - 5))


HOSTILE = [
    "a/", "@", ":", "/ ", "sub-", "sub_", '"', "'", "`", "1", "1.", ".", "\\", "\\a", "a", "/a ",
    "/a b ", "~", "-", "_", "=", "password=", "token", "a@", "a.", "a.b@", "0x", "::", "1:", "ab:",
    "<", "<path>/", "$", "-----BEGIN ", "-----BEGIN A-----", "eyJ", "bearer ", "://", "a://",
    "user ", "2024-", "12 jan ", "日本/", "+1 ", "f0", "A1b2", "a\n", "\n", " ", "\0", "\ud800",
    "C:\\a ", "../", "a)/", "--participant-label 01 ", "www.", "resolve '", "«", "\\\\a\\", "1-",
    "ab^", "Ab-", "Ab'", "c[01-2,", "on node a1.", "nodes a[1,", "subject Ab, ", "subject a1.",
    "subject Ab (Ab ", "subject ids: [a, ", "participant labels: a, ", "participant(s) a, ",
    "PatientName '", "PatientName=a ", "PatientID: a ", "first name: ", "mrn 11 (Ab ", "Dr. Ab ",
    "--subject a,", "--subject='", "recon-all -a ", "invalid choice: '", "invalid value for 'a': '",
    "unrecognized arguments: -a=b ", "input_value='", "'a' is not ", "time data 'a", "JOB 1[",
    "srun: error: a1", "slurma[a", "job id ..", "pods \"", "bucket a.", "AE title '", "arn:aws:",
    "on host <", "a+", "open image a", "exec_host=a/", "invalid token: ", "NID 1", "%d/",
    "ab,", "x:", "Dr. ",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_megabyte_of_one_pattern_is_read_in_linear_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    redacted = redact(text, JANE)
    assert len(redacted) <= MAX_CHARS
    assert redact(redacted, JANE) == redacted


@pytest.mark.parametrize("unit", HOSTILE)
def test_no_pattern_relies_on_the_cut_for_its_speed(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migas.message.redact, "MAX_CHARS", 1_000_000)
    redact(unit * (30_000 // len(unit)), JANE)


PIECES = st.sampled_from(
    [
        *"/\\ .:;,'\"`()[]{}<>=@~$%-_+^&?#!|\n\t0123456789",
        "/home/", "C:\\", "\\\\srv\\", "jane", "doe", "sub-01", "ses-", "https://", "file:///",
        "password", "token: ", "Bearer ", "a@b.org", "10.0.0.1", "::1", "fe80::", "2024-01-05",
        "T12:30", ".nii.gz", ".json", "and/or", "float32", "<path>", "<user>", "<id>", "host=",
        "user ", "is", "Émile", "日本",
        "\ud800", "\0", "eyJhbGciOi", "AKIAIOSFODNN7EXAMPLE", "0x7f",
        "12345678", "jdoe", "lab42",
        "--password ", "-----BEGIN A-----", "-----END A-----", "...",
        "…", "patient: ", "Jan ", "to host ", "www.", "x/y/z", "\u2018", "\u2019", "../", "$HOME/",
    ]
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(st.one_of(st.lists(PIECES, max_size=25).map("".join), st.text(max_size=200)))
@example("\\\\srv\\ is '/a b'/c")
def test_redaction_is_idempotent_and_never_fails(text: str) -> None:
    once = redact(text, JANE)
    assert redact(once, JANE) == once


NAMES = st.text(st.characters(categories=["Ll", "Lu", "Lo"]), min_size=3, max_size=12)


@settings(max_examples=100, deadline=None)
@given(st.lists(NAMES, min_size=2, max_size=4), st.sampled_from(["/{}", "C:\\{}", "~/{}", "../{}"]))
def test_no_part_of_a_quoted_path_is_left(names: list[str], root: str) -> None:
    path = root.format("/".join(f"Zq{name} Xj{name}" for name in names))
    assert redact(f"cannot open '{path}': denied") == "cannot open '<path>': denied"


def test_importing_it_loads_no_regular_expressions() -> None:
    root = str(Path(migas.message.redact.__file__).parents[2])
    script = (
        f"import sys; sys.path.insert(0, {root!r}); import migas.message.redact;"
        " migas.message.redact.redact(''); print('re' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout == "False\n"
