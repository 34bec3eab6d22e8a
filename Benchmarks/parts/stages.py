"""A table of how long steps take in each mode, beside what the computer could do at best."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parts.works import ENGINE_PYTHON

_START, _REST = "start", "rest"
_TITLES = {
    _START: "start and imports",
    "loading_models": "loading networks",
    "compiling": "compiling networks",
    "resampling": "resampling the image",
    "preparing": "normalising",
    "network": "network",
    "scores_to_labels": "scores to labels",
    "labels_back": "labels back to the image's grid",
    _REST: "files, checks and all else",
}


@dataclass(frozen=True)
class Steps:
    """The steps of one run.

    :param wall_s: how long it took.
    :param timings_s: seconds of the steps that were noted, and of others.
    """

    wall_s: float
    timings_s: Mapping[str, float]

    @property
    def rest(self) -> float:
        """Seconds of no step in the table."""
        return self.wall_s - sum(self.timings_s.get(step, 0.0) for step in _TITLES)


def stage_table(
    work: str, counts: Mapping[str, int], columns: Mapping[tuple[str, str], Steps]
) -> str:
    """The table as Markdown.

    :param counts: how much there is to do; see official_profile.py.
    :param columns: by mode and state.
    """
    limits = _limits()
    best = best_seconds(counts, limits)
    seconds = {column: _seconds(column, columns) for column in columns}
    heads = [" ".join(column) for column in columns]
    lines = [
        f"Steps of {work} in seconds; {counts['windows']} windows. The limit: "
        f"{counts['flops'] / 1e9:.0f} GFLOP at {limits['gflops']} GFLOP/s, and the bytes that must "
        f"be read and written at {limits['gb_s']} GB/s.",
        "",
        f"| step | {' | '.join(heads)} | limit |",
        f"|---|{'---:|' * (len(heads) + 1)}",
    ]
    for step, title in _TITLES.items():
        limit = f"{best[step]:.2f}" if step in best else ""
        cells = " | ".join(f"{one[step]:.2f}" for one in seconds.values())
        lines.append(f"| {title} | {cells} | {limit} |")
    sums = " | ".join(f"{one.wall_s:.1f}" for one in columns.values())
    lines.append(f"| all | {sums} | {sum(best.values()):.1f} |")
    return "\n".join(lines)


def _seconds(column: tuple[str, str], columns: Mapping[tuple[str, str], Steps]) -> dict[str, float]:
    """Seconds by step; what a warm run needs no more is the start."""
    one = columns[column]
    seconds = {step: one.timings_s.get(step, 0.0) for step in _TITLES}
    seconds[_REST] = one.rest
    warm = columns.get((column[0], "warm"))
    if warm:
        seconds[_START], seconds[_REST] = one.rest - warm.rest, warm.rest
    return seconds


def best_seconds(counts: Mapping[str, int], limits: Mapping[str, float]) -> dict[str, float]:
    """The least time of steps: arithmetic for the network, passing through memory for the others.

    An image's voxels have 2 bytes, labels 1, what a network sees 4.
    """
    image, seen = counts["image_voxels"], counts["network_voxels"]
    moved = {
        "loading_models": 4 * counts["weights"],
        "resampling": 2 * image + 4 * seen,
        "preparing": 8 * seen,
        "scores_to_labels": 4 * counts["features"] + seen,
        "labels_back": seen + image,
    }
    best = {step: count / limits["gb_s"] / 1e9 for step, count in moved.items()}
    return {**best, "network": counts["flops"] / limits["gflops"] / 1e9}


def _limits() -> dict[str, Any]:
    command = [ENGINE_PYTHON, Path(__file__).with_name("limits.py")]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(answer.stdout)
