"""What is to be done for every series: which tasks, which files, and what was done before."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath

from .. import catalog
from ..dicom.orders import MEASUREMENTS, SEGMENTATION, STRUCTURE_SET
from ..dicom.volumes import DicomVolume, Found, Series, TooFewImages
from ..errors import InputError, SegmentationError
from ..jobs import Request
from ..runs import WHOLE_BODY, Runs, complete
from .configuration import Configuration
from .queries import Item
from .record import REPORT, Record, ResultRecord
from .staging import FOLDER
from .targets import Target, read_target, safe_name

#: Names the result of several tasks that were chosen by structures.
STRUCTURES = "structures"
_MODEL = "TotalSegmentator"
_NAMES = {
    SEGMENTATION: f"{_MODEL}.seg.dcm",
    STRUCTURE_SET: f"{_MODEL}.rtstruct.dcm",
    MEASUREMENTS: f"{_MODEL}.sr.dcm",
}
# What most studies hold besides images that there are tasks for: that is no failure.
_IGNORED = ("input.modality", "input.localizer", "input.not_chosen")
# What is wrong with the configuration is told before anything is run.
_OF_CONFIGURATION = ("input.bad_config", "output.twice")

# Whose a file is: UID of the series, task, number of the volume.
_Owner = tuple[str, str, int]


@dataclass(frozen=True)
class Choice:
    """What of a folder is meant, and how strictly.

    :param series: UIDs; empty for all series.
    :param volume: its number in each series, or None for all volumes.
    :param any_modality: run tasks on images of any modality.
    :param overwrite: do again what was done, and replace files that others have made.
    """

    series: frozenset[str] = frozenset()
    volume: int | None = None
    any_modality: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Wanted:
    """The result of a task for a volume.

    :param task: its id, or :data:`STRUCTURES`.
    :param runs: what is run for it.
    :param part: its number among the results of its series, from 0.
    :param files: kind -> place below the output folder.
    :param fingerprint: of the images and of all that is asked for.
    :param done: whether an earlier run has made it, and all of it is there.
    :param error: why it cannot be made.
    """

    volume: DicomVolume
    task: str
    runs: Runs
    part: int
    files: Mapping[str, PurePosixPath]
    fingerprint: str
    done: bool = False
    error: SegmentationError | None = None


@dataclass(frozen=True)
class SeriesPlan:
    """What is to be done for a series.

    :param modality: of its images, as the configuration says or their header.
    :param error: why there is nothing to do; None if there is something.
    :param lost: why images beside the volumes cannot be segmented, though they should be.
    """

    series: Series
    modality: str
    results: tuple[Wanted, ...] = ()
    error: SegmentationError | None = None
    lost: tuple[SegmentationError, ...] = ()

    @property
    def ignored(self) -> bool:
        """Whether it is no failure that there is nothing to do."""
        return self.error is not None and _is_ignored(self.error)

    @property
    def title(self) -> str:
        """The series for people, e.g. ``CT series 4``."""
        number = self.series.info.number
        return f"{self.modality or 'Unknown'} series" + ("" if number is None else f" {number}")


def make_plans(
    found: Found,
    configuration: Configuration,
    record: Record,
    output: Path,
    choice: Choice = Choice(),
) -> tuple[SeriesPlan, ...]:
    """The plans of the series that are meant.

    :param record: of the output folder.
    :raises InputError: ``input.unknown_series``, ``input.no_volume``, ``input.bad_config``;
        ``output.twice`` if two series have one UID, or their files would have one name; and what
        :func:`~..runs.complete` says, where it is so for all series.
    """
    planner = _Planner(configuration, record, output, choice)
    plans = [planner.plan(series) for series in _chosen(found, choice)]
    if choice.volume is None:
        return tuple(plans)
    if not any(plan.results for plan in plans):
        raise InputError(
            "input.no_volume",
            f"No series has a volume {choice.volume} that can be segmented.",
            "See with --dry-run which there are.",
        )
    return tuple(plan for plan in plans if plan.results or plan.error)


def no_series(found: Found, plans: Sequence[SeriesPlan]) -> InputError:
    """The error for a folder in which nothing can be segmented."""
    series = Counter(plan.modality or "of unknown modality" for plan in plans)
    others = {kind or "not DICOM": count for kind, count in found.others.items()}
    parts = [
        f"{what}: {', '.join(f'{count} {kind}' for kind, count in counts.items())}"
        for what, counts in (("series", series), ("other files", others))
        if counts
    ]
    there = f" ({'; '.join(parts)})" if parts else ""
    return InputError(
        "input.no_series",
        f"No series was found that can be segmented{there}.",
        "Give a folder with CT or MR series.",
    )


def attribute_of(path: Path, keyword: str) -> str:
    """See :func:`~..dicom.headers.attribute`."""
    from ..dicom.headers import attribute  # here, as pydicom takes its time

    return attribute(path, keyword)


def _chosen(found: Found, choice: Choice) -> list[Series]:
    chosen = [one for one in found.series if not choice.series or one.info.uid in choice.series]
    if len(chosen) < len(choice.series):
        raise InputError(
            "input.unknown_series",
            "The folder has no series with a UID that was given.",
            "See with --dry-run --json which there are.",
        )
    usable = [one.info.uid for one in chosen if one.volumes]
    if len(set(usable)) < len(usable):
        raise InputError(
            "output.twice",
            "Two series have the same SeriesInstanceUID, so their results would have one name.",
            "Put one of them into a folder of its own, and use another output folder for it.",
        )
    return chosen


@dataclass
class _Planner:
    """Plans series after series: none may take a name that another one has."""

    configuration: Configuration
    record: Record
    output: Path
    choice: Choice
    targets: list[Target] = field(default_factory=list)
    owners: dict[str, _Owner] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for task in self.configuration.tasks or ("",):
            complete(self._request(task, ""))
        self.targets = [read_target(text, self.output) for text in self.configuration.targets]
        for uid, result in self.record.results():
            for name in result.files:
                self.owners[_key(PurePosixPath(name))] = (uid, result.task, result.volume)

    def plan(self, series: Series) -> SeriesPlan:
        modality = series.info.modality
        try:
            if not series.volumes:
                raise min(series.refusals, key=_is_ignored)
            item = self._item(series)
            modality = item.meta["mod"].upper()
            if self.configuration.inputs and not self.configuration.inputs.takes(item):
                raise InputError("input.not_chosen", "The configuration leaves the series out.")
            requests = self._requests(modality)
            results = tuple(self._results(series, item, modality, requests))
        except SegmentationError as error:
            if error.code in _OF_CONFIGURATION:
                raise
            return SeriesPlan(series, modality, error=error)
        if self.choice.volume is not None:
            results = tuple(one for one in results if one.volume.number == self.choice.volume)
            return SeriesPlan(series, modality, results)
        lost = tuple(one for one in series.refusals if not _is_ignored(one))
        return SeriesPlan(series, modality, results, lost=lost)

    def _item(self, series: Series) -> Item:
        header = series.volumes[0].slices[0].path

        def value(text: str) -> str:
            return attribute_of(header, text[1:]) if text.startswith("%") else text

        meta = {name: value(text) for name, text in self.configuration.meta.items()}
        return Item("dicom", {**meta, "mod": meta.get("mod") or series.info.modality})

    def _requests(self, modality: str) -> list[Request]:
        """What is asked of images of a modality.

        :raises InputError: ``input.modality`` if no task is for it, ``input.wrong_modality`` if
            none of those that were named is.
        """
        anyway, tasks = self.choice.any_modality, self.configuration.tasks
        if modality not in WHOLE_BODY and not anyway:
            raise InputError(
                "input.modality",
                f"No task is for images of the modality {modality or 'unknown'}.",
                "To try one all the same, use --any-modality.",
            )
        fitting = [task for task in tasks if anyway or catalog.task(task).modality == modality]
        if tasks and not fitting:
            raise _wrong_modality(tasks[0], modality)
        return [self._request(task, modality) for task in fitting or ("",)]

    def _request(self, task: str, modality: str) -> Request:
        known = modality if modality in WHOLE_BODY else ""
        return replace(self.configuration.request, task=task, modality=known)

    def _results(
        self, series: Series, item: Item, modality: str, requests: Sequence[Request]
    ) -> Iterator[Wanted]:
        uid = series.info.uid
        known = self.record.series.get(uid)
        earlier = {(one.task, one.volume): one for one in known.results} if known else {}
        parts = {one.part for one in earlier.values()}
        for volume in series.volumes:  # all, so that each keeps its names whichever is chosen
            for request in requests:
                runs = complete(request, modality)
                task = runs.requests[0].task if len(runs.requests) == 1 else STRUCTURES
                before = earlier.get((task, volume.number))
                part = before.part if before else min(set(range(len(parts) + 1)) - parts)
                parts.add(part)
                asked = [one.to_dict() for one in runs.requests]
                wanted = Wanted(
                    volume,
                    task,
                    runs,
                    part,
                    self._files(item, volume, (uid, task, volume.number)),
                    self._fingerprint(volume, asked),
                )
                yield self._compared(wanted, before)

    def _files(self, series: Item, volume: DicomVolume, owner: _Owner) -> dict[str, PurePosixPath]:
        uid, task, number = owner
        meta = {**series.meta, "mod": "seg", "model": _MODEL, "task": task, "volume": str(number)}
        header = volume.slices[0].path

        def value(name: str) -> str:
            return uid if name in ("sid", "SeriesInstanceUID") else attribute_of(header, name)

        files = {}
        for kind in self.configuration.kinds:
            item = Item(kind, meta, _NAMES[kind])
            target = next((one for one in self.targets if one.query.takes(item)), None)
            if target is None:
                raise InputError(
                    "input.bad_config",
                    f"No target of the configuration takes the {kind} of the task '{task}'.",
                    f"Add one, e.g. {kind}:mod=seg-->[i:sid]/{_NAMES[kind]}.",
                )
            files[kind] = self._owned(target.place(item, value), owner)
        return files

    def _owned(self, place: PurePosixPath, owner: _Owner) -> PurePosixPath:
        """A name for this owner alone: another result of the series may have the plain one."""
        if place.parts[0].casefold() in (REPORT, FOLDER):
            raise InputError(
                "input.bad_config",
                f"A target has the name {place.parts[0]}, which has another use here.",
                "Name it otherwise.",
            )
        _, task, number = owner
        stem, dot, suffixes = place.name.partition(".")
        numbered = place.with_name(f"{stem}_{safe_name(task)}_{number}{dot}{suffixes}")
        for name in (place, numbered):
            found = self.owners.setdefault(_key(name), owner)
            if found == owner:
                return name
            if found[0] != owner[0]:
                break
        raise InputError(
            "output.twice",
            f"Two results would have the same name, {place.name}, in the same folder.",
            "Use [i:sid] in the targets, which is different for each series.",
        )

    def _fingerprint(self, volume: DicomVolume, asked: object) -> str:
        images = sorted((one.sop_instance, one.frame) for one in volume.slices)
        options = self.configuration.options
        how = [asdict(options), self.configuration.targets]
        return hashlib.sha256(json.dumps([images, asked, how]).encode()).hexdigest()

    def _compared(self, wanted: Wanted, before: ResultRecord | None) -> Wanted:
        """The same, with what it means that there are files already."""
        if self.choice.overwrite:
            return wanted
        own = before.files if before else ()
        if before and before.is_there(self.output):
            if before.fingerprint == wanted.fingerprint:
                return replace(wanted, done=True)
            if own:
                return replace(wanted, error=_exists(PurePosixPath(own[0])))
        for place in wanted.files.values():
            if str(place) not in own and (self.output / place).exists():
                return replace(wanted, error=_exists(place))
        return wanted


def _is_ignored(error: SegmentationError) -> bool:
    return error.code in _IGNORED or isinstance(error, TooFewImages)


def _exists(place: PurePosixPath) -> InputError:
    return InputError(
        "output.exists",
        f"{place.name} is there, and is not the result of what is asked for now.",
        "Use --overwrite or another output folder.",
    )


def _key(place: PurePosixPath) -> str:
    """A name by which files are the same also where systems do not tell cases apart."""
    return str(place).casefold()


def _wrong_modality(task: str, modality: str) -> InputError:
    other = f"{task}_mr" if modality == "MR" else task.removesuffix("_mr")
    known = [one.id for one in catalog.tasks() if one.modality == modality]
    fitting = other if other in known else WHOLE_BODY[modality]
    return InputError(
        "input.wrong_modality",
        f"The task '{task}' is for {catalog.task(task).modality}, and the images are {modality}.",
        f"Use the task {fitting}, or --any-modality.",
    )
