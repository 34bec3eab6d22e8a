"""Past runs on this computer: how long they took, for better estimates of the next ones.

Nothing about patients is kept: neither names, paths, checksums nor the time of day.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import engines
from .engines.contract import COMPARE, DOWNLOAD, timing_key
from .environment import user_data_folder
from .images import Image, crop, voxel_box, whole_file
from .jobs import Request
from .jobs.workspace import try_lock
from .work import Work, work_of

FILE = "runs.jsonl"
#: So many runs are kept, the latest ones.
KEPT = 500
#: How networks compute: as the official package's do, whoever runs them, or compiled.
EXACT, COMPILED = "exact", "compiled"
_SCHEMA = 2
_WAIT_S = 1.0
# No run is as long or as large; greater numbers come of a damaged file.
_LARGEST = 1e18

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PastRun:
    """One run that came to its end.

    :param engine: name of the engine that ran it.
    :param mode: :data:`EXACT` or :data:`COMPILED`.
    :param task: its task.
    :param speed: its speed.
    :param part: whether only some structures were asked for.
    :param device: ``cpu``, ``gpu`` or ``mps``.
    :param device_title: name of the GPU; empty for the processor.
    :param threads: threads of the processor that were asked for; 0: as many as the engine takes.
    :param work: what was computed.
    :param seconds: all that people waited for, but for downloads and what is done only once.
    """

    engine: str
    mode: str
    task: str
    speed: str
    part: bool
    device: str
    device_title: str
    threads: int
    work: Work
    seconds: float


def record(
    report: Mapping[str, Any],
    image: Image,
    weights_folder: Path | None = None,
    folder: Path | None = None,
) -> None:
    """Keep how long a finished segmentation took.

    It never fails: a finished result must not be lost for the sake of better estimates.

    :param report: that of the segmentation.
    :param image: what was segmented.
    :param weights_folder: where the models lie, see :func:`~.work.work_of`.
    :param folder: where runs are kept; the user's data by default.
    """
    try:
        past = _past_runs(report, image, weights_folder)
        if past:
            _append(past, folder or user_data_folder())
    except Exception:  # whatever it is, nobody waits for it
        _log.debug("The run could not be noted.", exc_info=True)


def _past_runs(
    report: Mapping[str, Any], image: Image, weights_folder: Path | None
) -> list[PastRun]:
    timings = [run["timings_s"] for run in report["runs"]]
    stages = [text for spec in engines.specs().values() for text, _ in spec.stages]
    # Engines may note how long parts of a stage took, too.
    keys = {timing_key(text) for text in (DOWNLOAD, *stages)}
    steps = [sum(one[key] for key in keys & one.keys()) for one in timings]
    once = [sum(one.get(timing_key(text), 0.0) for text in (DOWNLOAD, COMPARE)) for one in timings]
    # Starting the engine and measuring the structures is done for all runs together.
    shared = max(0.0, report["timings_s"]["total"] - sum(steps)) / len(steps)
    return [
        _past_run(run, image, round(seconds - first + shared, 3), weights_folder)
        for run, seconds, first in zip(report["runs"], steps, once, strict=True)
        if run["provenance"].get("device") and not _is_left_out(run["request"]["options"])
    ]


def _is_left_out(options: Mapping[str, Any]) -> bool:
    """What cropping to the body saves is not estimated: such a run says nothing about others."""
    return any(options.get(name) for name in engines.BODY_OPTIONS)


def _past_run(
    run: Mapping[str, Any], image: Image, seconds: float, weights_folder: Path | None
) -> PastRun:
    request, provenance = Request.from_dict(run["request"]), run["provenance"]
    image = crop(image, voxel_box(image, request.region))
    device, _, title = str(provenance["device"]).partition(" (")
    kind = device.partition(":")[0]
    return PastRun(
        engine=provenance["engine"],  # which may not be the one that was asked
        mode=COMPILED if provenance.get("mode") == COMPILED else EXACT,
        task=request.task,
        speed=request.speed,
        part=bool(request.structures),
        device="gpu" if kind == "cuda" else kind,
        device_title=title.removesuffix(")"),
        threads=int(request.options.get("threads", 0)),
        work=work_of(image.shape_ijk, image.spacing, request, weights_folder),
        seconds=seconds,
    )


def load(folder: Path | None = None) -> tuple[PastRun, ...]:
    """The runs that were kept, the oldest first; a line that cannot be read is left out.

    :param folder: where runs are kept; the user's data by default.
    """
    try:
        lines = _lines((folder or user_data_folder()) / FILE)
    except RuntimeError:  # there is no home folder
        return ()
    return tuple(run for run in map(_run_from, lines) if run)[-KEPT:]


def _run_from(line: str) -> PastRun | None:
    try:
        values = json.loads(line)
        if values.pop("schema") != _SCHEMA:
            return None
        run = PastRun(**{**values, "work": Work(**values["work"])})
        numbers = (*asdict(run.work).values(), run.seconds, 1 + run.threads)
        return run if all(0 < number < _LARGEST for number in numbers) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _append(runs: Sequence[PastRun], folder: Path) -> None:
    new = [json.dumps({"schema": _SCHEMA, **asdict(run)}) for run in runs]
    path = folder / FILE
    with _alone(path), whole_file(path) as part:
        kept = [*_lines(path), *new][-KEPT:]
        part.write_text("\n".join(kept) + "\n", "utf-8")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let only one process write at a time.

    :raises TimeoutError: if another one has not finished in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    give_up_at = time.monotonic() + _WAIT_S
    with open(path.with_suffix(".lock"), "w+b") as file:
        while not try_lock(file):
            if time.monotonic() > give_up_at:
                raise TimeoutError
            time.sleep(0.01)
        yield
