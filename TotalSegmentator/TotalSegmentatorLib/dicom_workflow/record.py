"""The record of an output folder, ``report.json``: what became of every series."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from .. import __version__
from ..errors import InputError

REPORT = "report.json"
SCHEMA = 1
#: How a series ended. Those that are no images, or of a modality that no task is for, are ignored;
#: ``running`` is left by a run that was killed.
RUNNING, DONE, SKIPPED, FAILED, IGNORED = "running", "done", "skipped", "failed", "ignored"


@dataclass(frozen=True)
class ResultRecord:
    """The result of a task for a volume of a series.

    :param task: its name in names of files, see :attr:`.planning.Wanted.task`.
    :param volume: number of the volume in its series, from 1.
    :param part: number of the result among those of its series, from 0.
    :param fingerprint: of the images and of all that was asked for.
    :param files: what was written, below the output folder.
    :param found, absent: ids of the structures that were found and not found.
    :param seconds: time taken.
    :param warnings: what people should know, each with ``code`` and ``message``.
    """

    task: str
    volume: int
    part: int
    fingerprint: str
    files: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    seconds: float = 0.0
    warnings: tuple[Mapping[str, str], ...] = ()

    def is_there(self, output: Path) -> bool:
        """Whether all its files are in the output folder."""
        return all((output / name).is_file() for name in self.files)


@dataclass(frozen=True)
class SeriesRecord:
    """What became of a series.

    :param uid: SeriesInstanceUID.
    :param state: :data:`DONE` and so on.
    :param code: error code, if it failed or was ignored.
    :param message: the error in one line.
    :param warnings: about the series, each with ``code`` and ``message``.
    """

    uid: str
    state: str
    code: str = ""
    message: str = ""
    modality: str = ""
    number: int | None = None
    results: tuple[ResultRecord, ...] = ()
    warnings: tuple[Mapping[str, str], ...] = ()

    @property
    def files(self) -> list[str]:
        """What was written for it, below the output folder."""
        return [name for result in self.results for name in result.files]


@dataclass
class Record:
    """What became of the series of an output folder, in this run and in those before.

    Its JSON form::

        {"schema": 1, "made_by": "slicer-totalsegmentator 3.0.0",
         "other_files": {"SEG": 2, "no DICOM": 1},       number of files without images, by modality
         "series": [{"uid": "1.2.3", "state": "done", "code": "", "message": "",
                     "modality": "CT", "number": 4, "files": ["1.2.3/TotalSegmentator.seg.dcm"],
                     "results": [{"task": "total", "volume": 1, "part": 0, "fingerprint": "0f...",
                                  "files": [...], "found": ["liver", ...], "absent": [...],
                                  "seconds": 61.2, "warnings": [{"code": ..., "message": ...}]}],
                     "warnings": []}]}

    It holds nothing of the patient but the UIDs of the series.
    """

    series: dict[str, SeriesRecord] = field(default_factory=dict)
    other_files: Mapping[str, int] = field(default_factory=dict)

    def results(self) -> Iterator[tuple[str, ResultRecord]]:
        """All results, each with the UID of its series."""
        for uid, series in self.series.items():
            yield from ((uid, result) for result in series.results)

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values."""
        others = {modality or "no DICOM": count for modality, count in self.other_files.items()}
        return {
            "schema": SCHEMA,
            "made_by": f"slicer-totalsegmentator {__version__}",
            "other_files": others,
            "series": [{**asdict(one), "files": one.files} for one in self.series.values()],
        }


def load_record(output: Path) -> Record:
    """The record of an output folder; an empty one if there is none.

    :raises InputError: ``output.exists`` if there is a ``report.json`` of another kind.
    """
    try:
        values = json.loads((output / REPORT).read_text("utf-8"))
        if values["schema"] != SCHEMA:
            raise ValueError("another version")
        return Record({one["uid"]: _series_from(one) for one in values["series"]})
    except FileNotFoundError:
        return Record()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            "output.exists",
            f"The output folder has a {REPORT} that is none of this command.",
            "Choose another output folder, or remove the file.",
            str(error),
        ) from error


def _series_from(values: Mapping[str, Any]) -> SeriesRecord:
    fields = {name: value for name, value in values.items() if name != "files"}
    results = tuple(map(_result_from, fields.pop("results")))
    return replace(SeriesRecord(**fields), results=results, warnings=tuple(values["warnings"]))


def _result_from(values: Mapping[str, Any]) -> ResultRecord:
    lists = ("files", "found", "absent", "warnings")
    result = ResultRecord(**{**values, **{name: tuple(values[name]) for name in lists}})
    if not all(map(_is_below, result.files)):  # they may be replaced
        raise ValueError("a file outside of the output folder")
    return result


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return (
        bool(path.parts)
        and not path.is_absolute()
        and ".." not in path.parts
        and (not any(c in name for c in ":\\"))
    )
