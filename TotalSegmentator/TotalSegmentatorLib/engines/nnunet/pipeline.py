"""A task of TotalSegmentator: where to look, which models to run, and how to come back.

The steps, their order and every rounding are those of TotalSegmentator 2.18; what is different is
that nothing is written to files between them and that no step starts a process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ... import catalog
from ..contract import Reporter
from ..kept import Kept
from . import PREDICT, on_device, postprocessing
from .body_first import roomy_box
from .compiled import CompiledMode
from .geometry import Box, Volume, box_around, from_ras, margin_voxels, to_ras
from .merging import look_up, merge, part_table
from .models import CatalogModels, Model
from .prediction import How, Prepared, Watch, predict, prepare, same_preparation
from .resampling import labels_to_shape, to_spacing

_WIDE_STEP_TASKS = ("total", "total_v3", "total_mr")
_WIDE_STEP, _STEP = 0.8, 0.5
# Larger images of tasks with several models are cut into three parts along the body.
_SPLIT_ABOVE_VOXELS = 512 * 512 * 900
_SPLIT_ABOVE_SLICES = 200
_SPLIT_MARGIN = 20
_BODY_MARGIN_MM = (3, 3, 3)
_ROUGH_SHARE = 0.15  # of a task's time
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


class Pipeline:
    """Runs tasks on one volume.

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

    def labels(
        self,
        task: catalog.Task,
        speed: str,
        structures: Sequence[str],
        options: Options,
        span: Span,
    ) -> np.ndarray:
        """The labels of a task (I, J, K), uint8, on the volume's grid.

        :param structures: if only some are wanted: only what they need is run.
        """
        models = task.own_models(speed, structures)
        crop = task.crop or (task.subset_crop if structures else None)
        to_body = options.body_seg or options.body_first
        body = to_body and not crop and task.modality == "CT"
        others: dict[str, np.ndarray] = {}
        box: Box | None = None
        main = span
        if crop or body:
            title = "Finding the body" if body else "Finding the region of interest"
            rough_span, main = span.part(0, _ROUGH_SHARE, title), span.part(_ROUGH_SHARE, 1)
        if crop:
            rough_speed = crop.robust_speed if options.robust_crop else crop.speed
            rough = others[crop.task] = self._once(crop.task, rough_speed, rough_span)
            wanted = crop.structures or tuple(structures)
            box = self._box(_mask(catalog.task(crop.task), rough, wanted), crop.margin_mm)
        elif body:
            box = self._box(self._once("body", "fast", rough_span) > 0, _BODY_MARGIN_MM)
        if box is None and (crop or (body and not options.body_first)):
            return self._nothing()
        if box and body and options.body_first:
            box = roomy_box(self._volume, box, self._models.load(models[0]).plans, _step(task.id))
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

        def make() -> np.ndarray:
            return self.labels(catalog.task(task), speed, (), Options(), span)

        return self._kept.get(key, make, lambda labels: labels.nbytes)

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
        labels = self._predict_parts(task, models, seen, options, span)
        with self._report.measured(_CLEANING):
            postprocessing.after_prediction(
                task, labels, seen.stored().spacing, self._device, options.small_blobs_mm3
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
        """Predict the whole, or three overlapping parts of it along the body."""
        shape = seen.array.shape
        large = np.prod(shape) > _SPLIT_ABOVE_VOXELS and shape[2] > _SPLIT_ABOVE_SLICES
        several = bool(models[0].labels)
        third = shape[2] // 3
        # The official package fails where the margin does not fit into a part.
        fits = third >= _SPLIT_MARGIN
        if not (fits and (options.force_split or (large and several))):
            return self._predict(task, models, seen, options, span)
        labels = np.zeros(shape[::-1], np.uint8).T
        for number, (first, last, start, stop) in enumerate(
            (
                (0, third + _SPLIT_MARGIN, 0, third),
                (third + 1 - _SPLIT_MARGIN, third * 2 + _SPLIT_MARGIN, third, third * 2),
                (third * 2 + 1 - _SPLIT_MARGIN, shape[2], third * 2, shape[2]),
            )
        ):
            piece = Volume(seen.array[:, :, first:last], seen.affine)
            one = span.part(number / 3, (number + 1) / 3)
            found = self._predict(task, models, piece, options, one)
            labels[:, :, start:stop] = found[:, :, start - first : stop - first]
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
        how = How(_step(task.id), smooth=options.smooth)
        labels: np.ndarray | None = None
        for number, one in enumerate(models):
            which = f" (part {number + 1} of {len(models)})" if len(models) > 1 else ""
            with self._report.measured("loading models"):
                model = self._models.load(one)
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


def _step(task: str) -> float:
    return _WIDE_STEP if task in _WIDE_STEP_TASKS else _STEP


def _mask(task: catalog.Task, labels: np.ndarray, structures: Sequence[str]) -> np.ndarray:
    """Where the structures of a task are."""
    inside = np.zeros(256, bool)
    inside[[value for value, name in task.labels.items() if name in structures]] = True
    return look_up(inside, labels)
