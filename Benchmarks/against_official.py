"""Our engine beside the official TotalSegmentator: time, processor seconds, memory, labels.

Both segment the same file with the same weights on this computer, in turn, several times; medians
count. The works are

    fast-sample       task total --fast, sample CT (122 x 101 x 112 voxels of 3 mm)
    fast-clinical     task total --fast, 488 x 404 x 224 voxels of 0.75 x 0.75 x 1.5 mm
    fastest-clinical  task total --fastest, the same image
    total-sample      task total at 1.5 mm, sample CT (an hour on two cores)
    total-wide        task total at 1.5 mm, sample CT in 500 mm of air (another hour)
    fast-large        task total --fast, 512 x 512 x 397 voxels, the size in MONAI's example
    demo              the demo model, sample CT; official is nnU-Net's own predictor here

With --task, --speed and --image a work is put together. Weights that are not installed are made,
with the true architecture and random values; see README.md. A mode of our engine is cold in its
first run after the start of all processes, and warm in the next one, on the same voxels at another
place. Needs Linux and the environments that `make` makes.

    .venv/bin/python Benchmarks/against_official.py --work fast-clinical --json rows.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from parts import works
from parts.application import LOG, Application
from parts.comparison import COLD, WARM, Runs, compare, conditions, rows, table
from parts.process_tree import Usage, Watched
from parts.stages import Steps, stage_table
from parts.works import ENGINE_PYTHON, MODES, OFFICIAL, ROOT, WORKS, Work

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.environment import installed_versions
from TotalSegmentatorLib.images import read_labelmap
from TotalSegmentatorLib.jobs.processes import clean_variables

PARTS = Path(works.__file__).parent
QUICK_WORKS = ("fast-sample", "fast-clinical", "fastest-clinical", "demo")


class NotDone(Exception):
    """A mode that cannot be measured on this computer; the text says why."""


class Measurement:
    """Measures one work.

    :param weights: folder.
    :param made: whether its weights are made ones.
    :param device: ``cpu``, ``gpu`` or ``mps``.
    :param folder: for labels.
    """

    def __init__(self, work: Work, weights: Path, made: bool, device: str, folder: Path) -> None:
        self.work = work
        #: What was found, by mode and state.
        self.runs: dict[tuple[str, str], Runs] = {}
        #: What the official engine told of its steps in its last run; see official_profile.py.
        self.profile: dict[str, Any] = {}
        self._image = works.image_file(work.image)
        self._weights = weights
        self._made = made
        self._device = device
        self._folder = folder
        self._truth = np.empty(0)

    def prepare(self, mode: str) -> None:
        """Run a mode on a part of the image: networks that it compiles are then in files.

        :raises NotDone: if our engine goes another way.
        """
        with Application(self._weights) as one:
            told = self._run(one, mode, works.part(self._image), self._folder / "part.nii.gz")
        reasons = [w["message"] for w in told["warnings"] if w["code"].startswith("engine.")]
        if reasons or told["provenance"]["mode"] != works.engine_mode(mode):
            raise NotDone(" ".join(reasons) or "The engine ran another mode.")

    def official(self, profiled: bool) -> None:
        """Run the official engine in a process like that of a user's command.

        :param profiled: note how long its steps take.
        """
        labels, profile = self._folder / "official.nii.gz", self._folder / "profile.json"
        task = catalog.task(self.work.task)
        if task.model_folder:
            command = ["official_model.py", self._image, labels, task.model_path]
        else:
            trainers = {m.trainer for m in task.required_models(self.work.speed)}
            command = ["official.py", "-i", self._image, "-o", labels, "--ml", "-d", self._device]
            command += ["-ta", task.id, "--trainers", *trainers]
            command += [] if self.work.speed == "normal" else [f"--{self.work.speed}"]
            command += ["--profile", profile] if profiled else []
        variables = {**clean_variables(), "TOTALSEG_WEIGHTS_PATH": str(self._weights)}
        with Watched([ENGINE_PYTHON, PARTS / command[0], *command[1:]], variables, LOG) as one:
            one.end()
            usage = one.lap()
        if profile.exists():
            self.profile = json.loads(profile.read_text("utf-8"))
        self._truth = read_labelmap(labels).array
        self._note(OFFICIAL, COLD, usage, labels, self.profile.get("timings_s", {}))

    def ours(self, mode: str) -> None:
        """Run a mode twice in a fresh application, whose end belongs to the cold run."""
        images = {COLD: self._image, WARM: works.moved(self._image)}
        files = {state: self._folder / f"{mode}-{state}.nii.gz" for state in images}
        told, used = {}, {}
        with Application(self._weights) as one:
            for state, image in images.items():
                told[state] = self._run(one, mode, image, files[state])
                used[state] = one.lap()
            one.end()
            end = one.lap()
        wall, cpu = used[COLD].wall_s + end.wall_s, used[COLD].cpu_s + end.cpu_s
        used[COLD] = replace(used[COLD], wall_s=wall, cpu_s=cpu)
        for state, labels in files.items():
            self._note(mode, state, used[state], labels, told[state]["timings_s"])

    def _run(
        self, application: Application, mode: str, image: Path, labels: Path
    ) -> dict[str, Any]:
        request = self.work.request(mode, self._device, self._made)
        return application.segment(image, labels, request)

    def _note(
        self, mode: str, state: str, usage: Usage, labels: Path, timings: Mapping[str, float]
    ) -> None:
        runs = self.runs.setdefault((mode, state), Runs())
        runs.usages.append(usage)
        runs.timings_s = timings
        differing, dice = compare(self._truth, read_labelmap(labels).array)
        runs.differing, runs.dice = max(runs.differing, differing), min(runs.dice, dice)
        print(f"{self.work.name}, {mode}, {state}: {usage}", file=sys.stderr)


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work",
        nargs="+",
        choices=WORKS,
        default=[],
        help=f"works to do (default {' '.join(QUICK_WORKS)})",
    )
    parser.add_argument("--task", help="a work of your own: its task (default total)")
    parser.add_argument("--speed", help="its speed: normal, fast (default) or fastest")
    parser.add_argument("--image", help="its image, a NIfTI file (default: the sample CT)")
    parser.add_argument("--device", default="cpu", help="cpu (default), gpu or mps")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each mode (default 3)")
    parser.add_argument(
        "--modes",
        nargs="+",
        choices=(OFFICIAL, *MODES),
        help="modes to measure; official is always (default: those of the work)",
    )
    parser.add_argument(
        "--stages", action="store_true", help="tell how long steps take, and what the limit is"
    )
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help=works.JSON_HELP)
    return parser.parse_args()


def works_of(options: argparse.Namespace) -> list[Work]:
    """The works that are asked for."""
    if not (options.task or options.speed or options.image):
        return [WORKS[name] for name in options.work or QUICK_WORKS]
    task, speed = options.task or "total", options.speed or "fast"
    image = options.image or "sample"
    name = f"{task}-{speed}-{Path(image).name.partition('.')[0]}"
    return [*(WORKS[name] for name in options.work), Work(name, task, speed, image)]


def measure(one: Measurement, options: argparse.Namespace) -> list[str]:
    """Measure a work; comes back with what was left out, and with its table of stages."""
    modes, texts = [], []
    for mode in one.work.modes_of(options.modes):
        try:
            one.prepare(mode)
            modes.append(mode)
        except NotDone as reason:
            texts.append(f"{one.work.name}, {mode}: left out. {reason}")
    for _ in range(options.repeats):
        one.official(options.stages)
        for mode in modes:
            one.ours(mode)
    if one.profile:
        columns = {
            key: Steps(runs.usages[-1].wall_s, runs.timings_s) for key, runs in one.runs.items()
        }
        texts.append(stage_table(one.work.name, one.profile["counts"], columns))
    return texts


def main() -> None:
    """Measure all works that are asked for."""
    options = read_options()
    versions = installed_versions(ROOT / ".venv-engine")
    packages = {name: versions[name] for name in ("TotalSegmentator", "torch")}
    load = os.getloadavg()[0]
    head = conditions(options.repeats, packages, "the official engine", load)
    found, texts = [], []
    LOG.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for work in works_of(options):
            weights, made = works.weights_for(work, work.modes_of(options.modes))
            one = Measurement(work, weights, made, options.device, Path(folder))
            texts += measure(one, options)
            found += rows(work.name, one.runs, OFFICIAL)
    works.show(found, "\n\n".join([head, table(found), *texts]), options.json)


if __name__ == "__main__":
    main()
