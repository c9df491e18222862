"""PyInstaller's hook: rooms that are imported by name when they are first used, and a data file."""

from __future__ import annotations

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

# The command would bring the collector, and that a server and a database, where they are installed.
_NOT_OF_A_RUN = (
    "migas.__main__",
    "migas.cli",
    "migas.collector",
    "migas.pyinstaller",
    "migas.pytest_plugin",
)

hiddenimports = collect_submodules("migas", filter=lambda name: not name.startswith(_NOT_OF_A_RUN))
datas = collect_data_files("ci_info")
