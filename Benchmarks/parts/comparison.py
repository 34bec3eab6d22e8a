"""What was measured of several ways to the same labels, as rows and as a table."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from parts.process_tree import Usage

#: The first run of a process, which is started for it, and the next one.
COLD, WARM = "cold", "warm"


@dataclass
class Runs:
    """All runs of one mode in one state.

    :param differing: voxels whose label is not that of the reference, the most of all runs.
    :param dice: mean over the labels that occur, the least of all runs.
    :param timings_s: of the last run, seconds by step.
    """

    usages: list[Usage] = field(default_factory=list)
    differing: int = 0
    dice: float = 1.0
    timings_s: Mapping[str, float] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """Of a field of :class:`Usage`."""
        return statistics.median(getattr(usage, name) for usage in self.usages)


def compare(truth: np.ndarray, labels: np.ndarray) -> tuple[int, float]:
    """How many voxels differ, and the mean Dice of all labels that occur."""
    count = int(max(truth.max(), labels.max())) + 1
    pairs = np.bincount(
        (truth.astype(np.int64) * count + labels).ravel(), minlength=count**2
    ).reshape(count, count)
    both, either = np.diag(pairs), pairs.sum(0) + pairs.sum(1)
    occur = np.flatnonzero(either[1:]) + 1
    dice = float(np.mean(2 * both[occur] / either[occur])) if occur.size else 1.0
    return int(pairs.sum() - both.sum()), dice


def rows(work: str, found: Mapping[tuple[str, str], Runs], reference: str) -> list[dict[str, Any]]:
    """A row for each mode and state, for programs.

    :param found: by mode and state.
    :param reference: the mode whose cold runs the others are compared with.
    """
    first = found[reference, COLD]
    names = {"wall": "wall_s", "cpu": "cpu_s", "rss": "peak_rss_mb"}
    listed = []
    for (mode, state), runs in found.items():
        row: dict[str, Any] = {"work": work, "mode": mode, "state": state}
        row |= {name: round(runs.median(name), 3) for name in names.values()}
        for short, name in names.items():
            row[f"ratio_{short}"] = round(runs.median(name) / first.median(name), 4)
        listed.append({**row, "differing_voxels": runs.differing, "dice": round(runs.dice, 6)})
    return listed


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Rows as Markdown."""
    lines = [
        "| work | mode | state | wall s | CPU s | peak MB | wall | CPU | memory "
        "| differing voxels | Dice |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found:
        lines.append(
            "| {work} | {mode} | {state} | {wall_s:.1f} | {cpu_s:.1f} | {peak_rss_mb:.0f} "
            "| {ratio_wall:.2f} | {ratio_cpu:.2f} | {ratio_rss:.2f} "
            "| {differing_voxels} | {dice:.4f} |".format(**row)
        )
    return "\n".join(lines)


def conditions(repeats: int, versions: Mapping[str, str], reference: str, load: float) -> str:
    """On what and with what was measured.

    :param versions: of the packages that matter.
    :param load: of this computer before.
    """
    found = re.search("model name.*: (.*)", Path("/proc/cpuinfo").read_text())
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    processor = found[1] if found else platform.machine()
    return (
        f"{processor}, {os.cpu_count()} cores, {packages}, {date.today()}; median of {repeats} "
        f"runs; load before: {load:.1f}. Ratios are to {reference}."
    )
