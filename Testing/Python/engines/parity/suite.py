"""The fast engine and the official package on the same made models and images, voxel by voxel.

With the application's Python::

    python Testing/Python/engines/parity/suite.py --long --json results.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "TotalSegmentator"))
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from engines.parity.cases import Case, long_cases, quick_cases
from engines.parity.images import Images, fitting_spacing

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.environment.sample_data import sample_ct

REPOSITORY = Path(__file__).resolve().parents[4]
HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true", help="all cases: an hour and more")
    parser.add_argument("--task", nargs="+", help="only the cases of these tasks")
    parser.add_argument("--limit", type=int, help="only so many cases, evenly chosen")
    parser.add_argument("--folder", type=Path, help="keep images, models and labels here")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--engine", type=Path, default=REPOSITORY / ".venv-engine/bin/python")
    arguments = parser.parse_args()
    cases = long_cases() if arguments.long else quick_cases()
    cases = [case for case in cases if not arguments.task or case.task in arguments.task]
    if arguments.limit:
        cases = cases[:: max(1, len(cases) // arguments.limit)]
    sample = sample_ct(REPOSITORY / ".cache" / "sample").ct_small
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        rows = list(compare(cases, arguments.engine, sample, folder))
    if arguments.json:
        lines = ",\n".join(json.dumps(row) for row in rows)
        arguments.json.write_text(f"[\n{lines}\n]\n", "utf-8")
    print(summary(rows))
    return int(any(row["error"] or row["differing"] for row in rows))


def compare(
    cases: Sequence[Case], python: Path, sample: Path, folder: Path
) -> Iterator[dict[str, Any]]:
    """A row for each case, see :func:`_row`.

    :param python: the engine environment's.
    :param sample: the small sample CT.
    :param folder: for images, models and labels; models that are there are used.
    """
    images = Images(folder / "images", sample)
    models = folder / "models.json"
    models.write_text(json.dumps(_wanted_models(cases, images, folder)), "utf-8")
    _run(python, HERE / "models.py", models)
    settled = [
        {
            **asdict(case),
            "id": case.id,
            "image": str(images.get(case.image, _spacing(case))),
            "weights": str(_weights(case, folder)),
            "home": str(folder / "official" / "home"),
        }
        for case in cases
    ]
    listed = folder / "cases.json"
    listed.write_text(json.dumps(settled), "utf-8")
    for side in ("official", "ours"):
        _run(python, HERE / f"{side}.py", listed, folder / side)
    for case in cases:
        yield _row(case, folder)


def _spacing(case: Case) -> float:
    return fitting_spacing(catalog.task(case.task))


def _weights(case: Case, folder: Path) -> Path:
    return folder / "weights" / f"{_spacing(case):g}{case.kind}"


def _wanted_models(cases: Sequence[Case], images: Images, folder: Path) -> list[dict[str, Any]]:
    """Models that find what is looked for in images of one size, for each size and kind."""
    wanted: dict[Path, dict[str, Any]] = {}
    for case in cases:
        weights, image = _weights(case, folder), images.get("plain", _spacing(case))
        one = {"weights": str(weights), "image": str(image), "kind": case.kind, "tasks": []}
        tasks = wanted.setdefault(weights, one)["tasks"]
        if case.task not in tasks:
            tasks.append(case.task)
    return list(wanted.values())


def _run(python: Path, *arguments: object) -> None:
    command = [str(python), "-W", "ignore", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} failed:\n{done.stderr[-3000:]}")


def _row(case: Case, folder: Path) -> dict[str, Any]:
    """What a case is, which code ran it, and how many voxels are not the same.

    ``error`` is empty, or says on which side there are no labels.
    """
    official, ours = (
        json.loads((folder / side / f"{case.id}.json").read_text("utf-8"))
        for side in ("official", "ours")
    )
    row = {
        **asdict(case),
        "path": ours.get("path", ""),
        "warnings": ours.get("warnings", []),
        **{"voxels": 0, "labels": 0, "differing": 0, "error": ""},
    }
    if "error" in official or "error" in ours:
        sides = {"official": official, "ours": ours}
        errors = [f"{side}: {a['error'].strip()}" for side, a in sides.items() if "error" in a]
        return {**row, "error": "\n".join(errors)}
    wanted, found = (np.load(folder / side / f"{case.id}.npy") for side in ("official", "ours"))
    return {
        **row,
        "voxels": wanted.size,
        "labels": int(np.count_nonzero(np.unique(wanted))),
        "differing": int(np.count_nonzero(wanted != found)),
    }


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """Counts for people, and the cases that are not the same."""
    good = [row for row in rows if not row["error"]]
    lines = []
    for row in rows:
        if row["error"] or row["differing"]:
            case = Case(**{name: row[name] for name in Case.__dataclass_fields__})
            what = row["error"].splitlines() or [f"{row['differing']} of {row['voxels']} differ"]
            lines.append(f"{case.id}: {what[0]} ... {what[-1]}")
    lines.append(
        f"{len(rows)} runs: {len({row['task'] for row in rows})} tasks, "
        f"{len({row['image'] for row in rows})} images, "
        f"{len({json.dumps(row['options']) for row in rows})} sets of options; "
        f"{sum(row['labels'] > 0 for row in good)} with labels, "
        f"{sum('engine.official' in row['warnings'] for row in good)} handed to the package"
    )
    voxels, differing = (sum(row[name] for row in good) for name in ("voxels", "differing"))
    lines.append(
        f"{voxels} voxels compared, {differing} differ, {len(rows) - len(good)} runs failed"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
