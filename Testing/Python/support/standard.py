"""Whether a file keeps to the DICOM standard, as dciodvfy sees it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from .programs import needed


def errors_of(path: Path) -> list[str]:
    """What dciodvfy calls an error in a file."""
    command = [needed("dciodvfy"), "-new", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = told.stdout + told.stderr
    assert lines, "dciodvfy names the kind of every object"
    return re.findall(r"^Error.*", lines, re.MULTILINE)
