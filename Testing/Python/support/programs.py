"""Programs that judge our files, of Debian's packages dcmtk and dicom3tools."""

from __future__ import annotations

import os
import shutil

import pytest


def needed(name: str) -> str:
    """Path of a program; the test is skipped where it is missing, or fails if ``CI`` is set."""
    path = shutil.which(name)
    if path is None:
        text = f"{name} is missing; it is in Debian's packages dcmtk or dicom3tools"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(text)
    return path
