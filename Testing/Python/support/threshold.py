"""An engine that needs no weights and no PyTorch, for tests of what is around engines."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from TotalSegmentatorLib import environment
from TotalSegmentatorLib.environment import EngineEnvironment
from TotalSegmentatorLib.jobs import EngineCommand

ENGINE = Path(__file__).with_name("threshold_engine.py")


class ThresholdEnvironment(EngineEnvironment):
    """Starts ``threshold_engine.py`` in place of the worker."""

    def command(self, extra=None) -> EngineCommand:
        return EngineCommand([sys.executable, ENGINE], super().command(extra).variables)


def use_threshold_engine(monkeypatch: pytest.MonkeyPatch) -> EngineEnvironment:
    """Make it the engine of every task that is run in this test, and need no weights."""
    found = ThresholdEnvironment(Path(sys.executable))
    monkeypatch.setattr(environment, "find_engine", lambda *_: found)
    monkeypatch.setattr(environment, "check_weights", lambda *_: None)
    return found
