"""The table of faults in Docs/faults.md: what was broken, and what people are told.

Tests note their outcomes here. With ``FAULT_TABLE=FILE`` in the environment the rows are written,
as Tools/build_fault_table.py does.
"""

from __future__ import annotations

import os

from TotalSegmentatorLib.errors import SegmentationError


def note(fault: str, outcome: SegmentationError | str) -> None:
    """Note what came of a fault.

    :param outcome: the error, or what happens without one.
    """
    path = os.environ.get("FAULT_TABLE")
    if not path:
        return
    if isinstance(outcome, SegmentationError):
        text, code = f"“{outcome.message}” {outcome.remedy}".strip(), f"`{outcome.code}`"
    else:
        text, code = outcome, "-"
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"| {fault} | {code} | {text} |\n")
