"""Our post-processing beside that of the official package, on made labels, in one process.

python run_postprocessing.py

Prints one line of JSON: for each case how many voxels there are, how many the package changes, and
how many differ between it and us.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import torch
from scipy import ndimage
from totalsegmentator import map_tasks_config, map_to_binary, postprocessing
from totalsegmentator.map_to_binary import class_map

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "TotalSegmentator"))
from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.engines.nnunet.merging import merge, part_table
from TotalSegmentatorLib.engines.nnunet.postprocessing import (
    after_prediction,
    after_upsampling,
    keep_largest,
)

Case = tuple[str, np.ndarray, np.ndarray, np.ndarray]  # name, before, package, ours
CPU = torch.device("cpu")
VERTEBRAE = catalog.task("vertebrae_pp").labels
C1, L5 = 1, 24


def main() -> dict:
    cases: dict = {}
    for make in (whole_tasks, bodies, largest, vertebrae, single_voxels, refined, hearts, parts):
        for name, before, package, ours in make():
            counted = cases.setdefault(name, {"voxels": 0, "changed": 0, "differing": 0})
            counted["voxels"] += before.size
            counted["changed"] += int((before != package).sum())
            counted["differing"] += int((package != ours).sum())
    return {"cases": cases, "single": single_piece(), "outside": removed_outside()}


def header(spacing) -> tuple[np.float32, ...]:
    """The spacing as a NIfTI header holds it."""
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.diag([*spacing, 1.0]))
    return image.header.get_zooms()


def blobs(seed: int, shape: tuple[int, ...], highest: int, order: str = "F") -> np.ndarray:
    """Labels in lumps of all sizes with crumbs between them, up to the border."""
    generator = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(generator.normal(size=shape), 2)
    cells = generator.integers(0, highest + 1, [1 + side // 4 for side in shape])
    labels = np.kron(cells, np.ones((4, 4, 4), int))[tuple(map(slice, shape))]
    labels = np.where(smooth > 0, labels, 0)
    crumbs = generator.random(shape) < 0.02
    labels[crumbs] = generator.integers(0, highest + 1, crumbs.sum())
    return np.array(labels, np.uint8, order=order)


def package_after_prediction(id: str, labels: np.ndarray, spacing, small_mm3: float) -> np.ndarray:
    """The package's functions in the order of its ``nnUNet_predict_image``."""
    zooms = header(spacing)
    image = nibabel.Nifti1Image(labels.copy(), np.diag([*spacing, 1.0]))
    data = postprocessing.remove_auxiliary_labels(image, id).get_fdata().astype(np.uint8)
    names, volume = class_map[id], np.prod(zooms)
    remove = postprocessing.remove_small_blobs_multilabel
    if id == "body":
        data = postprocessing.keep_largest_blob_multilabel(data, names, ["body_trunc"], quiet=True)
        data = remove(data, names, ["body_extremities"], [50000 / volume, 1e10], quiet=True)
    if id == "vertebrae_pp":
        data = postprocessing.postprocess_vertebrae_pp(
            data, names, voxel_volume=volume, voxel_spacing=zooms
        )
    if small_mm3:
        data = remove(data, names, list(names.values()), [small_mm3 / volume, 1e10], quiet=True)
    return data


def predicted(name: str, id: str, labels: np.ndarray, spacing, small_mm3: float = 0.0) -> Case:
    package = package_after_prediction(id, labels, spacing, small_mm3)
    ours, task = labels.copy(order="K"), catalog.task(id)
    after_prediction(task, ours, np.array(header(spacing)), CPU, small_mm3)
    if f"{id}_auxiliary" in class_map:
        ours[~np.isin(ours, list(task.labels))] = 0  # what nobody asked for
    return name, labels, package, ours


def whole_tasks() -> Iterator[Case]:
    spacings = {"equal": (1.5, 1.5, 1.5), "unequal": (0.7, 0.9, 5.0), "coarse": (4.0, 4.0, 4.0)}
    for seed, (kind, spacing) in enumerate(spacings.items()):
        for size in (200.0, 33.3):
            labels = blobs(seed, (40, 30, 35), 117, "CF"[seed % 2])
            yield predicted(f"small blobs, {kind} spacing", "total", labels, spacing, size)
    cubes = np.zeros((20, 20, 20), np.uint8)
    cubes[::5, ::5, ::5] = cubes[1::5, ::5, ::5] = 3
    cubes[:, 1::5] = cubes[:, ::5]
    cubes[:, :, 1::5] = cubes[:, :, ::5]
    # 200 mm3 are a little less, or more, than 8 voxels in float64, but not so in float32.
    for kind, side, height in (("less", 1.2, 17.36111), ("more", 0.8432, 35.162422)):
        spacing = (side, side, height)
        yield predicted(f"small blobs, {kind} than 8 voxels", "total", cubes, spacing, 200.0)
    strided = blobs(8, (60, 60, 60), 30)[::2, :, ::3]
    yield predicted("small blobs, strided", "total", strided, (2.0, 2.0, 2.0), 200.0)
    nothing = np.zeros((5, 6, 7), np.uint8)
    yield predicted("nothing, total", "total", nothing, (3.0, 3.0, 3.0), 200.0)
    for id in (name.removesuffix("_auxiliary") for name in class_map if "_auxiliary" in name):
        labels = blobs(9, (24, 24, 24), max(class_map[f"{id}_auxiliary"]))
        yield predicted(f"auxiliary, {id}", id, labels, (1.5, 1.5, 1.5), 200.0)


def bodies() -> Iterator[Case]:
    for seed in range(4):
        labels = blobs(seed, (40, 30, 35), 2, "CF"[seed % 2])
        labels[:12, :12, :12] = labels[-9:, -9:, -9:] = 2
        yield predicted("body", "body", labels, (6.0, 6.0, 6.0))
        yield predicted("body and small blobs", "body", labels, (6.0, 5.0, 9.0), 2000.0)
    arm = np.full((20, 20, 20), 2, np.uint8)
    arm[:2, :2, :2] = 1
    arm[10] = 0
    yield predicted("body, hardly any trunk", "body", arm, (2.0, 2.0, 2.0))
    for value in (1, 2):
        only = np.where(blobs(5, (20, 20, 20), 2) == value, np.uint8(value), np.uint8(0))
        yield predicted(f"body, {value} only", "body", only, (6.0, 6.0, 6.0))
    yield predicted("nothing, body", "body", np.zeros((5, 6, 7), np.uint8), (6.0, 6.0, 6.0))
    yield predicted("nothing, body_mr", "body_mr", blobs(6, (9, 9, 9), 2), (6.0, 6.0, 6.0))


def largest() -> Iterator[Case]:
    """Pieces of one size: which of them stays depends on the order of axes only."""
    cubes = np.zeros((20, 20, 20), np.uint8)
    for corner in ((12, 0, 9), (1, 14, 15), (1, 15, 2), (1, 1, 16)):
        cubes[tuple(slice(place, place + 3) for place in corner)] = 5
    for order in "CF":
        package = postprocessing.keep_largest_blob_multilabel(
            cubes.copy(), {5: "cube"}, ["cube"], quiet=True
        )
        ours = np.array(cubes, order=order)
        keep_largest(ours, 5, CPU)
        yield "equal pieces", cubes, package, ours


def column(labels: list[int], gap: int, shift: int = 0) -> np.ndarray:
    """Blocks above each other, from the bottom up; without a gap they touch."""
    array = np.zeros((16, 18, len(labels) * (6 + gap) + 4), np.uint8, order="F")
    for place, label in enumerate(labels):
        bottom = place * (6 + gap)
        array[4 + shift : 12 + shift, 5:13, bottom : bottom + 6] = label
    return array


def mixed(labels: list[int]) -> np.ndarray:
    """Blocks that do not touch, in which the next label has leaked into each."""
    array = column(labels, 3)
    for place, label in enumerate([*labels[1:], labels[0]]):
        array[8:10, 5:9, place * 9 : place * 9 + 3] = label
    return array


def vertebrae() -> Iterator[Case]:
    columns = {
        "apart": column([24, 23, 22, 21], 3),
        "mixed, with L5": mixed([24, 23, 21, 20]),
        "mixed, with C1": mixed([5, 3, 2, 1]),
        "mixed, with both": mixed([24, 12, 2, 1]),
        "mixed, with neither": mixed([14, 15, 11, 10]),
        "more pieces than labels": mixed([3, 2, 5, 4, 3, 2, 4]),
        "more pieces than vertebrae, from the top": mixed([9, 8, 7, 6, 5, 4, 3, 2, 1] * 3),
        "side by side": np.concatenate([np.moveaxis(column([12, 11], 0), 2, 0)] * 2, axis=2),
        "unknown labels": mixed([30, 31, 32]),
        "unknown labels among others": mixed([30, 22, 21, 20]),
    }
    columns["pieces in one plane"] = np.concatenate([mixed([9, 8])] * 3)[:, ::2]
    for name, labels in columns.items():
        for spacing in ((1.5, 1.5, 1.5), (0.7, 1.1, 3.0)):
            yield predicted(f"vertebrae, {name}", "vertebrae_pp", labels, spacing)
    tiny = mixed([9, 8, 7])
    yield predicted("vertebrae, too small", "vertebrae_pp", tiny, (0.5, 0.5, 0.8))
    yield predicted("nothing, vertebrae_pp", "vertebrae_pp", tiny * np.uint8(0), (1.5, 1.5, 1.5))
    for seed in range(12):
        spacing = np.random.default_rng(seed).uniform(0.6, 4, 3)
        labels = blobs(seed, (30, 26, 34), 24, "CF"[seed % 2])
        labels[:, :, :: 5 + seed % 3] = 0  # else almost all is one piece
        yield predicted("vertebrae, blobs", "vertebrae_pp", labels, spacing, 80.0 * (seed % 2))


def single_voxels() -> Iterator[Case]:
    """What a voxel grows to, at the border too: the shape of the ellipsoid."""
    generator = np.random.default_rng(0)
    labels = np.zeros((22, 22, 22), np.uint8)
    labels[10, 11, 12], labels[0, 0, 21] = 7, 3
    any_sizes = generator.uniform(0.4, 5, (100, 3))
    round_sizes = generator.integers(4, 32, (100, 3)) / 10  # radii in voxels on the brink
    for spacing in (*any_sizes, *round_sizes):
        yield predicted("vertebrae, one voxel", "vertebrae_pp", labels, spacing)


def refined() -> Iterator[Case]:
    for seed in range(6):
        spacing = header(np.random.default_rng(seed).uniform(0.5, 3, 3))
        labels = blobs(seed, (30, 28, 26), 26 if seed % 2 else 24)
        bodies = blobs(seed + 100, labels.shape, 2)
        package = postprocessing.refine_vertebrae_pp_with_body_mask(
            labels.copy(), bodies, class_map["vertebrae_pp"], spacing, dilation_mm=2
        )
        ours, task = labels.copy(order="K"), catalog.task("vertebrae_pp_refined")
        after_upsampling(task, ours, np.array(spacing), {"vertebrae_body": bodies})
        yield "refined vertebrae", labels, package, ours


def hearts() -> Iterator[Case]:
    """The last two spacings are so large that the margin is no voxel."""
    task, generator = catalog.task("heartchambers_highres"), np.random.default_rng(0)
    config = map_tasks_config.TASK_CONFIGS[task.id]
    value_of = {name: value for value, name in class_map["total"].items()}
    spacings = ((1.5, 1.5, 1.5), (0.7, 0.7, 3), (3.3, 3.3, 3.4), (9.9, 10, 12), (20, 9, 2))
    for spacing in map(header, spacings):
        for kind in ("scattered", "beyond the labels", "missing"):
            labels = blobs(3, (40, 34, 30), 7)
            labels[:, :, :8] = 0
            rough = np.full(labels.shape, value_of["liver"], np.uint8)
            if kind == "scattered":
                rough[generator.random(labels.shape) < 0.001] = value_of["aorta"]
            elif kind == "beyond the labels":
                rough[12:18, 30:, 1:4] = value_of["heart"]
            mask = np.isin(rough, [value_of[name] for name in config["remove_outside"]])
            steps = int(config["remove_outside_dilation"] / np.mean(spacing))
            package = postprocessing.remove_outside_of_mask(labels.copy(), mask, addon=steps)
            ours = labels.copy(order="K")
            after_upsampling(task, ours, np.array(spacing), {"total": rough})
            yield f"heart, {kind}" + ("" if steps else ", no margin"), labels, package, ours


def parts() -> Iterator[Case]:
    """Parts put together label by label; each also has labels that it should not have."""
    tables = {
        "total": (map_to_binary.class_map_5_parts, map_to_binary.map_taskid_to_partname_ct),
        "total_v3": (
            map_to_binary.class_map_5_parts_total_v3,
            map_to_binary.map_taskid_to_partname_ct_v3,
        ),
        "total_mr": (map_to_binary.class_map_parts_mr, map_to_binary.map_taskid_to_partname_mr),
        "headneck_muscles": (
            map_to_binary.class_map_parts_headneck_muscles,
            map_to_binary.map_taskid_to_partname_headneck_muscles,
        ),
    }
    for id, (names, part_of) in tables.items():
        task = catalog.task(id)
        value_of = {name: value for value, name in class_map[id].items()}
        package, ours = (np.zeros((20, 21, 22), np.uint8) for _ in range(2))
        for seed, model in enumerate(task.speeds["normal"]):
            part = blobs(seed, package.shape, 30, "CF"[seed % 2])
            for label, name in names[part_of[model.dataset_id]].items():
                package[part == label] = value_of[name]
            merge(ours, part, part_table(model.labels, task.labels))
        yield f"parts, {id}", np.zeros_like(package), package, ours


def single_piece() -> list[int]:
    """Two labels in one piece, where the package fails: the labels after us, and how many."""
    labels = mixed([12])
    labels[4:12, 5:13, 3:6] = 13
    spacing = (1.5, 1.5, 1.5)
    try:
        package_after_prediction("vertebrae_pp", labels, spacing, 0.0)
    except IndexError:
        after_prediction(catalog.task("vertebrae_pp"), labels, np.array(header(spacing)), CPU)
        return np.unique(labels).tolist()
    return []


def removed_outside() -> list[str]:
    """The tasks of which the package removes what is outside of a mask."""
    return [
        id for id, config in map_tasks_config.TASK_CONFIGS.items() if config.get("remove_outside")
    ]


sys.stdout.write(json.dumps(main()) + "\n")
