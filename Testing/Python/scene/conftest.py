"""A headless scene for the tests of this room, and labels to put into it."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer")

from TotalSegmentatorLib.scene.headless import HeadlessApplication


@pytest.fixture()
def application() -> HeadlessApplication:
    return HeadlessApplication()
