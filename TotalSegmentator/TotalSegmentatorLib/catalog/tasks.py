"""Tasks: what can be asked of an engine, and which trained models answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import InputError
from .names import did_you_mean
from .structures import structure

_DATA = Path(__file__).parent / "data" / "tasks.json"
_RESOURCES = Path(__file__).parents[2] / "Resources"
#: All speeds, slowest and finest first; a task offers some of them.
SPEEDS = ("normal", "fast", "fastest")


@dataclass(frozen=True)
class Model:
    """One trained network: nnU-Net's, or the file of another one.

    :param dataset_id: number of the nnU-Net dataset; 0 for a network that is not nnU-Net's.
    :param folder: name of the folder below the weights folder.
    :param release: name of the public release that holds the download; empty if there is none.
    :param trainer: nnU-Net trainer class.
    :param plans: name of the nnU-Net plans.
    :param configuration: nnU-Net configuration.
    :param folds: folds that are averaged; empty means all that are in the folder.
    :param spacing_mm: spacing (x, y, z) to which images are resampled first; None: not resampled.
    :param labels: label values of this network and their classes, if the network gives only a
        part of its task; else empty.
    :param checkpoint: name of the file in :attr:`folder` that holds the weights of a network that
        is not nnU-Net's, for which trainer, plans, configuration and folds are empty; empty: the
        folder is one of nnU-Net's.
    """

    dataset_id: int
    folder: str
    release: str
    trainer: str
    plans: str
    configuration: str
    folds: tuple[int, ...]
    spacing_mm: tuple[float, float, float] | None
    labels: Mapping[int, str] = field(compare=False)
    checkpoint: str = ""

    @property
    def subfolder(self) -> str:
        """Folder of nnU-Net's network inside :attr:`folder`, by nnU-Net's convention."""
        return f"{self.trainer}__{self.plans}__{self.configuration}"

    @property
    def key(self) -> str:
        """A short name that no other model has: the number of the dataset, or the folder."""
        return str(self.dataset_id or self.folder)


@dataclass(frozen=True)
class Crop:
    """A rough segmentation by another task that shows where to look.

    :param task: id of the task that is run first.
    :param speed: speed at which it is run.
    :param robust_speed: speed at which it is run if a robust crop is asked for.
    :param structures: what to look for; empty means the structures that the user asked for.
    :param margin_mm: margin (x, y, z) around what was found.
    """

    task: str
    speed: str
    robust_speed: str
    structures: tuple[str, ...]
    margin_mm: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Task:
    """Something that an engine can be asked to do. Every task stands once in the catalogue.

    :param id: name of the task, e.g. ``total``.
    :param title: name for people.
    :param description: one or two sentences: what it finds, in which images.
    :param engines: names of the engines that run it, the preferred one first.
    :param modality: ``CT`` or ``MR``.
    :param licensed: whether the weights need a licence number.
    :param region: group for people, by region of the body.
    :param hidden: whether lists leave it out: superseded, or not published.
    :param speeds: the speeds it offers and the models that each runs, in order.
    :param labels: official label values and class names.
    :param crop: rough segmentation that comes first, if any.
    :param subset_crop: rough segmentation that comes first if only some structures are asked
        for; None: asking for some structures changes nothing in what is run.
    :param prerequisites: tasks, with speeds, whose models a run needs besides.
    :param model_folder: folder below ``Resources`` of a model that comes with the extension;
        empty if the models are downloaded.
    :param family: whose models they are, which groups them in lists; empty: TotalSegmentator's.
    :param terms: id of the terms of its models, see :mod:`.terms`; empty if it has none of its own.
    :param on_request: the classes of :attr:`labels` that are looked for only if asked for by name.
    """

    id: str
    title: str
    description: str
    engines: tuple[str, ...]
    modality: str
    licensed: bool
    region: str
    hidden: bool
    speeds: Mapping[str, tuple[Model, ...]]
    labels: Mapping[int, str]
    crop: Crop | None
    subset_crop: Crop | None
    prerequisites: tuple[tuple[str, str], ...]
    model_folder: str
    family: str = ""
    terms: str = ""
    on_request: frozenset[str] = frozenset()

    @property
    def engine(self) -> str:
        """The engine that runs it unless another one is asked for."""
        return self.engines[0]

    @property
    def default_labels(self) -> dict[int, str]:
        """What a run looks for if no structures are asked for."""
        return {value: id for value, id in self.labels.items() if id not in self.on_request}

    @property
    def model_path(self) -> Path:
        """:attr:`model_folder` in full; only for tasks that have one."""
        return _RESOURCES / self.model_folder

    def check_speed(self, speed: str) -> None:
        """
        :raises InputError: ``input.unknown_speed`` if the task does not offer the speed.
        """
        if speed not in self.speeds:
            raise InputError(
                "input.unknown_speed",
                f"The task '{self.id}' does not offer the speed '{speed}'.",
                f"Choose one of: {', '.join(self.speeds)}.",
            )

    def required_models(
        self, speed: str, structures: Iterable[str] = (), robust_crop: bool = False
    ) -> tuple[Model, ...]:
        """All models that a run loads, in the order in which it loads them.

        :param speed: one of :attr:`speeds`.
        :param structures: class names, if only some are asked for.
        :param robust_crop: whether to crop by the finer and slower rough segmentation.
        :raises InputError: ``input.unknown_speed``, ``input.unknown_structure``.
        """
        self.check_speed(speed)
        wanted = check_structures(self, structures)
        crop = self.crop or (self.subset_crop if wanted else None)
        models: list[Model] = []
        if crop:
            crop_speed = crop.robust_speed if robust_crop else crop.speed
            models.extend(task(crop.task).required_models(crop_speed))
        for id, other_speed in self.prerequisites:
            models.extend(task(id).required_models(other_speed))
        models.extend(self.own_models(speed, wanted))
        return tuple(dict.fromkeys(models))

    def own_models(self, speed: str, structures: Iterable[str] = ()) -> tuple[Model, ...]:
        """The models that give the result, without those of rough segmentations before it.

        :param structures: class names, if only some are asked for.
        :raises InputError: ``input.unknown_speed``, ``input.unknown_structure``.
        """
        self.check_speed(speed)
        wanted = check_structures(self, structures)
        if not wanted or not self.subset_crop:  # a task without it is run as a whole
            return self.speeds[speed]
        return tuple(
            model
            for model in self.speeds[speed]
            if not model.labels or not wanted.isdisjoint(model.labels.values())
        )


def tasks() -> tuple[Task, ...]:
    """All tasks, hidden ones included, in the order in which people should see them."""
    return tuple(_table().values())


def task(id: str) -> Task:
    """The task of a name.

    :raises InputError: ``input.unknown_task``, with close names in the remedy.
    """
    found = _table().get(id)
    if found is None:
        names = {name: t.id for t in tasks() if not t.hidden for name in (t.id, t.title)}
        raise InputError(
            "input.unknown_task",
            f"There is no task '{id}'.",
            did_you_mean(id, names) or "See the list of tasks.",
        )
    return found


def check_structures(task: Task, names: Iterable[str]) -> frozenset[str]:
    """The names as a set, if the task knows them all.

    :param names: class names, e.g. ``kidney_left``.
    :raises InputError: ``input.unknown_structure``, with close names in the remedy.
    """
    wanted = frozenset(names)
    known = set(task.labels.values())
    for name in sorted(wanted - known):
        readable = {word: id for id in task.labels.values() for word in (id, structure(id).name)}
        raise InputError(
            "input.unknown_structure",
            f"The task '{task.id}' has no structure '{name}'.",
            did_you_mean(name, readable) or f"See the list of structures of '{task.id}'.",
        )
    return wanted


@cache
def _table() -> dict[str, Task]:
    content = json.loads(_DATA.read_text(encoding="utf-8"))
    return {values["id"]: _task_from(values) for values in content["tasks"]}


def _task_from(values: Mapping[str, Any]) -> Task:
    simple = ("id", "title", "description", "modality", "licensed", "region", "hidden")
    return Task(
        **{key: values[key] for key in simple},
        engines=tuple(values["engines"]),
        speeds={
            speed: tuple(_model_from(model) for model in models)
            for speed, models in values["speeds"].items()
        },
        labels=_labels_from(values["labels"]),
        crop=_crop_from(values.get("crop")),
        subset_crop=_crop_from(values.get("subset_crop")),
        prerequisites=tuple((id, speed) for id, speed in values.get("prerequisites", ())),
        model_folder=values.get("model_folder", ""),
        family=values.get("family", ""),
        terms=values.get("terms", ""),
        on_request=frozenset(values.get("on_request", ())),
    )


def _model_from(values: Mapping[str, Any]) -> Model:
    converted = {
        "folds": tuple(values["folds"]),
        "spacing_mm": tuple(values["spacing_mm"]) if values["spacing_mm"] else None,
        "labels": _labels_from(values.get("labels", {})),
    }
    return Model(**{**values, **converted})


def _crop_from(values: Mapping[str, Any] | None) -> Crop | None:
    if values is None:
        return None
    converted = {key: tuple(values[key]) for key in ("structures", "margin_mm")}
    return Crop(**{**values, **converted})


def _labels_from(values: Mapping[str, str]) -> dict[int, str]:
    return {int(value): name for value, name in values.items()}
