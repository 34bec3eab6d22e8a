"""Calls the official package; its console output becomes stages, progress and log lines."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ... import catalog
from ...errors import InputError
from ...images import Image, write_labelmap
from ...jobs import EngineResult
from .. import downloaded_models
from ..console import ConsoleTap, tqdm_fraction
from ..contract import Reporter, Run
from ..devices import choose_device, cpu_threads, device_title
from ..nnunet.models import CatalogModels, load_checked, weights_sha256
from ..turns import turn
from ..weights_folder import weights_folder
from . import PREDICT, SPEC, START, WRITE, official_arguments, statistics
from .access import check_licence, check_models
from .derived import write_derived

_PART = re.compile(r"^Predicting part (\d+) of (\d+)")
# What the package prints -> what people read; the order is that of a run.
_PHRASES = (
    ("Generating rough segmentation", "Finding the region of interest"),
    ("Generating rough body segmentation", "Finding the body"),
    ("Resampling", "Resampling"),
    ("Predicting", PREDICT),
    ("Removing small blobs", "Removing small blobs"),
)


def run(run: Run) -> EngineResult:
    """Segment ``run.image`` with the task and speed of the request."""
    with cpu_threads(run.options["threads"]):
        return _run(run)


def _run(run: Run) -> EngineResult:
    with run.report.timed(START):
        check_licence(run.request.task)
        console = Console(run.report)
        sys.stdout = sys.stderr = ConsoleTap(console.line)  # type: ignore[assignment]
        segment = _official_function(run)
        device = choose_device(run.request.device)
    models = downloaded_models(run.request)
    check_models(models)
    here = CatalogModels(weights_folder(), device, run.kept)
    for model in models:
        here.check_harmless(model)  # the package runs whatever code a checkpoint holds
    with turn(device, run.report), run.report.timed(PREDICT), harmless_loading():
        image = segment(
            run.image,
            # Without a file it goes on with the whole image where it finds nothing to crop to.
            run.folder / "official.nii",
            ml=True,
            task=run.request.task,
            fast=run.request.speed == "fast",
            fastest=run.request.speed == "fastest",
            roi_subset=_subset(run),
            device=_official_device(device),
            **official_arguments(run.options),
        )
    with run.report.timed(WRITE):
        labels = Image(
            np.asanyarray(image.dataobj).T.astype(np.uint16), np.asarray(image.affine, float)
        )
        derived = write_derived(run, labels)
        names = _selected(run)
        labels.array[~np.isin(labels.array, list(names))] = 0
        write_labelmap(labels, run.labels, names)
        provenance = _provenance(run, device)
    return EngineResult(run.labels, names, provenance, run.report.timings_s, derived)


def _official_function(run: Run) -> Any:
    """The package's API function, without downloads of its own, with usage statistics only if the
    user agreed, and with trainers found quickly."""
    from totalsegmentator import nnunet, python_api

    from ..trainers import find_trainer

    statistics.set_up()
    python_api.send_usage_stats = statistics.send
    # It would get all parts of a task, also those that the structures do not need.
    python_api.download_pretrained_weights = lambda *_: None
    # Its own one knows no CPU, so a task that runs another one would fail there.
    python_api.convert_device_to_string = _device_name
    trainers = {model.trainer for model in downloaded_models(run.request)}
    for name in trainers - set(nnunet.custom_trainers):
        nnunet.custom_trainers[name] = find_trainer(name)
    return python_api.totalsegmentator


@contextmanager
def harmless_loading() -> Iterator[None]:
    """nnU-Net loads no other checkpoint than this engine would: the files may have been replaced
    since they were checked."""
    unchecked = torch.load
    torch.load = lambda path, **_: load_checked(Path(path))
    try:
        yield
    finally:
        torch.load = unchecked


def _device_name(device: object) -> str:
    """What the package's API calls a device of PyTorch."""
    return str(device).replace("cuda", "gpu")


def _subset(run: Run) -> list[str] | None:
    """The structures for the package to restrict itself to; it can so only for some tasks.

    For the others the whole task is run, and the structures are chosen afterwards.
    """
    can = catalog.task(run.request.task).subset_crop is not None
    structures = SPEC.own_structures(run.request.task, run.request.structures)
    return list(structures) or None if can else None


def _official_device(device: torch.device) -> str:
    return f"gpu:{device.index or 0}" if device.type == "cuda" else device.type


def _selected(run: Run) -> dict[int, str]:
    labels = catalog.task(run.request.task).labels
    wanted = run.request.structures
    return {value: name for value, name in labels.items() if not wanted or name in wanted}


class Console:
    """Follows a run by the lines that the package prints."""

    # A rough segmentation at 6 mm takes about this share of a cropped run.
    _ROUGH_SHARE = 0.2

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._rough = False
        self._span: tuple[float, float] | None = None

    def line(self, line: str) -> None:
        """Take one printed line."""
        fraction = tqdm_fraction(line)
        if fraction is None:
            self._report.log(line)
            self._follow(line)
        elif self._span:
            start, end = self._span
            self._report.progress(start + (end - start) * fraction)

    def _follow(self, line: str) -> None:
        if line.startswith("Generating rough"):
            self._rough = True
        if line.startswith("Predicting"):
            self._span = self._predicting(line)
        elif line.startswith("  Predicted"):
            self._span = None  # bars that follow are not about the network
        if "Crop is empty" in line:
            self._report.warn(
                "result.empty_crop",
                "The region that this task looks into was not found in the image.",
            )
        for printed, phrase in _PHRASES:
            if line.startswith(printed):
                part = _PART.match(line)
                suffix = f" (part {part[1]} of {part[2]})" if part else ""
                self._report.stage(phrase + suffix)
                return

    def _predicting(self, line: str) -> tuple[float, float]:
        """Which share of the whole prediction the bar after this line covers."""
        part = _PART.match(line)
        if part:
            index, count = int(part[1]), int(part[2])
            return (index - 1) / count, index / count
        if self._rough:
            self._rough = False
            return 0.0, self._ROUGH_SHARE
        return 0.0, 1.0


def _provenance(run: Run, device: torch.device) -> dict[str, Any]:
    models = downloaded_models(run.request)
    return {
        "engine": "totalsegmentator",
        "mode": "official",
        "versions": {name: version(name) for name in ("TotalSegmentator", "nnunetv2", "torch")},
        "model": [model.folder for model in models],
        "weights_sha256": _checksums(models, CatalogModels(weights_folder(), device, run.kept)),
        "device": device_title(device),
        "threads": torch.get_num_threads(),
        "demo": False,
    }


def _checksums(models: Iterable[catalog.Model], here: CatalogModels) -> list[str]:
    """Of the checkpoints that are where training leaves them; the package has run in any case."""
    found: list[str] = []
    for model in models:
        with suppress(InputError):
            found += weights_sha256(here.folder(model))
    return found
