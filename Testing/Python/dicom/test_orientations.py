"""Labels lie where the images' pixels lie, however the series lies: by highdicom and by dcmqi.

The twelve ways of ``orientations()`` are those in which other writers fail. dcmqi is what Slicer
reads with. It stacks slices straight up, so it judges those that do not lean.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from made_orders import (
    assert_same_places,
    made_labels,
    made_order,
    read_places,
    source_of_slices,
)
from SampleData.dicom_series import Orientation, orientations, random_orientations, save, slices_of

from TotalSegmentatorLib.dicom.orders import SEGMENTATION
from TotalSegmentatorLib.dicom.writing.writing import write
from TotalSegmentatorLib.jobs import JobContext

NAMED = orientations()
RANDOM = random_orientations(134)
STRAIGHT = [one for one in RANDOM if not one.grid.lean_mm][:100]
SOME = [*NAMED, *RANDOM[:8]]
ALL = [*NAMED, *RANDOM]


def written(
    orientation: Orientation, folder: Path, **options: bool
) -> tuple[list, np.ndarray, Path]:
    """The datasets, the labels, and the file."""
    labels = made_labels(orientation.shape)
    slices = slices_of(np.zeros(orientation.shape, int), orientation.grid)
    (header,) = save(slices[:1], folder)
    order = made_order(source_of_slices(slices, header), [labels], folder / "order", **options)
    return slices, labels, write(order, JobContext(lambda _: None)).files[SEGMENTATION]


def by_dcmqi(path: Path, folder: Path) -> dict[int, np.ndarray]:
    """LPS mm of the voxels of every segment."""
    program = shutil.which("segimage2itkimage", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("dcmqi has no package for this computer")
    command = [program, "--inputDICOM", path, "--outputDirectory", folder, "--outputType", "nrrd"]
    subprocess.run(
        [*command, "--prefix", "seg", "--mergeSegments"], check=True, capture_output=True
    )
    (file,) = folder.glob("seg*.nrrd")
    image = sitk.ReadImage(str(file))
    labels = sitk.GetArrayFromImage(image)
    directions = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    return {
        int(label): np.array(image.GetOrigin())
        + np.argwhere(labels == label)[:, ::-1] @ directions.T
        for label in np.unique(labels[labels > 0])
    }


def by_name(one: Orientation) -> str:
    return one.name


@pytest.mark.parametrize("orientation", SOME, ids=by_name)
def test_highdicom_finds_the_labels_at_their_places(orientation, tmp_path):
    slices, labels, path = written(orientation, tmp_path)
    assert_same_places(read_places(path), slices, labels)


OTHERS = [({"labelmap": True}, NAMED), ({"deflate": True}, NAMED)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "some"), [({}, ALL), *OTHERS], ids=["all", "labelmap", "deflate"]
)
def test_highdicom_finds_the_labels_of_all_orientations(options, some, tmp_path):
    for orientation in some:
        slices, labels, path = written(orientation, tmp_path / orientation.name, **options)
        assert_same_places(read_places(path), slices, labels)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "some"), [({}, [*NAMED, *STRAIGHT]), *OTHERS], ids=["all", "labelmap", "deflate"]
)
def test_dcmqi_finds_the_labels_of_all_orientations(options, some, tmp_path):
    for orientation in some:
        folder = tmp_path / orientation.name
        slices, labels, path = written(orientation, folder, **options)
        assert_same_places(by_dcmqi(path, folder), slices, labels)
