"""MONAI's whole-body bundle, and our engine for it, on the same images: voxel by voxel.

With the application's Python, a line of JSON for each comparison::

    python Testing/Python/engines/monai/bundle_identity.py --long
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "TotalSegmentator"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from engines.monai import reference
from engines.parity.images import NAMES, Images

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.environment.sample_data import sample_ct
from TotalSegmentatorLib.images import read_image, same_grid

ENGINE, TASK = "monai_bundle", "wholebody_ct"
REPOSITORY = Path(__file__).resolve().parents[4]
HERE = Path(__file__).parent
FEATURES = 8
# Images of so large voxels that they have several windows along each axis.
_VOXEL_OF_SPACING = 4.0
_SOME = ("sample", "anisotropic", "oblique", "left_handed")


@dataclass(frozen=True)
class Case:
    """One image at one speed with one set of options."""

    image: str
    speed: str
    overlap: float = 0.25
    batch: int = 1

    @property
    def id(self) -> str:
        return f"{self.image}-{self.speed}-{self.overlap:g}-{self.batch}"

    @property
    def run(self) -> tuple[str, float, int]:
        """What cases have in common that the bundle runs together."""
        return self.speed, self.overlap, self.batch


def quick_cases() -> tuple[Case, ...]:
    """Those of the tests."""
    return (
        *(Case(image, speed) for speed in ("fast", "normal") for image in _SOME),
        Case("sample", "fast", overlap=0.5, batch=3),
    )


def long_cases() -> tuple[Case, ...]:
    """All images, and more options."""
    speeds = ("fast", "normal")
    return (
        *(Case(image, speed) for speed in speeds for image in ("sample", *NAMES)),
        *(Case(i, s, overlap=o) for o in (0.0, 0.5, 0.7) for s in speeds for i in _SOME),
        *(Case(i, s, batch=b) for b in (2, 4) for s in speeds for i in _SOME),
    )


def compare(
    cases: Sequence[Case], python: Path, sample: Path, folder: Path, features: int = FEATURES
) -> Iterator[dict[str, Any]]:
    """A row for each case: what it is, how many voxels were compared, how many differ.

    :param python: the engine environment's.
    :param sample: the small sample CT.
    :param folder: for images, weights and labels.
    :param features: of the made networks.
    """
    weights = folder / "weights"
    _python(python, "made_bundles.py", weights, "--task", TASK, "--features", features)
    images = Images(folder / "images", sample)
    paths = {case: images.get(case.image, _voxel(case)) for case in cases}
    listed = folder / "cases.json"
    settled = [
        {
            "id": case.id,
            "engine": ENGINE,
            "task": TASK,
            "speed": case.speed,
            "image": str(paths[case]),
            "weights": str(weights),
            "options": {"overlap": case.overlap, "batch": case.batch},
        }
        for case in cases
    ]
    listed.write_text(json.dumps(settled), "utf-8")
    _python(python, "run_monai_engines.py", listed, folder / "ours")
    for run in dict.fromkeys(case.run for case in cases):
        together = [case for case in cases if case.run == run]
        into = folder / "reference" / together[0].id
        _run_reference(
            python, together, [paths[case] for case in together], weights, into, features
        )
        for case in together:
            found = reference.output(into, paths[case])
            yield {**asdict(case), **_differing(found, folder / "ours" / f"{case.id}.nii.gz")}


def summary(row: dict[str, Any]) -> dict[str, Any]:
    """What is told of a row in the table of all engines."""
    options = f"{row['speed']}, overlap {row['overlap']:g}, batch {row['batch']}"
    told = {"engine": ENGINE, "image": row["image"], "option": options}
    return {**told, "voxels": row["voxels"], "differing": row["differing"]}


def _voxel(case: Case) -> float:
    return _spacing(case) * _VOXEL_OF_SPACING


def _spacing(case: Case) -> float:
    (model,) = catalog.task(TASK).speeds[case.speed]
    assert model.spacing_mm
    return model.spacing_mm[0]


def _run_reference(
    python: Path,
    cases: Sequence[Case],
    images: Sequence[Path],
    weights: Path,
    into: Path,
    features: int,
) -> None:
    (model,) = catalog.task(TASK).speeds[cases[0].speed]
    config = reference.whole_body(
        images,
        weights / model.folder / model.checkpoint,
        _spacing(cases[0]),
        features=features,
        overlap=cases[0].overlap,
        batch=cases[0].batch,
    )
    reference.run_bundle(python, config, into)


def _differing(wanted: Path, found: Path) -> dict[str, Any]:
    bundle, ours = read_image(wanted)[0], read_image(found)[0]
    return {
        "voxels": bundle.array.size,
        "labels": len(np.unique(bundle.array)),
        "differing": int(np.count_nonzero(bundle.array != ours.array)),
        "same_grid": same_grid(bundle, ours),
    }


def _python(python: Path, script: str, *arguments: object) -> None:
    command = [str(python), "-W", "ignore", str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{script} failed:\n{done.stderr[-3000:]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true", help="all cases")
    parser.add_argument("--features", type=int, default=FEATURES, help="of the made networks")
    parser.add_argument("--engine", type=Path, default=REPOSITORY / ".venv-engine/bin/python")
    arguments = parser.parse_args()
    cases = long_cases() if arguments.long else quick_cases()
    sample = sample_ct(REPOSITORY / ".cache" / "sample").ct_small
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(cases, arguments.engine, sample, Path(folder), arguments.features)
        differing = 0
        for row in rows:
            print(json.dumps(summary(row)), flush=True)
            differing += row["differing"]
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
