"""The settings file of a program's own, which `setup(filename=…)` names: JSON, mode 0600."""

from __future__ import annotations

import json
import os

from migas import log
from migas.host import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def read(filename: str | os.PathLike[str]) -> dict[str, str]:
    """The texts that a file holds, empty when there is none or it makes no sense."""
    try:
        with open(os.fspath(filename), encoding="utf-8") as file:  # a number would be a descriptor
            kept = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s cannot be read as settings: %s", filename, error)
        return {}
    if not isinstance(kept, dict):
        log.warning("%s holds no JSON object; it is ignored.", filename)
        return {}
    return {name: value for name, value in kept.items() if isinstance(value, str)}


def write(filename: str | os.PathLike[str], values: Mapping[str, str | None]) -> None:
    """Replace a file in one step; where that cannot be, the log says so."""
    path = os.fspath(filename)
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        said = {name: value for name, value in values.items() if value}
        files.replace(path, json.dumps(said).encode())
    except OSError as error:
        log.warning("The settings cannot be saved in %s: %s", path, error)
