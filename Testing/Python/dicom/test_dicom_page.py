"""The page Docs/dicom-checks.md is what its tool makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.programs import needed

TOOL = Path(__file__).resolve().parents[3] / "Tools" / "build_dicom_tables.py"


@pytest.mark.slow
def test_page_is_current() -> None:
    needed("dciodvfy")
    command = [sys.executable, str(TOOL), "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
