"""Runs without weights."""

from __future__ import annotations

import pytest
from support.threshold import use_threshold_engine

from TotalSegmentatorLib.session import Settings


@pytest.fixture
def threshold(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings for runs with the threshold engine, whatever task is asked for."""
    return Settings(use_threshold_engine(monkeypatch))
