"""What a run will cost on this computer, told before it is started.

The formula: a start, then for every network its loading, the arithmetic of its patches on the
device and the handling of its scores, and for every voxel of the image reading, resampling and
writing. The numbers for processors were measured on two cores; those for GPUs are
assumed, as none was at hand. Runs of the past on this very computer then correct it. All of it is
an estimate, and every sentence about it says so.

Not counted, as their cost was not measured: the time of higher-order resampling, cropping to the
body first (less memory), removing small blobs; and what an engine still has in memory of its last
run.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import engines, environment, runs
from .catalog import SPEEDS
from .engines.contract import Costs
from .environment import Device, Hardware
from .errors import InputError
from .history import COMPILED, EXACT, PastRun
from .jobs import Request
from .jobs.request import OptionValue
from .work import Spacing, Work, resolution_mm, work_of

# So many times faster a network is in a mode.
_TIMES_FASTER = {EXACT: 1.0, COMPILED: 1.4}
# Seconds a voxel of a patch takes a GPU as people have it (assumed).
_GPU_S = {"gpu": 0.12e-6, "mps": 0.6e-6}
# nnU-Net uses no more threads unless they are asked for.
_MOST_CORES = 8
_PATCH_BYTES = 24.0
# On a GPU scores have half precision. The driver and its libraries take a share too, and the image
# is there as it came and as numbers for the network (assumed).
_GPU_BYTES = 0.6e9
_GPU_SCORE_BYTES = 2.0
_GPU_IMAGE_VOXEL_BYTES = 8.0
# As far as the formulas for memory may be off.
_MEMORY_SPREAD, _GPU_MEMORY_SPREAD = 1.5, 2.0

#: So many past runs of the same task and speed say more than those of other tasks.
ENOUGH = 3
_LATEST = 20
_MOST_TIMES = 20.0
# The true time lies between the estimate divided by and multiplied with this, most of the time.
_SPREAD = {"cpu": 2.0, "gpu": 3.0, "mps": 3.0}
_SPREAD_OF_SIMILAR = 1.6
_LEAST_SPREAD = 1.25

# People count memory in powers of two, and downloads in powers of ten.
_GB = 2**30
_MINUTE, _HOUR = 60.0, 3600.0
_MINUTES = (1, 2, 3, 5, 10, 15, 20, 30, 45)
_HOURS = (1, 1.5, 2, 3, 4, 6, 8, 12, 18, 24)


@dataclass(frozen=True)
class Estimate:
    """What a run will take, as far as can be known before it.

    :param seconds_low: it will hardly be quicker.
    :param seconds: the most likely time, without that of a download.
    :param seconds_high: it will hardly be slower.
    :param memory_bytes: main memory that it needs.
    :param memory_low_bytes: it will hardly need less.
    :param gpu_memory_bytes: memory of the GPU that it needs; 0 without one.
    :param gpu_memory_low_bytes: it will hardly need less.
    :param download_bytes: weights that must be downloaded first.
    :param resolution_mm: spacings (x, y, z) at which the result is made, finest first; None for
        that of the image itself.
    :param based_on: number of past runs that it rests on; 0: on the formula alone.
    :param device: what it runs on.
    :param computer_bytes: main memory of this computer.
    """

    seconds_low: float
    seconds: float
    seconds_high: float
    memory_bytes: int
    memory_low_bytes: int
    gpu_memory_bytes: int
    gpu_memory_low_bytes: int
    download_bytes: int
    resolution_mm: tuple[Spacing | None, ...]
    based_on: int
    device: Device
    computer_bytes: int

    @property
    def time(self) -> str:
        """The time, as rough as it is known, e.g. ``about 10 min``."""
        return time_text(self.seconds)

    @property
    def memory(self) -> str:
        """Main memory, e.g. ``8 GB``."""
        return f"{math.ceil(self.memory_bytes / _GB)} GB"

    @property
    def download(self) -> str:
        """The download, e.g. ``230 MB``; empty if there is none."""
        if not self.download_bytes:
            return ""
        if self.download_bytes < 995e6:
            return f"{max(10, round(self.download_bytes / 1e7) * 10)} MB"
        return f"{self.download_bytes / 1e9:.1f} GB"

    @property
    def resolution(self) -> str:
        """The resolution of the result, e.g. ``1.5 mm``."""
        return ", ".join(spacing_text(spacing) for spacing in self.resolution_mm)

    @property
    def warning(self) -> str:
        """What this computer lacks, as a part of a sentence; empty if nothing."""
        if self.memory_bytes > self.computer_bytes:
            return f"more memory than this computer has ({self.computer_bytes / _GB:.0f} GB)"
        if self.gpu_memory_bytes > self.device.total_bytes:
            return f"more memory than the GPU has ({self.device.total_bytes / _GB:.0f} GB)"
        return ""

    def sentence(self) -> str:
        """All of it for people, e.g. ``Estimate: about 10 min, 8 GB memory, 230 MB to
        download.``"""
        parts = [self.time, f"{self.memory} memory"]
        parts += [f"{self.download} to download"] if self.download else []
        warning = f" This is {self.warning}." if self.warning else ""
        return f"Estimate: {', '.join(parts)}.{warning}"


def estimate(
    shape_ijk: Sequence[int],
    spacing_mm: Sequence[float],
    requests: Sequence[Request],
    hardware: Hardware,
    past: Sequence[PastRun] = (),
    weights_folder: Path | None = None,
) -> Estimate:
    """What completed requests will cost, one after the other, on an image.

    :param shape_ijk: voxels of the image, or of the region that is run.
    :param spacing_mm: their distances in mm.
    :param requests: see :attr:`.runs.Runs.requests`; all for one device.
    :param past: see :func:`.history.load`.
    :param weights_folder: where models are looked for; None: nothing is known of them, and nothing
        is said of a download.
    :raises SetupError: ``gpu.not_found``.
    :raises InputError: ``input.bad_model``.
    """
    device = hardware.device(requests[0].device)
    parts = [(one, work_of(shape_ijk, spacing_mm, one, weights_folder)) for one in requests]
    corrections = [_correction(one, device, hardware, past) for one in requests]
    cores = [_cores(one.options.get("threads", 0), hardware) for one in requests]
    times = [
        _seconds(one.engine, _mode(one, device), work, device, own_cores, len(parts))
        * correction.factor
        for (one, work), own_cores, correction in zip(parts, cores, corrections, strict=True)
    ]
    spread = max(correction.spread for correction in corrections)
    seconds = sum(times)
    memory = max(_memory_bytes(one.engine, work) for one, work in parts)
    gpu = max(_gpu_bytes(one.engine, work, device) for one, work in parts)
    if device.kind == "mps":  # it has no memory of its own
        memory, gpu = memory + gpu, 0
    return Estimate(
        seconds_low=seconds / spread,
        seconds=seconds,
        seconds_high=seconds * spread,
        memory_bytes=memory,
        memory_low_bytes=round(memory / _MEMORY_SPREAD),
        gpu_memory_bytes=gpu,
        gpu_memory_low_bytes=max(_least_gpu_bytes(work, device) for _, work in parts),
        download_bytes=_download_bytes(requests, weights_folder),
        resolution_mm=tuple(dict.fromkeys(mm for one in requests for mm in resolution_mm(one))),
        based_on=min(correction.runs for correction in corrections),
        device=device,
        computer_bytes=hardware.memory_bytes,
    )


def estimate_speeds(
    shape_ijk: Sequence[int],
    spacing_mm: Sequence[float],
    request: Request,
    hardware: Hardware,
    past: Sequence[PastRun] = (),
    weights_folder: Path | None = None,
    modality: str = "",
) -> dict[str, Estimate]:
    """The estimate for every speed that a request could be run at, finest first.

    :param request: what is asked, not yet completed; its speed does not matter.
    :param modality: that of the image, if known.
    :raises SegmentationError: see :func:`.runs.complete` and :func:`estimate`.
    """
    found: dict[str, Estimate] = {}
    told = set()
    for speed in SPEEDS:
        try:
            requests = runs.complete(dataclasses.replace(request, speed=speed), modality).requests
        except InputError as error:
            if error.code != "input.unknown_speed":
                raise
            continue
        # Planned tasks that do not offer a speed run at another one, which was told already.
        planned = tuple((one.task, one.speed) for one in requests)
        if planned not in told:
            told.add(planned)
            found[speed] = estimate(shape_ijk, spacing_mm, requests, hardware, past, weights_folder)
    return found


@dataclass(frozen=True)
class _Correction:
    """What past runs say about the formula.

    :param factor: how many times longer runs take than it says.
    :param spread: see ``_SPREAD``.
    :param runs: how many runs say so.
    """

    factor: float
    spread: float
    runs: int


def _cores(threads: OptionValue, hardware: Hardware) -> int:
    """The processor cores that a run computes with.

    :param threads: as in the option; 0 leaves their number to the engine.
    """
    return max(1, min(hardware.cores, int(threads) or _MOST_CORES))


def _mode(request: Request, device: Device) -> str:
    """How a run's networks compute; only those on a processor can be compiled."""
    return COMPILED if request.options.get("compiled") and device.kind == "cpu" else EXACT


def _seconds(
    engine: str, mode: str, work: Work, device: Device, cores: int, sharing: int = 1
) -> float:
    """The formula.

    :param sharing: how many runs share one start of the engine.
    """
    costs = engines.spec(engine).costs
    on_cores = costs.patch_voxel_s / cores / _TIMES_FASTER[mode]
    return (
        costs.start_s / sharing
        + work.networks * costs.network_s
        + work.patch_voxels * _GPU_S.get(device.kind, on_cores)
        + work.scores * costs.score_s
        + work.image_voxels * costs.image_voxel_s
    )


def _correction(
    request: Request, device: Device, hardware: Hardware, past: Sequence[PastRun]
) -> _Correction:
    """The median of how much longer the latest alike runs took, the surer the more there are."""
    way = (request.engine, _mode(request, device))
    similar = [one for one in past if (one.engine, one.mode) == way and _on(one, device)]
    key = (request.task, request.speed, bool(request.structures))
    same = [one for one in similar if (one.task, one.speed, one.part) == key]
    chosen = (same if len(same) >= ENOUGH else similar)[-_LATEST:]
    widest = _SPREAD[device.kind]
    if not chosen:
        return _Correction(1.0, widest, 0)
    logs = [math.log(_times_longer(one, device, hardware)) for one in chosen]
    middle = statistics.median(logs)
    count = len(chosen)
    factor = math.exp(middle * count / (count + 1))
    if count < ENOUGH:
        return _Correction(factor, widest, count)
    seen = math.exp(max(abs(log - middle) for log in logs))
    least = _LEAST_SPREAD if chosen == same[-_LATEST:] else _SPREAD_OF_SIMILAR
    return _Correction(factor, min(widest, max(least, seen)), count)


def _on(past: PastRun, device: Device) -> bool:
    """Whether a past run was on this device; other GPUs say nothing about it."""
    return past.device == device.kind and past.device_title in ("", device.title)


def _times_longer(past: PastRun, device: Device, hardware: Hardware) -> float:
    cores = _cores(past.threads, hardware)
    times = past.seconds / _seconds(past.engine, past.mode, past.work, device, cores)
    return min(max(times, 1 / _MOST_TIMES), _MOST_TIMES)


def _memory_bytes(engine: str, work: Work) -> int:
    costs = engines.spec(engine).costs
    return round(
        costs.own_bytes
        + work.largest_patch * _PATCH_BYTES
        + _held_scores(costs, work) * costs.score_bytes
        + work.image_voxels * costs.image_voxel_bytes
    )


def _held_scores(costs: Costs, work: Work) -> float:
    """The most scores that are in memory at once."""
    return work.largest_layer if costs.layered else work.largest_scores


def _gpu_bytes(engine: str, work: Work, device: Device) -> int:
    if device.kind == "cpu":
        return 0
    scores = _held_scores(engines.spec(engine).costs, work) * _GPU_SCORE_BYTES
    image = work.image_voxels * _GPU_IMAGE_VOXEL_BYTES
    return round(_GPU_BYTES + work.largest_window + image + scores)


def _least_gpu_bytes(work: Work, device: Device) -> int:
    """Without the scores, which engines move to main memory if the GPU has no room for them, and
    without the image, for which only some need it."""
    if device.kind != "gpu":
        return 0
    return round((_GPU_BYTES + work.largest_window) / _GPU_MEMORY_SPREAD)


def _download_bytes(requests: Sequence[Request], weights_folder: Path | None) -> int:
    if weights_folder is None:
        return 0
    models = [model for one in requests for model in engines.downloaded_models(one)]
    missing = environment.missing_models(tuple(dict.fromkeys(models)), weights_folder)
    return environment.download_bytes(missing)


def time_text(seconds: float) -> str:
    """A time no more exact than an estimate is, e.g. ``about 10 min``."""
    if seconds < 0.8 * _MINUTE:
        return "less than a minute"
    steps = [(n * _MINUTE, f"about {n} min") for n in _MINUTES]
    steps += [(n * _HOUR, f"about {n:g} h") for n in _HOURS]
    if seconds > 1.2 * steps[-1][0]:
        return "more than a day"
    return min(steps, key=lambda step: abs(math.log(seconds / step[0])))[1]


def spacing_text(spacing: Spacing | None) -> str:
    """A resolution, e.g. ``1.5 mm`` or ``0.75 × 0.75 × 1 mm``."""
    if spacing is None:
        return "the image's own"
    numbers = [f"{mm:.2f}".rstrip("0").rstrip(".") for mm in spacing]
    return f"{numbers[0] if len(set(numbers)) == 1 else ' × '.join(numbers)} mm"
