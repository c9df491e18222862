"""The README says what is true: its examples run, its tables are whole."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from migas import settings as table
from migas.cli import main as cli
from tests.support.collector import running_collector

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def examples() -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))


def commands() -> set[str]:
    parser = cli.build_parser()
    actions = [action for action in parser._actions if hasattr(action, "choices")]
    return {
        name for action in actions if isinstance(action.choices, dict) for name in action.choices
    }


@pytest.mark.parametrize(
    ("releases", "said"),
    [
        ({"owner/tool": ["1.2.0"]}, r"1\.2\.0 \d+"),
        ({}, r"The breadcrumb is stored; no newest version of 'owner/tool' is known\. [1-9]"),
    ],
)
def test_the_examples_run_and_are_stored(
    releases: dict[str, list[str]], said: str, tmp_path: Path
) -> None:
    with running_collector(projects=["owner/tool"], releases=releases) as collector:
        program = tmp_path / "program.py"
        program.write_text(examples().replace("http://127.0.0.1:8080", collector.url))
        environment = {
            **os.environ,
            "MIGAS_STATE_DIR": str(tmp_path / "state"),
            "MIGAS_DELIVERY": "inline",
        }
        ran = subprocess.run(
            [sys.executable, program], env=environment, capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.splitlines()[0] == "working"
        assert re.fullmatch(said, ran.stdout.splitlines()[1])
        subprocess.run(
            [sys.executable, "-m", "migas", "flush"],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        stored = {(crumb["status"], crumb["status_desc"]) for crumb in collector.crumbs()}
        ended = {row["status"] for row in collector.query("SELECT status FROM sessions")}
    assert ("C", "Completed") in stored
    assert ended == {"C"}


def test_every_setting_is_in_the_readme() -> None:
    missing = [name for name in (*table.VARIABLES, "MIGAS_DB") if f"`{name}`" not in README]
    assert missing == []


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 250


def test_every_command_is_in_the_readme() -> None:
    missing = [name for name in sorted(commands()) if f"migas {name}" not in README]
    assert missing == []


def test_the_readme_does_not_claim_the_name_on_the_index() -> None:
    assert "pip install migas" not in README
    assert "NiPreps" in README


def test_the_readme_names_both_commands_as_they_are_tested() -> None:
    assert "pip install -e '.[collector]' && migas demo" in README
    assert "pip install -e '.[test]' && pytest" in README
    assert "pip install -e '.[test]' && pytest\n" in (ROOT / ".ci" / "run").read_text()


def test_the_version_is_the_same_everywhere() -> None:
    import migas

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    assert migas.__version__ == importlib.metadata.version("migas")
    assert f"## [{migas.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
