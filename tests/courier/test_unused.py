"""What a courier puts off is loaded when somebody uses it."""

from __future__ import annotations

import subprocess
import sys

import pytest

# How packages are installed decides whether this interpreter has loaded it already.
PUT_OFF = (
    "import sys; sys.modules.pop('importlib.metadata', None); "
    "from migas.courier import unused; unused.put_off(); "
)
IS_LOADED = "print('Distribution' in vars(sys.modules['importlib.metadata']))"


def said(program: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return run.stdout.strip()


def test_importing_urllib3_loads_no_metadata() -> None:
    assert said(f"import sys, urllib3; {IS_LOADED}") == "True"
    assert said(f"{PUT_OFF}import urllib3; {IS_LOADED}") == "False"


@pytest.mark.parametrize(
    "use",
    [
        "from importlib.metadata import version; print(version('urllib3'))",
        "import importlib.metadata as m; print(m.distribution('urllib3').version)",
        "import urllib3, importlib.metadata; print(importlib.metadata.version('urllib3'))",
    ],
)
def test_what_was_put_off_is_there_when_it_is_used(use: str) -> None:
    assert said(PUT_OFF + use) == said("import urllib3; print(urllib3.__version__)")


def test_metadata_that_is_loaded_stays() -> None:
    program = "import importlib.metadata as m; from migas.courier import unused; unused.put_off()"
    assert said(f"import sys; {program}; print(sys.modules['importlib.metadata'] is m)") == "True"
