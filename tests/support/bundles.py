"""Programs as people hand them out: a zipapp, what PyInstaller makes, a program that embeds Python.

Each holds the same little program, which is told as its first argument how to end.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import zipapp
from typing import TYPE_CHECKING

import pytest

from tests.support.desk import ROOT

if TYPE_CHECKING:
    from pathlib import Path

BUILD_SECONDS = 900.0
REQUIREMENTS = ("wrapt", "urllib3", "ci_info", "platformdirs")

PROGRAM = """\
import sys, time

import migas

migas.setup(exit_timeout=30)


@migas.track(sys.argv[2], "1.0.0")
def main(ending):
    print("working", flush=True)
    if ending == "exception":
        raise ValueError("no such thing")
    if ending == "exit":
        sys.exit(3)
    while ending == "SIGTERM":
        time.sleep(0.1)


main(sys.argv[1])
"""

_EMBEDDING = """\
#include <Python.h>

int main(int argc, char **argv)
{
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    PyConfig_SetBytesArgv(&config, argc - 1, argv + 1);
    PyConfig_SetBytesString(&config, &config.program_name, "/usr/bin/some-host");
    PyConfig_SetBytesString(&config, &config.home, HOME);
    if (PyStatus_Exception(Py_InitializeFromConfig(&config)))
        return 100;
    PyConfig_Clear(&config);
    FILE *file = fopen(argv[1], "r");
    int failed = PyRun_SimpleFile(file, argv[1]);
    fclose(file);
    return Py_FinalizeEx() < 0 ? 120 : failed ? 1 : 0;
}
"""


def build(kind: str, folder: Path) -> list[str]:
    """Build one.

    Args:
        kind: `zipapp`, `embedded`, `one-file` or `one-folder`.
        folder: Where; what PyInstaller finds out for one form it knows there for the other.

    Returns:
        How to start it.
    """
    program = folder / "program.py"
    if not program.exists():
        program.write_text(PROGRAM)
    if kind == "zipapp":
        return _zipapp(program)
    return _embedded(program) if kind == "embedded" else _pyinstaller(program, kind)


def _zipapp(program: Path) -> list[str]:
    content, archive = program.parent / "content", program.parent / "program.pyz"
    without = shutil.ignore_patterns("collector", "__pycache__")
    shutil.copytree(ROOT / "migas", content / "migas", ignore=without)
    for name in REQUIREMENTS:
        shutil.copytree(package_folder(name), content / name, ignore=without)
    shutil.copy(program, content / "__main__.py")
    zipapp.create_archive(content, archive)
    return [sys.executable, str(archive)]


def _embedded(program: Path) -> list[str]:
    source, binary = program.with_suffix(".c"), program.with_suffix("")
    source.write_text(_EMBEDDING)
    said = sysconfig.get_config_vars()
    if shutil.which("gcc") is None or not os.path.exists(f"{said['INCLUDEPY']}/Python.h"):
        pytest.skip("no C compiler, or not the headers of this Python")
    library = f"python{said['LDVERSION']}"
    subprocess.run(
        [
            *("gcc", str(source), "-o", str(binary), f"-I{said['INCLUDEPY']}"),
            f'-DHOME="{sys.base_prefix}"',
            *(f"-L{said['LIBDIR']}", f"-L{said['LIBPL']}", f"-Wl,-rpath,{said['LIBDIR']}"),
            *(f"-l{library}", *said["LIBS"].split(), *said["SYSLIBS"].split()),
        ],
        check=True,
        timeout=BUILD_SECONDS,
    )
    return [str(binary), str(program)]


def _pyinstaller(program: Path, kind: str) -> list[str]:
    form = "--onefile" if kind == "one-file" else "--onedir"
    folders = ["--distpath", kind, "--workpath", "work", "--specpath", "spec"]
    # As whoever has installed migas types it: with no option for it.
    subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--log-level=ERROR", form, *folders, str(program)],
        cwd=program.parent,
        check=True,
        timeout=BUILD_SECONDS,
    )
    made = program.parent / kind / "program"
    return [str(made if kind == "one-file" else made / "program")]


def package_folder(name: str) -> str:
    """The folder of an installed package."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return spec.submodule_search_locations[0]
