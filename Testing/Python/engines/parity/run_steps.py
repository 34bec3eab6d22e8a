"""Single steps of the fast engine beside the official functions; for the engine environment.

python run_steps.py: prints one line of JSON: step -> (comparisons, of which differ).
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from nnunetv2.inference.sliding_window_prediction import (
    compute_gaussian,
    compute_steps_for_sliding_window,
)
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero
from nnunetv2.preprocessing.normalization import default_normalization_schemes as schemes
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.preprocessing.resampling.default_resampling import (
    compute_new_shape,
    resample_data_or_seg_to_shape,
)
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from totalsegmentator.alignment import as_closest_canonical, undo_canonical
from totalsegmentator.cropping import crop_to_mask, undo_crop
from totalsegmentator.nnunet_runtime_patches import (
    _convert_logits_to_segmentation_with_cropped_resampling as official_smooth_labels,
)
from totalsegmentator.resampling import change_spacing

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "TotalSegmentator"))
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "SampleData"))
from made_plans import Kind, make_dataset, make_plans

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.engines.accumulation import ScoreSweep
from TotalSegmentatorLib.engines.nnunet import geometry, prediction, resampling, windows
from TotalSegmentatorLib.engines.nnunet.normalisation import normalise
from TotalSegmentatorLib.engines.nnunet.plans import Normalisation, Plans, Resampling, read_plans
from TotalSegmentatorLib.errors import EngineError

Pair = tuple[Any, Any]  # what the official function gives, and ours
_MODEL = catalog.task("body").speeds["fast"][0]
_INTENSITIES = {"mean": 31.7, "std": 402.3, "percentile_00_5": -970.5, "percentile_99_5": 1311.0}


def random_image(random: np.random.Generator, dtype: str = "i2") -> nibabel.Nifti1Image:
    """Voxels and a grid with any spacing, order and direction of axes, and a tilt."""
    shape = random.integers(5, 24, 3)
    tilt = np.linalg.qr(np.eye(3) + random.normal(0, 0.1, (3, 3)))[0]
    axes = np.eye(3)[random.permutation(3)] * random.choice([-1, 1], 3)
    affine = np.eye(4)
    affine[:3, :3] = tilt @ axes @ np.diag(random.uniform(0.4, 4, 3))
    affine[:3, 3] = random.normal(0, 100, 3)
    return nibabel.Nifti1Image(random.normal(0, 400, shape).astype(dtype), affine)


def volume(image: nibabel.Nifti1Image) -> geometry.Volume:
    """The same image, in the layout that the engine's images have."""
    turned = np.ascontiguousarray(np.asanyarray(image.dataobj).T)
    return geometry.Volume(turned.T, image.affine)


def orientation(random: np.random.Generator) -> Iterator[Pair]:
    """Axes turned to RAS, and back."""
    image = random_image(random)
    official, ours = as_closest_canonical(image), geometry.to_ras(volume(image))
    yield official.get_fdata(), ours.array
    yield official.affine, ours.affine
    back = undo_canonical(official, image)
    yield back.get_fdata(), geometry.from_ras(ours.array, image.affine)


def image_resampling(random: np.random.Generator) -> Iterator[Pair]:
    """An image at another spacing, as whole numbers."""
    image = as_closest_canonical(random_image(random, random.choice(["i2", "f4", "i4"])))
    spacing = random.uniform(0.5, 4, 3).round(int(random.integers(1, 4))).tolist()
    official = change_spacing(image, spacing, order=1, dtype=np.int32)
    ours = resampling.to_spacing(volume(image), spacing)
    yield official.get_fdata(), ours.array
    yield official.affine, ours.affine
    yield np.array(official.header.get_zooms()), ours.spacing


def no_resampling(random: np.random.Generator) -> Iterator[Pair]:
    """An image that has the spacing: nothing is cut off."""
    image = nibabel.Nifti1Image(random.normal(0, 9, (4, 5, 6)), np.diag([0.75, 0.75, 1, 1]))
    official = change_spacing(image, [0.75, 0.75, 1], order=1, dtype=np.int32)
    yield official.get_fdata(), resampling.to_spacing(volume(image), (0.75, 0.75, 1)).array


def labels_back(random: np.random.Generator) -> Iterator[Pair]:
    """Labels at the size of the image."""
    labels = random.integers(0, 9, random.integers(2, 20, 3)).astype(np.uint8)
    shape = random.integers(2, 40, 3)
    image = nibabel.Nifti1Image(labels, np.eye(4))
    official = change_spacing(image, 1.0, shape, order=0, dtype=np.uint8)
    yield official.get_fdata(), resampling.labels_to_shape(labels, shape)


def crop(random: np.random.Generator) -> Iterator[Pair]:
    """The box around a mask with a margin in mm, and the way back."""
    image = random_image(random, "f4")
    mask = np.zeros(image.shape, np.uint8)
    mask[tuple(random.integers(0, size) for size in image.shape)] = 1
    margin = random.integers(0, 21, 3).tolist()
    mask_image = nibabel.Nifti1Image(mask, image.affine)
    official, box = crop_to_mask(image, mask_image, margin, np.int32)
    ours = volume(image)
    found = geometry.box_around(mask > 0, geometry.margin_voxels(margin, ours.spacing))
    yield [list(axis) for axis in box], [[axis.start, axis.stop] for axis in found]
    yield official.get_fdata(), ours.cropped(found).array
    yield official.affine, ours.cropped(found).affine
    whole = np.zeros(image.shape)
    whole[found] = ours.cropped(found).array
    yield undo_crop(official, image, box).get_fdata(), whole


def normalisation(random: np.random.Generator) -> Iterator[Pair]:
    """All schemes, and the box of what is not zero."""
    whole = random.normal(50, 300, random.integers(6, 30, 3)).astype(np.float32)
    whole *= random.random(whole.shape) > 0.4
    whole[: random.integers(0, 4)] = 0
    axes = random.permutation(3)
    for name in ("CT", "ZScore", "RescaleTo01", "No"):
        scheme = "NoNormalization" if name == "No" else f"{name}Normalization"
        for use_mask in (False, True):
            # Both are views of arrays of their own: the layout decides the rounding.
            data, mask, box = crop_to_nonzero(whole.copy().transpose(axes)[None])
            official = getattr(schemes, scheme)(use_mask, _INTENSITIES).run(data[0], mask[0])
            turned = whole.copy().transpose(axes)
            found = geometry.box_around(turned != 0)
            normalise(turned[found], Normalisation(scheme, use_mask, _INTENSITIES), mask[0] >= 0)
            yield [list(axis) for axis in box], [[axis.start, axis.stop] for axis in found]
            yield official, turned[found]


def scores_resampling(random: np.random.Generator) -> Iterator[Pair]:
    """nnU-Net's resampling, with and without an axis apart."""
    shape = tuple(int(size) for size in random.integers(4, 16, 3))
    old, new = (random.choice([0.5, 0.8, 1.0, 1.3, 3.5, 5.0], 3).tolist() for _ in range(2))
    wanted = compute_new_shape(shape, old, new)
    yield wanted.tolist(), list(resampling.shape_at(shape, old, new))
    values = random.normal(0, 3, (1, *shape)).astype(random.choice(["f4", "f2"]))
    for order in (1, 3):
        for force in (None, False, True):
            how = Resampling(order, int(random.integers(0, 2)), force)
            official = resample_data_or_seg_to_shape(
                values, wanted, old, new, False, how.order, how.order_z, how.force_separate_z
            )
            yield official[0], resampling.resample(values[0], tuple(wanted), old, new, how)


def placing(random: np.random.Generator) -> Iterator[Pair]:
    """Where windows lie, and how much their voxels count."""
    patch = tuple(int(edge) for edge in random.integers(8, 40, 3))
    shape = tuple(edge + int(random.integers(0, 90)) for edge in patch)
    for step in (0.5, 0.8):
        official = compute_steps_for_sliding_window(shape, patch, step)
        yield from zip(official, windows.window_starts(shape, patch, step), strict=True)
    official = compute_gaussian(patch, 1 / 8, 10, torch.float16, torch.device("cpu"))
    yield official.numpy(), windows.window_weights(patch, torch.device("cpu")).numpy()


def made_plans(
    regions: bool, labels: int, spacing: tuple[float, float, float]
) -> tuple[Plans, Any]:
    """Plans with so many labels, and the official manager of them."""
    kind = Kind((32, 32, 32), 4, ((1, 1, 1), (2, 2, 2)), regions=regions, spacing_mm=spacing)
    dataset = make_dataset({value: f"structure {value}" for value in range(1, labels + 1)}, kind)
    manager = LabelManager(dataset["labels"], dataset.get("regions_class_order"))
    return read_plans(make_plans(_MODEL, kind), dataset, _MODEL.configuration), manager


def labels(random: np.random.Generator) -> Iterator[Pair]:
    """Labels of scores, with many equal ones, at the same size, resampled, and smooth."""
    spacing = tuple(random.choice([0.7, 1.5, 6.0], 3).tolist())
    for regions in (False, True):
        plans, manager = made_plans(regions, 6, spacing)
        shape = random.integers(6, 14, 3)
        scores = random.normal(0, 2, (plans.heads.count, *shape)).round(1).astype(np.float16)
        official = manager.convert_logits_to_segmentation(torch.from_numpy(scores))
        yield official.numpy(), prediction.to_labels(torch.from_numpy(scores), plans.heads).numpy()
        wanted, image = tuple(int(n) for n in random.integers(6, 24, 3)), (1.5, 1.5, 1.5)
        shares: list[float] = []

        def official_resampled(values: np.ndarray, *rest: Any) -> np.ndarray:
            return resample_data_or_seg_to_shape(values, *rest, False, 1, 0, None)

        resampled = official_resampled(scores, wanted, spacing, image)
        official = manager.convert_logits_to_segmentation(resampled)
        yield official, resampling.labels_of_resampled(scores, wanted, image, plans, shares.append)
        official = official_smooth_labels(
            scores.copy(), manager, wanted, spacing, image, official_resampled
        )
        ours = resampling.smooth_labels(scores.copy(), wanted, image, plans, shares.append)
        yield official, ours
        yield True, len(shares) > plans.heads.count and all(0 <= share < 1 for share in shares)


def preparing(random: np.random.Generator) -> Iterator[Pair]:
    """A file, read and preprocessed; its layout decides how means are rounded."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii"
        for reader, masked in itertools.product(("NibabelIO", "NibabelIOWithReorient"), (0, 1)):
            nibabel.save(random_image(random, random.choice(["i2", "f4", "f8"])), path)
            transpose = tuple(random.permutation(3).tolist())
            kind = Kind(
                *((8, 8, 8), 4, ((1, 1, 1),)),
                normalisation="ZScore",
                masked=bool(masked),
                reader=reader,
                transpose=transpose,
                spacing_mm=(1.5, 1.5, 1.5),
            )
            plans, dataset = make_plans(_MODEL, kind), make_dataset({1: "structure"}, kind)
            manager = PlansManager(plans)
            configuration = manager.get_configuration(_MODEL.configuration)
            official, _, _ = DefaultPreprocessor(verbose=False).run_case(
                [str(path)], None, manager, configuration, dataset
            )
            read = read_plans(plans, dataset, _MODEL.configuration)
            ours = prediction.prepare(volume(nibabel.load(path)), read)
            yield official[0], ours.windows_in[ours.inner].numpy()


def infinite_scores(random: np.random.Generator) -> Iterator[Pair]:
    """Folds beyond half precision, in opposite directions: nnU-Net looks at each of them."""
    weights = torch.ones((4, 4, 4), dtype=torch.half)
    sweep = ScoreSweep(2, 2, (4, 4, 4), weights, 1, lambda row, scores: None)
    sweep.begin_window((0, 0, 0))
    for fold, value in enumerate((1e6, -1e6)):
        sweep.add(fold, 0, torch.full((2, 4, 4, 4), value))
    found = ""
    try:
        sweep.finish()
    except EngineError as error:
        found = error.code
    yield "engine.bad_scores", found


STEPS: tuple[Callable[[np.random.Generator], Iterator[Pair]], ...] = (
    *(orientation, image_resampling, no_resampling, labels_back, crop, normalisation),
    *(scores_resampling, placing, labels, preparing, infinite_scores),
)


def main() -> None:
    answer = {}
    for step in STEPS:
        pairs = [pair for seed in range(12) for pair in step(np.random.default_rng(seed))]
        same = [np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs]
        answer[step.__name__] = (len(same), same.count(False))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
