"""Series that are in no file, and an engine that finds the same in all images: for tests of the
workflow around them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from TotalSegmentatorLib.dicom.orders import Written
from TotalSegmentatorLib.dicom.volumes import DicomVolume, Found, Series, SeriesInfo, Slice
from TotalSegmentatorLib.dicom_workflow import planning, workflow
from TotalSegmentatorLib.dicom_workflow.configuration import (
    DEFAULT,
    Configuration,
    read_configuration,
)
from TotalSegmentatorLib.dicom_workflow.planning import Choice, make_plans
from TotalSegmentatorLib.dicom_workflow.record import Record, load_record
from TotalSegmentatorLib.dicom_workflow.staging import alone_in
from TotalSegmentatorLib.dicom_workflow.workflow import Destination, Outcome, Workflow
from TotalSegmentatorLib.errors import SegmentationError
from TotalSegmentatorLib.images import Image, Notice
from TotalSegmentatorLib.jobs import JobContext, Request
from TotalSegmentatorLib.runs import complete

HEADER = {"PatientID": "../../P 1", "StudyDate": "20200102"}
"""What the headers of the series say, besides their modality."""


def made_series(
    number: int = 1,
    modality: str = "CT",
    volumes: int = 1,
    refusals: Sequence[SegmentationError] = (),
    slices: int = 4,
) -> Series:
    """A series of volumes with as many slices each; its UID is ``1.2.NUMBER``."""
    info = SeriesInfo(f"1.2.{number}", "1.2", "1.2.9", modality, number)
    made = tuple(_volume(info, n + 1, slices) for n in range(volumes))
    return Series(info, made, tuple(refusals))


def _volume(info: SeriesInfo, number: int, count: int) -> DicomVolume:
    path = Path(f"{info.uid}-{info.modality}.dcm")
    slices = [
        Slice(path, 0, 1, "1.2.840", f"{info.uid}.{number}.{k}", 4, 4, (0, 0, k), (), (1, 1))
        for k in range(count)
    ]
    return DicomVolume(info, number, "", tuple(slices), np.eye(4), (count, 4, 4), (0, 1, 2, 3))


def attribute(path: Path, keyword: str) -> str:
    """What the header of a made series says."""
    return {"Modality": path.stem.split("-")[1], **HEADER}.get(keyword, "")


def configured(changes: Mapping[str, object] | None = None, writers=()) -> Configuration:
    """Our default configuration with changes."""
    return read_configuration(DEFAULT.read_text("utf-8"), changes, writers)


@dataclass
class StandIn:
    """Takes the place of reader, engine and writer.

    :ivar ran: (series, volume, task) of every run.
    :ivar fail: the same -> what goes wrong.
    :ivar found: whether there is anything to write.
    :ivar before: called before files are written.
    """

    output: Path
    ran: list[tuple[str, int, str]] = field(default_factory=list)
    fail: dict[tuple[str, int, str], BaseException] = field(default_factory=dict)
    found: bool = True
    before: Callable[[], object] = lambda: None
    _here: threading.local = field(default_factory=threading.local)

    def use(self, patch) -> StandIn:
        patch.setattr(planning, "attribute_of", attribute)
        patch.setattr(workflow, "read_volume", self.read_volume)
        patch.setattr(workflow, "segment", self.segment)
        patch.setattr(workflow, "write_dicom", self.write_dicom)
        return self

    def read_volume(self, volume: DicomVolume) -> tuple[Image, tuple[Notice, ...]]:
        self._here.volume = volume
        return Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), (Notice("input.coarse", "Coarse."),)

    def segment(self, image, request: Request, settings, notices, on_event):
        task = complete(request).requests[0].task
        run = (self._here.volume.series.uid, self._here.volume.number, task)
        self.ran.append(run)
        if run in self.fail:
            raise self.fail[run]
        structures = [{"id": "liver", "found": True}, {"id": "spleen", "found": False}]
        warnings = [{"code": one.code, "message": one.message} for one in notices]
        report = {"structures": structures, "warnings": warnings, "task": task}
        return _job(SimpleNamespace(layers=(), report=report))

    def write_dicom(self, layers, volume, report, options, settings, folder, names, part, on_event):
        self.before()
        written = {}
        for kind, name in names.items() if self.found else ():
            written[kind] = folder / name
            written[kind].parent.mkdir(parents=True, exist_ok=True)
            written[kind].write_text(content(volume, report["task"], kind))
        notices = () if self.found else (Notice("dicom.nothing_found", "Nothing was found."),)
        return _job(Written(written, notices))

    def run(
        self,
        *series: Series,
        configuration: Configuration | None = None,
        **choice: object,
    ) -> list[Outcome]:
        """Plan and carry out, as the command does."""
        configuration = configuration or configured()
        with alone_in(self.output) as folder:
            record = load_record(self.output)
            plans = self.plan(*series, configuration=configuration, record=record, **choice)
            destination, context = Destination(self.output, folder, record), JobContext(_ignore)
            options, settings = configuration.options, SimpleNamespace()
            made = Workflow(destination, options, settings, _unseen, context)
            return [made.run(plan) for plan in plans]

    def plan(
        self,
        *series: Series,
        configuration: Configuration | None = None,
        record: Record | None = None,
        **choice: object,
    ):
        found, record = Found(series, {}), record or load_record(self.output)
        choice = Choice(**choice)
        return make_plans(found, configuration or configured(), record, self.output, choice)

    def files(self) -> dict[str, str]:
        """Names and contents of the DICOM files in the output folder."""
        paths = [path for path in self.output.rglob("*.dcm") if path.is_file()]
        return {path.relative_to(self.output).as_posix(): path.read_text() for path in paths}


def content(volume: DicomVolume, task: str, kind: str) -> str:
    """What the stand-in writes."""
    return (
        f"{kind} of {task} of volume {volume.number} of {volume.series.uid}, {len(volume.slices)}"
    )


def _job(result: object) -> SimpleNamespace:
    return SimpleNamespace(wait=lambda stop: result)


def _ignore(event: object) -> None:
    pass


@contextmanager
def _unseen(title: str) -> Iterator:
    yield _ignore
