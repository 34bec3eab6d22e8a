"""The module's own tests, as Slicer runs them."""

from __future__ import annotations

import logging
import unittest
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def own_tests(module, sample, runs, monkeypatch, host):
    """The test class, with the sample CT of this checkout."""
    from TotalSegmentatorWidgets import SampleVolume

    monkeypatch.setattr(SampleVolume, "folder", lambda: ROOT / ".cache" / "sample")
    return module.python.TotalSegmentatorTest


@pytest.mark.slow
def test_as_ctest_runs_them(own_tests):
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(own_tests).run(result)
    assert result.testsRun >= 4
    assert (result.errors, result.failures, result.skipped) == ([], [], [])


def test_reload_and_test_button(own_tests, monkeypatch, caplog):
    """Without an engine the tests of runs are skipped, and it says so; the others run."""
    monkeypatch.setattr("TotalSegmentatorLib.environment.is_ready", lambda folder: False)
    with caplog.at_level(logging.WARNING):
        own_tests().runTest()
    skipped = [message for message in caplog.messages if "skipped" in message]
    assert len(skipped) == 2 and all("not installed" in message for message in skipped)
