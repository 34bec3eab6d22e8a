"""Our MONAI engines beside `python -m monai.bundle run`: time, processor seconds, memory, labels.

Both segment the same file with the same weights on this computer, in turn, several times; medians
count. The weights have the true architecture and random values. Ours is cold in its first run
after the start of all processes, and warm in the next one. Images are

    small       the small sample CT, 122 x 101 x 30 voxels of 3 mm
    sample      the sample CT, 122 x 101 x 112 voxels of 3 mm
    clinical    the same body in 488 x 404 x 224 voxels of 0.75 x 0.75 x 1.5 mm
    published   512 x 512 x 397 voxels, as MONAI's published figures are for; needs a large GPU

or the path of a NIfTI file. NV-Segment-CTMR takes minutes for each window on a CPU, and is asked
for four structures. Needs Linux and the environments that `make` makes.

    .venv/bin/python Benchmarks/monai_engines.py --speed fast normal --json rows.json
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from parts import works
from parts.application import LOG, Application
from parts.comparison import COLD, WARM, Runs, compare, conditions, rows, table
from parts.gpu_memory import gpu_samples
from parts.monai_reference import TASKS, Work, reference, weights_for
from parts.process_tree import Usage, Watched

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.environment import sample_data, terms
from TotalSegmentatorLib.images import read_image, read_labelmap, write_nifti

BUNDLE, OURS = "monai.bundle run", "ours"
PUBLISHED_SIZE, PUBLISHED_MM = (512, 512, 397), (0.8408, 0.8408, 1.5)
_WINDOW, _ROWS, _CLASSES, _FEATURES, _PARAMETERS = 96, 8, 105, 32, 18.8e6
_LIBRARIES = 700e6  # measured: an engine and an application that have imported everything


class Measurement:
    """Measures one work.

    :param device: ``cpu`` or ``gpu``.
    :param folder: for images, labels and configurations.
    """

    def __init__(self, work: Work, device: str, folder: Path) -> None:
        self.work = work
        #: What was found, by mode and state.
        self.runs: dict[tuple[str, str], Runs] = {}
        #: The most memory of the GPU that was in use, in MB, by mode; empty without one.
        self.gpu_mb: dict[str, float] = {}
        #: Versions of packages, as our engine tells them.
        self.versions: Mapping[str, str] = {}
        self._image = image_file(work.image, folder)
        self._weights = weights_for(work)
        self._device = device
        self._folder = folder
        self._truth = np.empty(0)

    def bundle(self) -> None:
        """Run the bundle in a process like that of a user's command."""
        config = self.work.config(self._image, self._weights, self._device)
        command, variables = reference.bundle_command(works.ENGINE_PYTHON, config, self._folder)
        started = (command, variables, LOG, self._folder)
        with gpu_samples(self._device) as samples, Watched(*started) as one:
            one.end()
            usage = one.lap()
        self._truth = read_labelmap(reference.output(self._folder, self._image)).array
        self._note(BUNDLE, COLD, usage, self._truth, samples)

    def ours(self) -> None:
        """Run our engine twice in a fresh application, whose end belongs to the cold run."""
        files = {state: self._folder / f"{state}.nii.gz" for state in (COLD, WARM)}
        request = self.work.request(self._weights, self._device)
        used = {}
        with gpu_samples(self._device) as samples, Application(self._weights.parent) as one:
            for state, labels in files.items():
                told = one.segment(self._image, labels, request)
                used[state] = one.lap()
            one.end()
            end = one.lap()
        wall, cpu = used[COLD].wall_s + end.wall_s, used[COLD].cpu_s + end.cpu_s
        used[COLD] = replace(used[COLD], wall_s=wall, cpu_s=cpu)
        self.versions = told["provenance"]["versions"]
        for state, labels in files.items():
            self._note(OURS, state, used[state], read_labelmap(labels).array, samples)

    def _note(
        self, mode: str, state: str, usage: Usage, labels: np.ndarray, samples: Sequence[float]
    ) -> None:
        runs = self.runs.setdefault((mode, state), Runs())
        runs.usages.append(usage)
        differing, dice = compare(self._truth, labels)
        runs.differing, runs.dice = max(runs.differing, differing), min(runs.dice, dice)
        if samples:
            self.gpu_mb[mode] = max(self.gpu_mb.get(mode, 0.0), *samples)
        print(f"{self.work.name}, {mode}, {state}: {usage}", file=sys.stderr)


def image_file(name: str, folder: Path) -> Path:
    """The file of an image.

    :param name: see above.
    :param folder: for those that are made.
    """
    if name == "small":
        return sample_data.sample_ct(works.ROOT / ".cache" / "sample").ct_small
    if name != "published":
        return works.image_file(name)
    sample, _ = read_image(works.image_file("sample"))
    image = replace(works.resized(sample, PUBLISHED_SIZE), ijk_to_ras=np.diag([*PUBLISHED_MM, 1.0]))
    write_nifti(image, folder / "published.nii.gz")
    return folder / "published.nii.gz"


def allocations(spacing_mm: float) -> list[tuple[str, float, float]]:
    """What must be held for the published case by the sizes of things, when the last window has
    been computed: what, MB of the bundle, MB of ours."""
    x, y, z = (
        round(n * mm / spacing_mm) for n, mm in zip(PUBLISHED_SIZE, PUBLISHED_MM, strict=True)
    )
    seen, layer = x * y * z, _FEATURES * _WINDOW**3 * 4
    scores, row = _CLASSES * 4, _CLASSES * 4 * y * z
    held = [
        ("sums of scores, float32; ours: of the rows of a window", scores * seen, _WINDOW * row),
        ("their softmax; ours, with the quotients: of some rows", scores * seen, 2 * _ROWS * row),
        ("scores of a window", scores * _WINDOW**3, scores * _ROWS * _WINDOW**2),
        ("four layers of a window", 4 * layer, 4 * layer),
        ("network, float32", 4 * _PARAMETERS, 4 * _PARAMETERS),
        ("image at the spacing of the model, float32", 4 * seen, 4 * seen),
        ("image in the application, int16; labels, uint8", 0, 2 * math.prod(PUBLISHED_SIZE) + seen),
        ("libraries", _LIBRARIES, _LIBRARIES),
    ]
    return [(what, bundle / 1e6, ours / 1e6) for what, bundle, ours in held]


def allocation_table(speed: str) -> str:
    """The allocations as Markdown."""
    spacing = Work("monai_bundle", speed, "published", "").spacing_mm
    found = allocations(spacing)
    lines = [
        f"By the sizes of things, {' x '.join(map(str, PUBLISHED_SIZE))} voxels at {spacing:g} mm:",
        "",
        "| what is held | bundle, MB | ours, MB |",
        "|---|---:|---:|",
        *(f"| {what} | {bundle:.0f} | {ours:.0f} |" for what, bundle, ours in found),
    ]
    sums = [sum(row[side] for row in found) for side in (1, 2)]
    return "\n".join([*lines, f"| together | {sums[0]:.0f} | {sums[1]:.0f} |"])


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=TASKS, default="monai_bundle")
    parser.add_argument("--speed", nargs="+", choices=("normal", "fast"), default=["fast"])
    parser.add_argument("--image", default="small", help="default small")
    parser.add_argument("--window", default="96x96x96", help="of nv_segment (default 96x96x96)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "gpu"))
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help=works.JSON_HELP)
    return parser.parse_args()


def main() -> None:
    """Measure all that is asked for."""
    options = read_options()
    LOG.unlink(missing_ok=True)
    load = os.getloadavg()[0]
    found, texts, versions = [], [], {}
    with tempfile.TemporaryDirectory() as folder:
        # The weights are made ones; what this user has accepted of true ones stays as it is.
        os.environ["XDG_DATA_HOME"] = folder
        terms.accept(catalog.task(TASKS["nv_segment"]).terms)
        for speed in options.speed if options.engine == "monai_bundle" else ["normal"]:
            work = Work(options.engine, speed, options.image, options.window)
            one = Measurement(work, options.device, Path(folder))
            for _ in range(options.repeats):
                one.bundle()
                one.ours()
            versions = one.versions
            for row in rows(work.name, one.runs, BUNDLE):
                found.append({**row, "gpu_mb": one.gpu_mb.get(row["mode"])})
            texts += [f"GPU, {mode}: {mb:.0f} MB" for mode, mb in one.gpu_mb.items()]
            if options.engine == "monai_bundle":
                texts.append(allocation_table(speed))
    head = conditions(options.repeats, versions, "the bundle", load)
    works.show(found, "\n\n".join([head, table(found), *texts]), options.json)


if __name__ == "__main__":
    main()
