"""What decorating leaves of wrapt: its types at once, and all of it for whoever asks."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

DECORATE = """
import migas

@migas.track("lab/tool", "1.0.0")
def work():
    return 7

assert work() == 7
from migas.tracking import wrapper
"""


def run(program: str, tmp_path: Path, **environment: str) -> str:
    """What a program prints, which must end well."""
    text = textwrap.dedent(program).replace("DECORATE", DECORATE)
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        env={
            **os.environ,
            "MIGAS_STATE_DIR": str(tmp_path / "state"),
            "MIGAS_DELIVERY": "spool",
            "MIGAS_ENDPOINT": "http://127.0.0.1:9",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.strip()


def test_decorating_imports_nothing_that_the_types_do_not_need(tmp_path: Path) -> None:
    program = "DECORATE\nimport sys\nprint(*sys.modules)"
    loaded = set(run(program, tmp_path).split())
    assert not {"asyncio", "inspect", "importlib.metadata"} & loaded


@pytest.mark.parametrize(
    "use",
    [
        "import wrapt\nassert wrapt.FunctionWrapper is wrapper.FunctionWrapper",
        "from wrapt import FunctionWrapper\nassert FunctionWrapper is wrapper.FunctionWrapper",
        "from wrapt import *\nassert FunctionWrapper is wrapper.FunctionWrapper",
        "import wrapt\nassert 'decorator' in dir(wrapt)",
        "import wrapt\nassert wrapt.__version__.split('.')[0].isdigit()",
        "import wrapt\nassert not hasattr(wrapt, 'no_such_name')\nassert wrapt.decorator",
        "import wrapt.decorators\nassert wrapt.decorators.decorator is wrapt.decorator",
        "from wrapt.wrappers import ObjectProxy\nimport wrapt\nassert wrapt.decorator",
        "import importlib, wrapt\nassert importlib.reload(wrapt).decorator is wrapt.decorator",
        "import wrapt, types\nwrapt.decorator\nassert type(wrapt) is types.ModuleType",
        "import pickle, wrapt\nassert pickle.loads(pickle.dumps(work))() == 7",
        "import wrapt\nassert isinstance(work, wrapt.FunctionWrapper)",
    ],
)
def test_whoever_imports_wrapt_later_finds_all_of_it(use: str, tmp_path: Path) -> None:
    assert run(f"DECORATE\n{use}\nprint('good')", tmp_path) == "good"


@pytest.mark.parametrize(
    "use", ["import wrapt", "import wrapt.decorators", "from wrapt import decorator"]
)
def test_whoever_had_imported_wrapt_keeps_what_he_has(use: str, tmp_path: Path) -> None:
    program = f"""
    {use}
    import sys
    had = sys.modules["wrapt"]
    DECORATE
    assert sys.modules["wrapt"] is had
    assert had.FunctionWrapper is wrapper.FunctionWrapper
    print("good")
    """
    assert run(program, tmp_path) == "good"


def test_threads_that_import_wrapt_in_the_same_moment_all_find_it(tmp_path: Path) -> None:
    program = """
    import sys, threading
    sys.setswitchinterval(1e-6)
    start, found = threading.Barrier(9), []

    def look():
        start.wait(30)
        import wrapt
        found.append((wrapt.decorator, wrapt.ObjectProxy, wrapt.FunctionWrapper))

    threads = [threading.Thread(target=look, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    import migas
    start.wait(30)
    DECORATE
    for thread in threads:
        thread.join(30)
    assert len(found) == 8 and len(set(found)) == 1, found
    assert found[0][2] is wrapper.FunctionWrapper
    print("good")
    """
    for _ in range(5):
        assert run(program, tmp_path) == "good"


def test_threads_that_first_look_into_it_in_the_same_moment_all_find_it(tmp_path: Path) -> None:
    program = """
    DECORATE
    import sys, threading
    sys.setswitchinterval(1e-6)
    import wrapt
    names = ["decorator", "synchronized", "when_imported", "WeakFunctionProxy"] * 4
    start, found = threading.Barrier(len(names)), []

    def look(name):
        start.wait(30)
        found.append(getattr(wrapt, name))

    threads = [threading.Thread(target=look, args=[name], daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == len(names)
    print("good")
    """
    for _ in range(5):
        assert run(program, tmp_path) == "good"


def test_a_program_that_wants_no_extension_gets_none(tmp_path: Path) -> None:
    program = """
    DECORATE
    import wrapt, wrapt.wrappers
    assert wrapper.FunctionWrapper is wrapt.FunctionWrapper is wrapt.wrappers.FunctionWrapper
    print("good")
    """
    assert run(program, tmp_path, WRAPT_DISABLE_EXTENSIONS="1") == "good"


def test_where_the_extension_is_missing_the_types_are_those_of_python(tmp_path: Path) -> None:
    program = """
    import sys

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name == "wrapt._wrappers":
                raise ImportError("it was not built", name=name)

    sys.meta_path.insert(0, Missing())
    DECORATE
    import wrapt, wrapt.wrappers
    assert wrapper.FunctionWrapper is wrapt.FunctionWrapper is wrapt.wrappers.FunctionWrapper
    print("good")
    """
    assert run(program, tmp_path) == "good"
