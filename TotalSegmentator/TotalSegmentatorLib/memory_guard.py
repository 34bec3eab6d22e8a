"""Whether a run fits into the memory of this computer, and which ways there are if it does not.

All of it rests on :mod:`.estimate`, which may be wrong by half: a run is refused only if it would
not fit by far, and a way around it is offered only if it does by estimate. Once a run has died, the
estimate is known to be wrong: what is offered and done then needs less than what died.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import engines, environment
from .catalog import SPEEDS
from .engines.contract import Lighter
from .environment import Hardware
from .errors import InputError, SegmentationError, SetupError
from .estimate import Estimate, estimate
from .images import Notice
from .jobs.shortage import GPU, MAIN
from .remedies import CHANGE_OPTIONS, CHOOSE_REGION, RETRY_ON_CPU, USE_FASTER_SPEED, Remedy
from .runs import Runs, complete

Shape = tuple[int, ...]

#: The warning of a run that was done in another way than it was asked for.
FELL_BACK = "memory.fell_back"
_DIED = (MAIN, GPU)
_REFUSED = ("memory.will_not_fit", "gpu.will_not_fit")
_REGIONS = {2: "half", 4: "a quarter"}
_GB = 2**30


@dataclass(frozen=True)
class Shortage:
    """What a run needs more of than there is, by estimate.

    :param family: of the codes that tell it: ``memory``, or ``gpu`` for the memory of the GPU.
    :param message: one sentence with the figures.
    :param certain: whether the run cannot fit, even if the estimate is far too high.
    """

    family: str
    message: str
    certain: bool = False

    @property
    def code(self) -> str:
        """The code for people, e.g. ``gpu.may_not_fit``."""
        return f"{self.family}.{'will' if self.certain else 'may'}_not_fit"


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
    :param at_once: how many runs share the memory of this computer.
    """

    def __init__(
        self,
        shape_ijk: Sequence[int],
        spacing_mm: Sequence[float],
        hardware: Hardware,
        weights_folder: Path | None = None,
        at_once: int = 1,
    ) -> None:
        self._shape = tuple(shape_ijk)
        self._spacing = tuple(spacing_mm)
        self._hardware = hardware
        self._weights_folder = weights_folder
        self._at_once = at_once

    def check(self, runs: Runs, insist: bool = False) -> tuple[Notice, ...]:
        """What people should know before a run; nothing if it fits.

        :param insist: let even what cannot fit be tried.
        :raises SetupError: ``memory.will_not_fit``, ``gpu.will_not_fit``.
        """
        found = self.shortage(runs)
        if found is None:
            return ()
        if found.certain and not insist:
            raise SetupError(found.code, found.message)
        text = f"{found.message} {advice(self.ways([runs], found.code), found.code)}"
        return (Notice(f"{found.family}.may_not_fit", text),)

    def shortage(self, runs: Runs) -> Shortage | None:
        """What a run lacks by estimate; None if it fits."""
        return self._shortage(self._estimate(runs, self._shape))

    def ways(self, tried: Sequence[Runs], code: str) -> tuple[Way, ...]:
        """What people are offered, the way that changes least first; one of each kind.

        A face changes the request as it was made, not what was tried last.

        :param tried: what was planned, and what was tried in its place; the last one failed.
        :param code: of its error or shortage.
        """
        found: dict[str, Way] = {}
        for way, short in self._others(tried, code):
            if short is None or (code in _DIED and not short.certain):
                found.setdefault(way.remedy.action, way)
        return tuple(found.values())

    def chain(self, tried: Sequence[Runs], code: str) -> Iterator[Way]:
        """What can be run next without asking, in this order: all that is not too large for
        certain.

        :param tried, code: as in :meth:`ways`.
        """
        for way, short in self._others(tried, code):
            if way.remedy.action != CHOOSE_REGION and not (short and short.certain):
                yield way

    def add_ways(self, error: SegmentationError, tried: Sequence[Runs]) -> None:
        """Let an error offer the ways that are left.

        :param error: one that :func:`is_shortage`.
        :param tried: as in :meth:`ways`.
        """
        ways = self.ways(tried, error.code)
        error.remedy, error.remedies = advice(ways, error.code), tuple(one.remedy for one in ways)

    def _others(self, tried: Sequence[Runs], code: str) -> Iterator[tuple[Way, Shortage | None]]:
        """What was not tried yet, with what it lacks by estimate.

        After a run has died, faster speeds and the CPU count whatever is estimated; other ways
        only if they need less of the memory that ran out than all that was tried on the device.
        """
        ran = [one.requests for one in tried]
        alike = [one for one in tried if one.asked.device == tried[-1].asked.device]
        least = min(_of(self._estimate(one, self._shape), code) for one in alike)
        changes = [way for way in _changes(tried, code) if way.runs.requests not in ran]
        regions = _regions(tried[-1], self._shape)
        for way, shape in (*((way, self._shape) for way in changes), *regions):
            need = self._estimate(way.runs, shape)
            surely = code not in _DIED or way.remedy.action in (USE_FASTER_SPEED, RETRY_ON_CPU)
            if surely or _of(need, code) < least:
                yield way, self._shortage(need)

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
        share = computer.memory_bytes / self._at_once
        shared = f" for {self._at_once} runs at once" if self._at_once > 1 else ""
        what, whole = "memory", f"this computer has {_text(computer.memory_bytes)}{shared}"
        on_gpu, whole_gpu = "memory on the GPU", f"it has {_text(device.total_bytes)}"
        if need.memory_low_bytes > share:
            return _short("memory", memory, what, whole, certain=True)
        if need.gpu_memory_low_bytes > device.total_bytes:
            return _short("gpu", gpu, on_gpu, whole_gpu, certain=True)
        if memory > min(share, computer.free_bytes):
            free = f"{_text(computer.free_bytes)} are free"
            return _short("memory", memory, what, whole if share < computer.free_bytes else free)
        if gpu > device.free_bytes:  # which was perhaps looked at some time ago
            return _short("gpu", gpu, on_gpu, f"{_text(device.free_bytes)} were free")
        return None


def is_shortage(error: SegmentationError) -> bool:
    """Whether a run failed, or was refused, for a lack of memory."""
    return error.code in (*_DIED, *_REFUSED)


def advice(ways: Sequence[Way], code: str) -> str:
    """The ways as a sentence.

    :param code: of what they would be gone for, see :meth:`MemoryGuard.ways`.
    """
    if not ways:
        return "Close other programs, or use a computer with more memory."
    *first, last = [way.text for way in ways]
    begin = "It needs less of that memory" if code in _DIED else "By estimate it fits"
    return f"{begin} {', '.join(first)}{' or ' if first else ''}{last}."


def _short(family: str, need: int, what: str, there: str, certain: bool = False) -> Shortage:
    return Shortage(family, f"This needs about {_text(need)} of {what}, and {there}.", certain)


def _of(need: Estimate, code: str) -> int:
    """How much is needed of the memory that a code is about."""
    return need.gpu_memory_bytes if _is_of_gpu(code) else need.memory_bytes


def _is_of_gpu(code: str) -> bool:
    return code.startswith("gpu.")


def _text(size: int) -> str:
    """Memory for people, e.g. ``4.5 GB``."""
    return f"{size / _GB:.0f} GB" if size >= 10 * _GB else f"{size / _GB:.1f} GB"


def _changes(tried: Sequence[Runs], code: str) -> Iterator[Way]:
    """What an engine can do itself, first that which gives the same as planned, or nearly so.

    All of them change one thing of the plan, but what has gone to the CPU stays there.
    """
    planned, failed = tried[0].asked, tried[-1].asked
    begin, modality = dataclasses.replace(planned, device=failed.device), tried[0].modality
    where = " on the CPU" if begin != planned else ""
    changes: list[tuple[Remedy, str, dict[str, Any]]] = []
    for lighter in _lighter(tried[0]):
        remedy = Remedy(CHANGE_OPTIONS, lighter.text, lighter.options)
        options = {**planned.options, **lighter.options}
        changes.append((remedy, f"{lighter.text}{where}", {"options": options}))
    if _is_of_gpu(code):
        changes.append((Remedy(RETRY_ON_CPU), "on the CPU", {"device": "cpu"}))
    for speed in SPEEDS[SPEEDS.index(failed.speed or SPEEDS[0]) + 1 :]:
        remedy = Remedy(USE_FASTER_SPEED, speed)
        changes.append((remedy, f"at the speed {speed}{where}", {"speed": speed}))
    for remedy, text, change in changes:
        try:
            runs = complete(dataclasses.replace(begin, **change), modality)
        except InputError:  # an engine or a task does not offer it
            continue
        yield Way(remedy, text, runs)


def _lighter(runs: Runs) -> Iterator[Lighter]:
    for name in dict.fromkeys(one.engine for one in runs.requests):
        yield from engines.spec(name).lighter


def _regions(runs: Runs, shape: Shape) -> Iterator[tuple[Way, Shape]]:
    """Parts of the image, with their shapes; which part only a person knows."""
    if not runs.asked.region:
        for share, name in _REGIONS.items():
            text = f"in a region {name} as long along each axis"
            yield Way(Remedy(CHOOSE_REGION), text, runs), tuple(math.ceil(n / share) for n in shape)
