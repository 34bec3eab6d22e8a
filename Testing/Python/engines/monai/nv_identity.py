"""NVIDIA's bundle for CT and MR, and our engine for it, on the same images: voxel by voxel.

With the application's Python, a line of JSON for each comparison::

    python Testing/Python/engines/monai/nv_identity.py --long
"""

from __future__ import annotations

import argparse
import csv
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
from engines.monai.nv_reference import nv_segment
from engines.parity.images import Images

from TotalSegmentatorLib.environment.sample_data import sample_ct
from TotalSegmentatorLib.images import read_image, same_grid

ENGINE = "nv_segment"
REPOSITORY = Path(__file__).resolve().parents[4]
SCRIPT = Path(__file__).parent / "run_nv_segment.py"
TABLE = REPOSITORY / "Tools" / "catalog_inputs" / "nv_segment_labels.csv"
FEATURES = 8
# All prompts of the bundle for a kind of image.
_WITHOUT = {2, 16, 18, 20, 21, 23, 24, 25, 26, 27, *range(128, 133)}
CT_BODY = tuple(sorted(set(range(1, 133)) - _WITHOUT))
BRAIN = tuple(range(214, 346))
# What is asked of the engine, and the same for the bundle.
_SOME = ("kidney", "Liver", "lung tumor", "rectum", "vertebrae_L3")
_SAME = (2, "Liver", 23, 18, 35)
_SMALL = (48, 32, 32)
_GEOMETRIES = ("anisotropic", "left_handed", "oblique_permuted")


@dataclass(frozen=True)
class Case:
    """Prompts for an image.

    :param asked: of the engine; nothing for all.
    :param prompts: of the bundle.
    :param spacing: of the image in mm.
    """

    image: str
    task: str = "nv_ct_body"
    asked: tuple[str, ...] = _SOME
    prompts: tuple[int | str, ...] = _SAME
    window: tuple[int, int, int] = _SMALL
    overlap: float = 0.25
    batch: int = 1
    prompt_batch: int = 0
    spacing: float = 1.8

    @property
    def id(self) -> str:
        size = "x".join(map(str, self.window))
        parts = (self.task, self.image, size, self.overlap, self.batch, self.prompt_batch)
        return "-".join(map(str, (*parts, len(self.prompts))))

    @property
    def run(self) -> tuple[tuple[int, int, int], float, int]:
        """What cases have in common that the bundle runs together."""
        return self.window, self.overlap, self.batch


def quick_cases() -> tuple[Case, ...]:
    """Those of the tests."""
    return (
        Case("plain"),
        *(Case(image) for image in _GEOMETRIES),
        Case("margins", spacing=2.4),  # wide enough to be cropped
        Case("thin", asked=("liver",), prompts=(1,)),
        Case("thin", asked=(), prompts=CT_BODY, prompt_batch=40),
        Case("real_values", "nv_mri_brain", asked=(), prompts=BRAIN, prompt_batch=100),
    )


def long_cases() -> tuple[Case, ...]:
    """True windows, the whole sample CT, and more options."""
    return (
        *quick_cases(),
        *(Case(image) for image in ("oblique", "uneven", "permuted", "prone", "spacing_1.5")),
        *(Case("plain", window=(32, 32, 32), overlap=overlap) for overlap in (0.0, 0.25, 0.5, 0.7)),
        *(Case(image, batch=2) for image in ("plain", "anisotropic")),
        *(Case("plain", prompt_batch=most) for most in (1, 2, 4)),
        Case("plain", asked=(), prompts=CT_BODY, window=(96, 96, 96)),
        Case("oblique", window=(128, 128, 96), spacing=3.0),
        Case("sample", asked=(), prompts=CT_BODY, window=(96, 96, 96)),
    )


def compare(
    cases: Sequence[Case], python: Path, sample: Path, folder: Path
) -> Iterator[dict[str, Any]]:
    """A row for each case: what it is, how many voxels were compared, how many differ.

    :param python: the engine environment's.
    :param sample: the small sample CT.
    :param folder: for images, weights and labels.
    """
    images, weights = Images(folder / "images", sample), folder / "model.pt"
    paths = {case: _copy(images.get(case.image, case.spacing), case, folder) for case in cases}
    runs = {case.id: order(case, paths[case], weights, folder) for case in cases}
    run_engine(python, {"weights": {"": str(weights)}, "runs": runs}, folder)
    names = own_names()
    for number, run in enumerate(dict.fromkeys(case.run for case in cases)):
        together = [case for case in cases if case.run == run]
        prompts = {paths[case]: case.prompts for case in together}
        window, overlap, batch = run
        config = nv_segment(
            prompts, names, weights, window, features=FEATURES, overlap=overlap, batch=batch
        )
        into = folder / f"reference {number}"
        reference.run_bundle(python, config, into)
        for case in together:
            found = reference.output(into, paths[case])
            yield {**asdict(case), **_differing(found, Path(runs[case.id]["labels"]))}


def order(case: Case, image: Path, weights: Path, folder: Path) -> dict[str, Any]:
    """What ``run_nv_segment.py`` wants to know."""
    options = {
        "window": "x".join(map(str, case.window)),
        "overlap": case.overlap,
        "batch": case.batch,
        "prompt_batch": case.prompt_batch,
        "weights": str(weights),
        "prepared": True,
    }
    return {
        "image": str(image),
        "labels": str(folder / f"{case.id}.nii.gz"),
        "task": case.task,
        "structures": case.asked,
        "options": options,
    }


def run_engine(python: Path, orders: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What ``run_nv_segment.py`` answers to orders."""
    path = folder / "orders.json"
    path.write_text(json.dumps(orders), "utf-8")
    command = [str(python), "-W", "ignore", str(SCRIPT), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{SCRIPT.name} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def own_names() -> dict[int, str]:
    """The network's own names of its prompts."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {int(row["label"]): row["name"] for row in csv.DictReader(file)}


def summary(row: dict[str, Any]) -> dict[str, Any]:
    """What is told of a row in the table of all engines."""
    size = " x ".join(map(str, row["window"]))
    option = f"{row['task']}, {len(row['prompts'])} prompts, window {size}, "
    option += f"overlap {row['overlap']:g}, batch {row['batch']}"
    if row["prompt_batch"]:
        option += f", {row['prompt_batch']} prompts at once"
    told = {"engine": ENGINE, "image": row["image"], "option": option}
    return {**told, "voxels": row["voxels"], "differing": row["differing"]}


def _copy(image: Path, case: Case, folder: Path) -> Path:
    """The image under a name of its own, as the bundle names its labels after it."""
    path = folder / "images" / f"{case.id}.nii"
    path.write_bytes(image.read_bytes())
    return path


def _differing(wanted: Path, found: Path) -> dict[str, Any]:
    bundle, ours = read_image(wanted)[0], read_image(found)[0]
    return {
        "voxels": bundle.array.size,
        "labels": np.unique(bundle.array).astype(int).tolist(),
        "differing": int(np.count_nonzero(bundle.array != ours.array)),
        "same_grid": same_grid(bundle, ours),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--long", action="store_true", help="all cases")
    parser.add_argument("--engine", type=Path, default=REPOSITORY / ".venv-engine/bin/python")
    arguments = parser.parse_args()
    cases = long_cases() if arguments.long else quick_cases()
    sample = sample_ct(REPOSITORY / ".cache" / "sample").ct_small
    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        for row in compare(cases, arguments.engine, sample, Path(folder)):
            print(json.dumps(summary(row)), flush=True)
            differing += row["differing"]
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
