"""Puts the library (TotalSegmentator/) and the sample data's makers (Testing/) on the path."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

for folder in (REPOSITORY / "TotalSegmentator", REPOSITORY / "Testing"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
