"""A task of TotalSegmentator: where to look, which models to run, and how to come back.

The steps, their order and every rounding are those of TotalSegmentator 2.18; what is different is
that nothing is written to files between them and that no step starts a process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ... import catalog
from .. import body_options
from ..contract import Reporter
from ..kept import Kept
from ..memory import give_back_memory
from . import PREDICT, on_device, postprocessing
from .body_first import roomy_box
from .compiled import CompiledMode
from .geometry import Box, Volume, box_around, from_ras, margin_voxels, to_ras
from .merging import look_up, merge, part_table
from .models import CatalogModels, Model
from .parts import is_split, three_parts
from .prediction import How, Prepared, Watch, predict, prepare, same_preparation
from .resampling import labels_to_shape, to_spacing
from .windows import step_of

_BODY_MARGIN_MM = (3, 3, 3)
# Of a task's time, at the speed "normal" and at others.
_ROUGH_SHARE, _ROUGH_SHARE_OF_FAST = 0.15, 0.5
_CLEANING = "post-processing"


@dataclass(frozen=True)
class Options:
    """Settings of a task; see ``TASK_OPTIONS`` for what they mean.

    :param small_blobs_mm3: pieces up to this volume are removed; 0: none are.
    """

    robust_crop: bool = False
    smooth: bool = False
    small_blobs_mm3: float = 0.0
    force_split: bool = False
    body_seg: bool = False
    body_first: bool = False


@dataclass(frozen=True)
class Span:
    """A share of the run's time, which parts of the work divide among them.

    :param title: what people read while it passes.
    """

    report: Reporter
    start: float = 0.0
    stop: float = 1.0
    title: str = PREDICT

    def __call__(self, share: float) -> None:
        self.report.progress(self.start + (self.stop - self.start) * share)

    def part(self, start: float, stop: float, title: str = "") -> Span:
        """From one share of this span to another.

        :param title: of the part, if it has one of its own.
        """
        first, size = self.start, self.stop - self.start
        title = title or self.title
        return Span(self.report, first + size * start, first + size * stop, title)


@dataclass(frozen=True, eq=False)
class _Rough:
    """A rough segmentation with what made it: every run that uses it tells of that.

    :param labels: (I, J, K), uint8.
    :param weights_sha256: see :meth:`Pipeline.weights_sha256`.
    :param compiled: see :attr:`.CompiledMode.records`.
    """

    labels: np.ndarray
    weights_sha256: Mapping[catalog.Model, tuple[str, ...]]
    compiled: Mapping[tuple[str, str], dict[str, Any]]


class Pipeline:
    """Runs a task on one volume.

    :param volume: the image.
    :param models: those of the catalogue.
    :param kept: where rough segmentations of this image are kept for further tasks.
    :param report: is told what happens.
    :param device: where the networks are.
    :param mode: the compiled mode, or None for the exact one.
    """

    def __init__(
        self,
        volume: Volume,
        models: CatalogModels,
        kept: Kept,
        report: Reporter,
        device: torch.device,
        mode: CompiledMode | None,
    ) -> None:
        self._volume = volume
        self._models = models
        self._mode = mode
        self._kept = kept
        self._report = report
        self._device = device
        self._prepared: tuple[Volume, Model, Prepared] | None = None
        self._digest = b""
        self._weights_of_rough: dict[catalog.Model, tuple[str, ...]] = {}
        #: Whether the option ``body_first`` has left out a part of the volume.
        self.body_first = False

    def weights_sha256(self) -> dict[catalog.Model, tuple[str, ...]]:
        """The models that were used, each with the checksums of its folds' checkpoints."""
        loaded = {one: model.weights_sha256 for one, model in self._models.loaded.items()}
        return {**self._weights_of_rough, **loaded}

    def labels(
        self,
        task: catalog.Task,
        speed: str,
        structures: Sequence[str],
        options: Options,
        span: Span,
        is_rough: bool = False,
    ) -> np.ndarray:
        """The labels of a task (I, J, K), uint8, on the volume's grid.

        :param structures: if only some are wanted: only what they need is run.
        :param is_rough: whether it only shows where to look. Then it looks into the whole image
            if it finds no region of its own, as the official package does.
        """
        models = task.own_models(speed, structures)
        crop = task.crop or (task.subset_crop if structures else None)
        body = [name for name in body_options(task, structures) if getattr(options, name)]
        roomy = "body_first" in body
        others: dict[str, np.ndarray] = {}
        box: Box | None = None
        main = span
        if crop or body:
            title = "Finding the body" if body else "Finding the region of interest"
            share = _ROUGH_SHARE if speed == "normal" else _ROUGH_SHARE_OF_FAST
            rough_span, main = span.part(0, share, title), span.part(share, 1)
        if crop:
            rough_speed = crop.robust_speed if options.robust_crop else crop.speed
            rough = others[crop.task] = self._once(crop.task, rough_speed, rough_span)
            wanted = crop.structures or tuple(structures)
            box = self._box(_mask(catalog.task(crop.task), rough, wanted), crop.margin_mm)
        elif body:
            box = self._box(self._once("body", "fast", rough_span) > 0, _BODY_MARGIN_MM)
        if box is None and not is_rough and (crop or (body and not roomy)):
            return self._nothing()
        if box and roomy:
            box = roomy_box(self._volume, box, self._models.load(models[0]).plans, step_of(task.id))
            self.body_first = box is not None
        for id, other_speed in task.prerequisites:
            others[id] = self._prerequisite(id, other_speed, options, main.part(0, 0.5))
            main = main.part(0.5, 1)
        spacing = None if options.smooth else models[0].spacing_mm
        labels = self._image(task, models, spacing, box, options, main)
        with self._report.measured(_CLEANING):
            postprocessing.after_upsampling(task, labels, self._volume.spacing, others)
        return labels

    def _nothing(self) -> np.ndarray:
        self._report.warn(
            "result.empty_crop",
            "The region that this task looks into was not found in the image.",
        )
        return np.zeros(self._volume.array.shape[::-1], np.uint8).T

    def _once(self, task: str, speed: str, span: Span) -> np.ndarray:
        """The labels of a task with no options, made once for an image.

        All that can change a voxel is in the key: another way to compute gives other labels.
        """
        stamps = [self._models.stamp(one) for one in catalog.task(task).required_models(speed)]
        way = (str(self._device), torch.get_num_threads(), self._mode and self._mode.bar)
        key = ("rough", self._image_digest(), task, speed, tuple(stamps), way)

        def make() -> _Rough:
            labels = self.labels(catalog.task(task), speed, (), Options(), span, is_rough=True)
            # It comes before all else, so nothing else was used yet.
            records = dict(self._mode.records) if self._mode else {}
            return _Rough(labels, self.weights_sha256(), records)

        rough = self._kept.get(key, make, lambda rough: rough.labels.nbytes)
        self._weights_of_rough.update(rough.weights_sha256)
        if self._mode:
            self._mode.records.update(rough.compiled)
        return rough.labels

    def _image_digest(self) -> bytes:
        """Tells images apart."""
        if not self._digest:
            digest = hashlib.blake2b(self._volume.affine.tobytes(), digest_size=16)
            digest.update(repr((self._volume.array.dtype, self._volume.array.shape)).encode())
            digest.update(np.ascontiguousarray(self._volume.array.T))
            self._digest = digest.digest()
        return self._digest

    def _box(self, mask: np.ndarray, margin_mm: Sequence[float]) -> Box | None:
        return box_around(mask, margin_voxels(margin_mm, self._volume.spacing))

    def _prerequisite(self, id: str, speed: str, options: Options, span: Span) -> np.ndarray:
        """The labels of another task that one is refined with; it is resampled in any case."""
        task = catalog.task(id)
        models = task.own_models(speed)
        given = Options(smooth=options.smooth)
        return self._image(task, models, models[0].spacing_mm, None, given, span)

    def _image(
        self,
        task: catalog.Task,
        models: Sequence[catalog.Model],
        spacing: tuple[float, float, float] | None,
        box: Box | None,
        options: Options,
        span: Span,
    ) -> np.ndarray:
        """Run models on a part of the volume; labels (I, J, K), uint8, on the volume's grid.

        :param spacing: to which the image is resampled first, in mm along RAS axes, or None.
        :param box: the part, or None for all of it.
        """
        part = self._volume.cropped(box) if box else self._volume
        ras = to_ras(part)
        with self._report.measured("resampling"):
            seen = self._to_spacing(ras, spacing) if spacing else ras
        several = bool(models[0].labels)
        split = is_split(seen.array.shape, several, options.force_split)
        predict_whole = self._predict_parts if split else self._predict
        labels = predict_whole(task, models, seen, options, span)
        # What the official package puts together from parts it writes with the matrix that it has
        # in memory, and not with the one that it has read from a file.
        written = seen if several or split else seen.stored()
        with self._report.measured(_CLEANING):
            postprocessing.after_prediction(
                task, labels, written.spacing, self._device, options.small_blobs_mm3
            )
        with self._report.measured("labels back"):
            if spacing:
                labels = labels_to_shape(labels, ras.array.shape)
            labels = from_ras(labels, self._volume.affine)
            if box is None:
                return labels
            whole = np.zeros(self._volume.array.shape[::-1], np.uint8).T
            whole[box] = labels
            return whole

    def _to_spacing(self, volume: Volume, spacing: Sequence[float]) -> Volume:
        if self._device.type == "cpu":
            return to_spacing(volume, spacing)
        return on_device.to_spacing(volume, spacing, self._device)

    def _predict_parts(
        self,
        task: catalog.Task,
        models: Sequence[catalog.Model],
        seen: Volume,
        options: Options,
        span: Span,
    ) -> np.ndarray:
        """Predict three overlapping parts of a volume along the body."""
        labels = np.zeros(seen.array.shape[::-1], np.uint8).T
        for number, (seen_part, kept) in enumerate(three_parts(seen.array.shape[2])):
            piece = Volume(seen.array[:, :, seen_part], seen.affine)
            one = span.part(number / 3, (number + 1) / 3)
            found = self._predict(task, models, piece, options, one)
            first = seen_part.start
            labels[:, :, kept] = found[:, :, kept.start - first : kept.stop - first]
        return labels

    def _predict(
        self,
        task: catalog.Task,
        models: Sequence[catalog.Model],
        seen: Volume,
        options: Options,
        span: Span,
    ) -> np.ndarray:
        """The labels of a task's models on one volume, (I, J, K)."""
        how = How(step_of(task.id), smooth=options.smooth)
        labels: np.ndarray | None = None
        for number, one in enumerate(models):
            which = f" (part {number + 1} of {len(models)})" if len(models) > 1 else ""
            with self._report.measured("loading models"):
                model = self._models.load(one)
            if number:
                give_back_memory()  # what the model before has left in pieces
            watch = Watch(
                span.part(number / len(models), (number + 1) / len(models)), self._report.measured
            )
            prepared = self._prepare(model, seen)
            if self._mode:
                model = self._mode.choose(model, prepared)
            self._report.stage(span.title + which)
            found = predict(model, seen, prepared, how, watch)
            found = found.astype(np.uint8, copy=False)
            if not one.labels:
                return found
            if labels is None:
                labels = np.zeros(seen.array.shape[::-1], np.uint8).T
            merge(labels, found, part_table(one.labels, task.labels))
        assert labels is not None
        return labels

    def _prepare(self, model: Model, seen: Volume) -> Prepared:
        """What the models of a task share is made once."""
        if self._prepared:
            volume, other, prepared = self._prepared
            if volume is seen and same_preparation(other.plans, model.plans):
                return prepared
        self._prepared = None  # before the next is made: memory
        with self._report.measured("preparing"):
            if self._device.type == "cpu":
                prepared = prepare(seen, model.plans)
            else:
                prepared = on_device.prepare(seen, model.plans, self._device)
        self._prepared = (seen, model, prepared)
        return prepared


def _mask(task: catalog.Task, labels: np.ndarray, structures: Sequence[str]) -> np.ndarray:
    """Where the structures of a task are."""
    inside = np.zeros(256, bool)
    inside[[value for value, name in task.labels.items() if name in structures]] = True
    return look_up(inside, labels)
