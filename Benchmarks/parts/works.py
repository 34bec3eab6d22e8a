"""What the engines are measured with: tasks, images and weights."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import zoom

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "TotalSegmentator"))

from TotalSegmentatorLib import catalog  # noqa: E402
from TotalSegmentatorLib.environment import interpreter, missing_models, weights_folder  # noqa: E402
from TotalSegmentatorLib.environment.sample_data import sample_ct  # noqa: E402
from TotalSegmentatorLib.images import Image, crop, read_image, write_nifti  # noqa: E402
from TotalSegmentatorLib.jobs import Request  # noqa: E402

ENGINE_PYTHON = interpreter(ROOT / ".venv-engine").absolute()
MADE_WEIGHTS = ROOT / ".cache" / "made-weights"
_IMAGES = ROOT / ".cache" / "benchmark-images"
#: Ways to do a work; ``official`` is what the others are compared with.
OFFICIAL = "official"
MODES: dict[str, dict[str, Any]] = {
    "exact": {},
    "compiled": {"compiled": True},
    "body-first": {"compiled": True, "body_first": True},
}
JSON_HELP = "write the rows to FILE; without FILE print them and nothing else"
_AIR_HU = -1024


def engine_mode(mode: str) -> str:
    """What the engine calls a mode in its provenance."""
    return "compiled" if MODES[mode].get("compiled") else "exact"


@dataclass(frozen=True)
class Work:
    """What is done in all modes.

    :param name: as it stands in tables.
    :param task: task id.
    :param speed: of the task.
    :param image: a name of :data:`SIZES` or ``wide``, or the path of a file.
    :param modes: in which it is measured unless others are asked for.
    """

    name: str
    task: str
    speed: str
    image: str
    modes: tuple[str, ...] = ("exact", "compiled")

    def modes_of(self, asked: Sequence[str] | None) -> list[str]:
        """The modes of our engine to measure."""
        return [mode for mode in asked or self.modes if mode != OFFICIAL]

    def request(self, mode: str, device: str, made: bool) -> Request:
        """What our engine is asked for.

        :param made: whether the weights are made ones, which compiled networks need not agree on.
        """
        options = dict(MODES[mode])
        if made and "compiled" in options:
            options["compiled_agreement"] = 0.0
        return Request(self.task, "nnunet", self.speed, device=device, options=options)


WORKS = {
    work.name: work
    for work in (
        Work("fast-sample", "total", "fast", "sample"),
        Work("fast-clinical", "total", "fast", "clinical"),
        Work("fastest-clinical", "total", "fastest", "clinical"),
        Work("total-sample", "total", "normal", "sample"),
        Work("total-wide", "total", "normal", "wide", ("body-first",)),
        Work("fast-large", "total", "fast", "large"),
        Work("demo", "demo", "normal", "sample"),
    )
}
#: Voxels (I, J, K) of images that are made from the sample CT; its own are 3 mm apart.
SIZES = {"sample": (122, 101, 112), "clinical": (488, 404, 224), "large": (512, 512, 397)}
_WIDE_MM = 500.0


def image_file(name: str) -> Path:
    """The file of an image, made by the first call.

    :param name: see :class:`Work`.
    """
    if name not in (*SIZES, "wide"):
        return Path(name)
    path = _IMAGES / f"{name}.nii.gz"
    if not path.exists():
        sample, _ = read_image(sample_ct(ROOT / ".cache" / "sample").ct)
        image = widened(sample, _WIDE_MM) if name == "wide" else resized(sample, SIZES[name])
        _write(image, path)
    return path


def resized(image: Image, size: Sequence[int]) -> Image:
    """As many voxels (I, J, K) of the same body, int16."""
    shape = size[::-1]
    factors = [new / old for new, old in zip(shape, image.array.shape, strict=True)]
    voxels = zoom(image.array.astype(np.float32), factors, order=1, mode="nearest")
    matrix = image.ijk_to_ras @ np.diag([*(1 / factor for factor in reversed(factors)), 1.0])
    return Image(voxels.astype(np.int16), matrix, image.modality)


def widened(image: Image, width_mm: float) -> Image:
    """With air on all four sides, as of a field of view of this width."""
    sides = [(0, 0)]
    for count, spacing in zip(image.array.shape[1:], image.spacing[1::-1], strict=True):
        more = round(width_mm / spacing) - count
        sides.append((more // 2, more - more // 2))
    shift = np.eye(4)
    shift[:2, 3] = [-before for before, _ in sides[:0:-1]]
    voxels = np.pad(image.array, sides, constant_values=_AIR_HU)
    return Image(voxels, image.ijk_to_ras @ shift, image.modality)


def moved(path: Path) -> Path:
    """A file with the same voxels at another place: nobody takes it for an image seen before."""
    image, _ = read_image(path)
    shift = np.eye(4)
    shift[:3, 3] = 10.0
    return _write(replace(image, ijk_to_ras=shift @ image.ijk_to_ras), _beside(path, "moved"))


def part(path: Path) -> Path:
    """A file with a small part of an image, from its middle."""
    image, _ = read_image(path)
    box = tuple(slice(n // 2 - n // 8, n // 2 + n // 8) for n in image.array.shape)
    return _write(crop(image, box), _beside(path, "part"))


def _beside(path: Path, word: str) -> Path:
    return _IMAGES / f"{path.name.removesuffix('.gz').removesuffix('.nii')}-{word}.nii.gz"


def _write(image: Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(image, path)
    return path


def weights_for(work: Work, modes: Sequence[str]) -> tuple[Path, bool]:
    """The weights folder, and whether its weights are made for this purpose.

    They are, by the first call, unless all that is needed has been installed.

    :param modes: of our engine, in which the work is done.
    """
    tasks = [(work.task, work.speed), *([("body", "fast")] if "body-first" in modes else [])]
    models = {one: catalog.task(one[0]).required_models(one[1]) for one in tasks}
    installed = weights_folder()
    if not any(missing_models(needed, installed) for needed in models.values()):
        return installed, False
    for (task, speed), needed in models.items():
        if missing_models(needed, MADE_WEIGHTS):
            _make_weights(task, speed)
    return MADE_WEIGHTS, True


def _make_weights(task: str, speed: str) -> None:
    print(f"Making weights: {task}, {speed}", file=sys.stderr)
    MADE_WEIGHTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=MADE_WEIGHTS.parent) as folder:
        script = ROOT / "Testing" / "SampleData" / "made_weights.py"
        run_script(script, folder, "--task", task, "--speed", speed)
        if task == "body":
            (model,) = catalog.task(task).required_models(speed)
            place = Path(folder) / model.folder / model.subfolder
            images = [image_file(name) for name in ("sample", "wide")]
            run_script(Path(__file__).with_name("fit_body.py"), place, *images)
        for made in Path(folder).iterdir():
            made.replace(MADE_WEIGHTS / made.name)


def run_script(script: Path, *arguments: str | Path) -> None:
    """Run a script with the engine environment's Python."""
    subprocess.run([ENGINE_PYTHON, script, *arguments], check=True, stdout=sys.stderr)


def show(rows: Sequence[Mapping[str, Any]], text: str, target: str | None) -> None:
    """Print a text for people, unless only the rows are wanted.

    :param target: what was given for ``--json``: a file to write, ``-`` to print the rows, or None.
    """
    print(json.dumps(rows) if target == "-" else text)
    if target not in (None, "-"):
        Path(target).write_text(json.dumps(rows, indent=1), "utf-8")
