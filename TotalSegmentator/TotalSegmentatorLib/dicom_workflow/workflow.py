"""Carrying out plans: each series on its own, with a record that is whole at any time."""

from __future__ import annotations

import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath

from ..dicom.orders import DicomOptions
from ..dicom.reading import read_volume
from ..dicom.volumes import DicomVolume
from ..dicom_results import write_dicom
from ..environment import json_files
from ..errors import EXIT_PARTIAL, CancelledError, EngineError, SegmentationError
from ..images import Image, Notice
from ..images.whole_file import write_error
from ..jobs import JobContext, Stage
from ..jobs.job import EventHandler
from ..jobs.shortage import MAIN, shortage_error
from ..outputs import write_json
from ..segment import segment
from ..session import Settings
from .planning import SeriesPlan, Wanted
from .record import (
    DONE,
    FAILED,
    IGNORED,
    REPORT,
    RUNNING,
    SKIPPED,
    Record,
    ResultRecord,
    SeriesRecord,
)
from .staging import check_place, publish

#: Shows what is done under a title while it goes on; gives a receiver of its events.
Watch = Callable[[str], AbstractContextManager[EventHandler]]
# Jobs say so of exceptions that nobody expected, with their words.
_INTERNAL = "engine.internal"
_Read = Callable[[DicomVolume], tuple[Image, tuple[Notice, ...]]]


@dataclass(frozen=True)
class Outcome:
    """How a series ended.

    :param title: the series for people.
    :param series: what the record says of it.
    :param errors: what went wrong, the first first.
    :param there: how many of the results that were asked for are there.
    """

    title: str
    series: SeriesRecord
    errors: tuple[SegmentationError, ...] = ()
    there: int = 0


def _read_once() -> _Read:
    """Reads volumes, and keeps the last one: the tasks for a volume follow one another."""
    kept: dict[DicomVolume, tuple[Image, tuple[Notice, ...]]] = {}

    def read(volume: DicomVolume) -> tuple[Image, tuple[Notice, ...]]:
        if volume not in kept:
            kept.clear()  # first, as there may be no memory for two
            kept[volume] = read_volume(volume)
        return kept[volume]

    return read


@dataclass(frozen=True)
class Destination:
    """Where results go; several threads may use it.

    :param output: the output folder.
    :param folder: the run's own folder in it, see :func:`.staging.alone_in`.
    :param record: of the output folder; it is told of every series.
    """

    output: Path
    folder: Path
    record: Record
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, series: SeriesRecord) -> None:
        """Put what became of a series into the record, and that into its file.

        :raises SegmentationError: if the output folder cannot be written to.
        """
        part, path = self.folder / REPORT, self.output / REPORT
        with self._lock:
            self.record.series[series.uid] = series
            write_json(self.record.to_dict(), part)
            try:
                json_files.replace(part, path)
            except OSError as error:
                raise write_error(path, error) from error


@dataclass(frozen=True)
class Workflow:
    """What results are made with.

    :param destination: where they go.
    :param options: what is written.
    :param settings: for the runs; None if none is wanted.
    :param watch: shows each run.
    :param context: says when to stop.
    """

    destination: Destination
    options: DicomOptions
    settings: Settings | None
    watch: Watch
    context: JobContext

    def run(self, plan: SeriesPlan) -> Outcome:
        """Carry out a plan; what fails is told by the outcome.

        :raises CancelledError: if the run was cancelled.
        :raises SegmentationError: if the output folder cannot be written to.
        """
        outcome = self._series(plan)
        self.destination.note(outcome.series)
        return outcome

    def _series(self, plan: SeriesPlan) -> Outcome:
        info = plan.series.info
        known = self.destination.record.series.get(info.uid)
        series = SeriesRecord(
            info.uid,
            FAILED,
            modality=plan.modality,
            number=info.number,
            results=known.results if known else (),
        )
        if plan.error:
            errors = () if plan.ignored else (plan.error,)
            state = IGNORED if plan.ignored else FAILED
            return Outcome(plan.title, _with_error(series, state, plan.error), errors)
        refused = [{"code": one.code, "message": str(one)} for one in plan.series.refusals]
        made, problems = self._make(plan, series)
        problems = [*plan.lost, *problems]
        results = tuple(
            one for one in _joined(series, made) if one.is_there(self.destination.output)
        )
        state = DONE if made else SKIPPED
        series = replace(series, state=state, results=results, warnings=tuple(refused))
        if problems:
            series = _with_error(series, FAILED, problems[0])
        there = sum(one.done for one in plan.results) + sum(one in results for one in made)
        return Outcome(plan.title, series, tuple(problems), there)

    def _make(
        self, plan: SeriesPlan, series: SeriesRecord
    ) -> tuple[list[ResultRecord], list[SegmentationError]]:
        """Make what is wanted and not there, and put it into the output folder."""
        made: list[ResultRecord] = []
        problems: list[SegmentationError] = []
        read = _read_once()
        with self._temporary_folder() as folder:
            for wanted in plan.results:
                if wanted.done:
                    continue
                try:
                    with self.watch(_title(plan, wanted)) as on_event:
                        made.append(self._result(wanted, Path(folder), read, on_event))
                except CancelledError:
                    raise
                except Exception as error:  # whatever it is, other series have no part in it
                    problems.append(_for_people(error))
            try:
                self._remove_older(series, made)
            except SegmentationError as error:  # what is in the place of the new files is older
                return [], [*problems, error]
            try:
                self._publish(series, made, Path(folder))
            except SegmentationError as error:
                problems.append(error)
        return made, problems

    def _temporary_folder(self) -> tempfile.TemporaryDirectory[str]:
        try:
            here = self.destination.folder
            return tempfile.TemporaryDirectory(dir=here, ignore_cleanup_errors=True)
        except OSError as error:
            raise write_error(self.destination.output, error) from error

    def _result(
        self, wanted: Wanted, folder: Path, read: _Read, on_event: EventHandler
    ) -> ResultRecord:
        if wanted.error:
            raise wanted.error
        assert self.settings
        began, stop = time.monotonic(), self.context.cancelled
        on_event(Stage("Reading the images"))
        image, notices = read(wanted.volume)
        self.context.check()
        job = segment(image, wanted.runs.asked, self.settings, notices, on_event)
        result = job.wait(stop=stop)
        written = write_dicom(
            result.layers,
            wanted.volume,
            result.report,
            self.options,
            self.settings,
            folder,
            {kind: str(place) for kind, place in wanted.files.items()},
            wanted.part,
            on_event,
        ).wait(stop=stop)
        structures = result.report["structures"]
        notes = [*result.report["warnings"], *map(asdict, written.notices)]
        return ResultRecord(
            wanted.task,
            wanted.volume.number,
            wanted.part,
            wanted.fingerprint,
            tuple(str(place) for kind, place in wanted.files.items() if kind in written.files),
            tuple(one["id"] for one in structures if one["found"]),
            tuple(one["id"] for one in structures if not one["found"]),
            round(time.monotonic() - began, 1),
            tuple(note for n, note in enumerate(notes) if note not in notes[:n]),
        )

    def _remove_older(self, series: SeriesRecord, made: Sequence[ResultRecord]) -> None:
        """Remove what is in the place of new files.

        It goes before they come: whenever it is interrupted, each file that is there is the one
        that the record tells of.
        """
        output = self.destination.output
        keys = {(one.task, one.volume) for one in made}
        older = [one for one in series.results if (one.task, one.volume) in keys]
        names = {name for one in (*older, *made) for name in one.files}
        for name in names:
            check_place(output, PurePosixPath(name))
        for name in names:
            try:
                (output / name).unlink(missing_ok=True)
            except OSError as error:
                raise write_error(output / name, error) from error

    def _publish(self, series: SeriesRecord, made: Sequence[ResultRecord], folder: Path) -> None:
        """Put new files into the output folder."""
        if made:
            running = replace(series, state=RUNNING, results=_joined(series, made))
            self.destination.note(running)
            publish(folder, self.destination.output)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 if nothing failed, else that something did, or the first error's if all failed."""
    errors = [error for outcome in outcomes for error in outcome.errors]
    if not errors:
        return 0
    return EXIT_PARTIAL if any(one.there for one in outcomes) else errors[0].exit_code


def _title(plan: SeriesPlan, wanted: Wanted) -> str:
    several = len({one.volume.number for one in plan.results}) > 1
    volume = f", volume {wanted.volume.number}" if several else ""
    return f"{plan.title}{volume}, {wanted.task}"


def _joined(series: SeriesRecord, made: Sequence[ResultRecord]) -> tuple[ResultRecord, ...]:
    """The results of a series, new ones in the place of those for the same task and volume."""
    return tuple({(one.task, one.volume): one for one in (*series.results, *made)}.values())


def _with_error(series: SeriesRecord, state: str, error: SegmentationError) -> SeriesRecord:
    return replace(series, state=state, code=error.code, message=str(error))


def _for_people(error: Exception) -> SegmentationError:
    """An error without the words of a library, which may be a patient's."""
    if isinstance(error, SegmentationError):
        if error.code != _INTERNAL:
            return error
        details = error.details
    else:
        details = "".join(traceback.format_exception(error))
    if isinstance(error, MemoryError):
        return shortage_error(MAIN, details=details)
    return EngineError(
        _INTERNAL, "An internal error occurred.", "Please report it with the log.", details
    )
