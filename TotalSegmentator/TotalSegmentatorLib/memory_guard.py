"""Whether a run fits into the memory of this computer, and which ways there are if it does not.

All of it rests on :mod:`.estimate`, which may be wrong by half: a run is refused only if it would
not fit by far, and a way around it is offered only if it does by estimate.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import environment
from .catalog import SPEEDS
from .environment import Hardware
from .errors import InputError, SegmentationError, SetupError
from .estimate import Estimate, estimate
from .images import Notice
from .jobs.shortage import GPU, MAIN
from .remedies import CHOOSE_REGION, RETRY_ON_CPU, SPLIT_FOR_MEMORY, USE_FASTER_SPEED, Remedy
from .runs import Runs, complete

Shape = tuple[int, ...]

#: The warning of a run that was done in another way than it was asked for.
FELL_BACK = "memory.fell_back"
_TOO_LARGE = {MAIN: "memory.will_not_fit", GPU: "gpu.will_not_fit"}
_LARGE = {MAIN: "memory.may_not_fit", GPU: "gpu.may_not_fit"}
_SHORTAGES = (MAIN, GPU, *_TOO_LARGE.values())
_REGIONS = {2: "half", 4: "a quarter"}
_GB = 2**30


@dataclass(frozen=True)
class Shortage:
    """What a run needs more of than there is.

    :param code: :data:`~.jobs.shortage.MAIN` or :data:`~.jobs.shortage.GPU`.
    :param message: one sentence with the figures.
    :param certain: whether the run cannot fit, even if the estimate is far too high.
    """

    code: str
    message: str
    certain: bool


@dataclass(frozen=True)
class Way:
    """Another way to do a run, with less memory.

    :param remedy: what a person can choose with one click.
    :param text: how it is run then, e.g. ``at the speed fast``.
    :param runs: what is run then; as before for a region, which only a person can choose.
    """

    remedy: Remedy
    text: str
    runs: Runs


def known_hardware(known: Hardware | None = None) -> Hardware:
    """What can be said of this computer at once: its main memory now, and the GPUs that are known.

    :param known: what was found out before, see :func:`.environment.probe`.
    """
    now = environment.this_computer()
    if known is None:
        return now
    return dataclasses.replace(known, memory_bytes=now.memory_bytes, free_bytes=now.free_bytes)


class MemoryGuard:
    """Knows an image's size and this computer.

    :param shape_ijk: voxels of the image, or of the region that is run.
    :param spacing_mm: their distances.
    :param hardware: see :func:`known_hardware`.
    :param weights_folder: where models may lie whose plans are then read.
    """

    def __init__(
        self,
        shape_ijk: Sequence[int],
        spacing_mm: Sequence[float],
        hardware: Hardware,
        weights_folder: Path | None = None,
    ) -> None:
        self._shape = tuple(shape_ijk)
        self._spacing = tuple(spacing_mm)
        self._hardware = hardware
        self._weights_folder = weights_folder

    def check(self, runs: Runs, insist: bool = False) -> tuple[Notice, ...]:
        """What people should know before a run; nothing if it fits.

        :param insist: let even what cannot fit be tried.
        :raises SetupError: ``memory.will_not_fit``, ``gpu.will_not_fit``.
        """
        found = self.shortage(runs)
        if found is None:
            return ()
        if found.certain and not insist:
            raise SetupError(_TOO_LARGE[found.code], found.message)
        text = f"{found.message} {advice(self.ways(runs, found.code))}"
        return (Notice(_LARGE[found.code], text),)

    def shortage(self, runs: Runs) -> Shortage | None:
        """What a run lacks by estimate; None if it fits."""
        return self._shortage(self._estimate(runs, self._shape))

    def ways(self, runs: Runs, code: str) -> tuple[Way, ...]:
        """The ways that fit by estimate, the one that changes least first; one of each kind.

        :param code: of the error or shortage: whether the GPU's memory or the computer's is short.
        """
        found: dict[str, Way] = {}
        for way, short in self._smaller(runs, code):
            if short is None:
                found.setdefault(way.remedy.action, way)
        return tuple(found.values())

    def chain(self, runs: Runs, code: str) -> Iterator[Way]:
        """What can be run instead without asking, in this order: all that needs less and is not
        too large for certain.

        :param code: as in :meth:`ways`.
        """
        for way, short in self._smaller(runs, code):
            if way.remedy.action != CHOOSE_REGION and not (short and short.certain):
                yield way

    def add_ways(self, error: SegmentationError, runs: Runs) -> None:
        """Let an error offer the ways that fit.

        :param error: one that :func:`is_shortage`.
        :param runs: what was run.
        """
        ways = self.ways(runs, error.code)
        error.remedy, error.remedies = advice(ways), tuple(way.remedy for way in ways)

    def _smaller(self, runs: Runs, code: str) -> Iterator[tuple[Way, Shortage | None]]:
        """The ways that need less, with what they lack even so."""
        needed = self._estimate(runs, self._shape).memory_bytes
        # A GPU's scores, too, lie in main memory if it has no room for them: what needs less of
        # the one needs less of the other.
        for way, shape in (*_changes(runs, self._shape), *_regions(runs, self._shape)):
            need = self._estimate(way.runs, shape)
            if need.memory_bytes < needed:
                yield way, self._shortage(need)
        if code.startswith("gpu.") and runs.asked.device != "cpu":
            there = _completed(runs, device="cpu")
            if there:
                yield Way(Remedy(RETRY_ON_CPU), "on the CPU", there), self.shortage(there)

    def _estimate(self, runs: Runs, shape: Sequence[int]) -> Estimate:
        grid = (shape, self._spacing)
        try:
            return estimate(*grid, runs.requests, self._hardware, (), self._weights_folder)
        except SetupError:  # a GPU that is not known yet, or not there: the engine will tell
            requests = [dataclasses.replace(one, device="cpu") for one in runs.requests]
            return estimate(*grid, requests, self._hardware, (), self._weights_folder)

    def _shortage(self, need: Estimate) -> Shortage | None:
        computer, device = self._hardware, need.device
        memory, gpu = need.memory_bytes, need.gpu_memory_bytes
        what, whole = "memory", f"this computer has {_text(computer.memory_bytes)}"
        on_gpu, whole_gpu = "memory on the GPU", f"it has {_text(device.total_bytes)}"
        if need.memory_low_bytes > computer.memory_bytes:
            return _short(MAIN, memory, what, whole, certain=True)
        if need.gpu_memory_low_bytes > device.total_bytes:
            return _short(GPU, gpu, on_gpu, whole_gpu, certain=True)
        if memory > computer.free_bytes:
            return _short(MAIN, memory, what, f"{_text(computer.free_bytes)} are free")
        if gpu > device.free_bytes:
            return _short(GPU, gpu, on_gpu, f"{_text(device.free_bytes)} are free")
        return None


def is_shortage(error: SegmentationError) -> bool:
    """Whether a run failed, or was refused, for a lack of memory."""
    return error.code in _SHORTAGES


def advice(ways: Sequence[Way]) -> str:
    """The ways as a sentence."""
    if not ways:
        return "Close other programs, or use a computer with more memory."
    *first, last = [way.text for way in ways]
    return f"By estimate it fits {', '.join(first)}{' or ' if first else ''}{last}."


def _short(code: str, need: int, what: str, there: str, certain: bool = False) -> Shortage:
    return Shortage(code, f"This needs about {_text(need)} of {what}, and {there}.", certain)


def _text(size: int) -> str:
    """Memory for people, e.g. ``4.5 GB``."""
    return f"{size / _GB:.0f} GB" if size >= 10 * _GB else f"{size / _GB:.1f} GB"


def _changes(runs: Runs, shape: Shape) -> Iterator[tuple[Way, Shape]]:
    """What an engine can do itself, with the shape that it is done on."""
    options = {**runs.asked.options, "force_split": True}
    split = _completed(runs, options=options)
    if split:
        yield Way(Remedy(SPLIT_FOR_MEMORY), "in three parts (option force_split)", split), shape
    for speed in SPEEDS[SPEEDS.index(runs.asked.speed or SPEEDS[0]) + 1 :]:
        faster = _completed(runs, speed=speed)
        if faster:
            yield Way(Remedy(USE_FASTER_SPEED, speed), f"at the speed {speed}", faster), shape


def _regions(runs: Runs, shape: Shape) -> Iterator[tuple[Way, Shape]]:
    """Parts of the image, with their shapes; which part only a person knows."""
    if not runs.asked.region:
        for share, name in _REGIONS.items():
            text = f"in a region {name} as long along each axis"
            yield Way(Remedy(CHOOSE_REGION), text, runs), tuple(math.ceil(n / share) for n in shape)


def _completed(runs: Runs, **changes: Any) -> Runs | None:
    """The runs with what was asked changed; None if an engine or a task does not offer it."""
    try:
        return complete(dataclasses.replace(runs.asked, **changes), runs.modality)
    except InputError:
        return None
