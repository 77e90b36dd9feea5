"""Finds a scenario: a path, or the name of one that loadkit ships, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

import loadkit
from loadkit.errors import SettingsError

__all__ = ["find", "shipped"]


def shipped() -> dict[str, Path]:
    """Return the shipped scenarios by name. An editable install has them beside the package, a wheel inside it."""
    here = Path(loadkit.__file__).parent
    folder = next((folder for folder in (here / "locustfiles", here.parent / "locustfiles") if folder.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.py"))} if folder else {}


def find(text: str) -> Path:
    """Return the file of a scenario. Raises SettingsError with one sentence."""
    known = shipped()
    if text in known:
        return known[text]
    path = Path(text)
    if path.is_file():
        return path
    raise SettingsError(f"there is no scenario {text!r}: give a path, or one of {', '.join(known)}")
