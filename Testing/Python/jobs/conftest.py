"""Runs of the fake engine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from TotalSegmentatorLib.jobs import EngineCommand, Request, run_message
from TotalSegmentatorLib.jobs.processes import clean_variables


@pytest.fixture
def fake() -> EngineCommand:
    """Starts the fake engine."""
    engine = Path(__file__).with_name("fake_engine.py")
    return EngineCommand([sys.executable, engine], clean_variables())


@pytest.fixture
def message(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Makes the message of a run in which the fake engine behaves as told."""

    def message(behaviour: str = "result") -> dict[str, Any]:
        labels = tmp_path / f"{behaviour}.nii"
        return run_message(Request(), tmp_path / "image.nii", labels, tmp_path)

    return message
