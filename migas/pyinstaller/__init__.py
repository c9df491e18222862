"""What PyInstaller must know of migas; it asks by the entry point `pyinstaller40`."""

from __future__ import annotations

import os


def hook_dirs() -> list[str]:
    """The folders in which PyInstaller finds its hooks: this one."""
    return [os.path.dirname(os.path.abspath(__file__))]
