"""From the scanner to the scene, a structure stays where it is and on its side.

The judge is independent: a stand-in for an engine reads our file by nibabel, finds the structures
by their intensities, tells left from right by world coordinates alone, and writes its labels by
nibabel. Where structures truly are is known without any grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from SampleData.grids import (
    AIR,
    AXIS_ORDERS,
    TISSUE,
    anatomy,
    anatomy_ct,
    matrices,
    sheared_matrices,
)
from scene_samples import add_segmentation, add_transform
from scipy import ndimage
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from TotalSegmentatorLib.images import (
    Image,
    Layer,
    SegmentRecord,
    is_sheared,
    labels_on_grid,
    read_image,
    read_labelmap,
    same_grid,
    straighten,
    write_labelmap,
    write_nifti,
    write_segmentation,
)
from TotalSegmentatorLib.scene import import_layers, view_volume
from TotalSegmentatorLib.scene.headless import HeadlessApplication

NAMES = {5: "liver", 2: "kidney_right", 3: "kidney_left"}
SEGMENTS = tuple(SegmentRecord(name, name, label, (200, 0, 0)) for label, name in NAMES.items())
SHAPES = st.tuples(*[st.integers(16, 22)] * 3)
SHEARED_SHAPES = st.tuples(*[st.integers(30, 36)] * 3)
GRIDS = matrices(st.floats(0.3, 6))
IN_ONE_SCENE = [HealthCheck.function_scoped_fixture]
quick = settings(max_examples=25, suppress_health_check=IN_ONE_SCENE)
thorough = settings(max_examples=300, suppress_health_check=IN_ONE_SCENE)


@st.composite
def transforms(draw: st.DrawFn) -> np.ndarray | None:
    """A parent transform (4, 4) that turns, moves, scales and mirrors; or none."""
    if draw(st.booleans()):
        return None
    matrix = draw(matrices(st.floats(0.5, 2)))
    matrix[:3, 3] /= 10
    return matrix


@pytest.fixture(scope="module")
def application() -> HeadlessApplication:
    """One for all cases: Slicer gets slower with every scene that is made."""
    return HeadlessApplication()


@contextmanager
def no_traces(application) -> Iterator[None]:
    """Take away the nodes that a case added."""

    def nodes() -> list:
        scene = application.scene
        return [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]

    before = nodes()
    yield
    for node in nodes():
        if node not in before:
            application.scene.RemoveNode(node)


# ---- the stand-in engine --------------------------------------------------------------------


def stand_in_engine(source: Path, target: Path, canonical: bool, turn_back: bool = True) -> None:
    """Find the liver and the kidneys in a file, as another program would.

    :param canonical: work on the image turned to R, A, S, as the official engine does.
    :param turn_back: write the labels in the axis order of the source.
    """
    image = nibabel.load(source)
    turned = nibabel.as_closest_canonical(image) if canonical else image
    tissue = np.asanyarray(turned.dataobj) > (AIR + TISSUE) / 2
    parts, count = ndimage.label(tissue, np.ones((3, 3, 3)))
    assert count == 3
    sizes = np.bincount(parts.ravel())[1:]
    centers = np.array(ndimage.center_of_mass(tissue, parts, range(1, 4)))
    to_the_right = nibabel.affines.apply_affine(turned.affine, centers)[:, 0]
    liver = int(sizes.argmax())
    kidneys = sorted({0, 1, 2} - {liver}, key=lambda part: to_the_right[part])
    labels = np.zeros_like(parts, np.uint8)
    for part, label in ((liver, 5), (kidneys[1], 2), (kidneys[0], 3)):
        labels[parts == part + 1] = label
    result = nibabel.Nifti1Image(labels, turned.affine)
    if canonical and turn_back:
        back = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(turned.affine), nibabel.io_orientation(image.affine)
        )
        result = result.as_reoriented(back)
    nibabel.save(result, target)


def segmented(image: Image, folder: Path, canonical: bool, turn_back: bool = True) -> Image:
    """What a run does: the engine gets a file with perpendicular axes, labels come back."""
    given = straighten(image) if is_sheared(image.ijk_to_ras) else image
    write_nifti(given, folder / "image.nii")
    stand_in_engine(folder / "image.nii", folder / "labels.nii", canonical, turn_back)
    labels = read_labelmap(folder / "labels.nii")
    if same_grid(labels, image):
        return labels
    assert is_sheared(image.ijk_to_ras) or not turn_back
    return labels_on_grid(labels, image)


# ---- what is where --------------------------------------------------------------------------


def tolerance(matrix: np.ndarray) -> float:
    """For volumes: small ellipsoids in voxels are rough; those on tilted grids are larger."""
    return 0.08 if is_sheared(matrix) else 0.15


def check_places(
    found: dict[str, tuple[np.ndarray, float]],
    matrix: np.ndarray,
    shape: tuple[int, int, int],
    moved: np.ndarray,
    volume_tolerance: float,
) -> None:
    """Structures lie where they are by definition, within half a voxel, and on their side.

    :param found: name -> centre in mm RAS and volume in ml.
    :param moved: (4, 4), the parent transform.
    :param volume_tolerance: as a part of the volume.
    """
    structures = anatomy(matrix, shape)
    assert set(found) == set(structures)
    to_voxels = np.linalg.inv((moved @ matrix)[:3, :3])
    scale = abs(np.linalg.det(moved[:3, :3]))
    for name, structure in structures.items():
        center, volume_ml = found[name]
        true = (moved @ [*structure.center, 1])[:3]
        assert np.abs(to_voxels @ (center - true)).max() < 0.5, name
        assert volume_ml == pytest.approx(structure.volume_ml * scale, rel=volume_tolerance), name
    to_local = np.linalg.inv(moved)
    right, left = ((to_local @ [*found[f"kidney_{side}"][0], 1])[0] for side in ("right", "left"))
    assert right > left


def by_matrix(array: np.ndarray, matrix: np.ndarray, label: int) -> tuple[np.ndarray, float]:
    """Centre in mm and volume in ml of a label in an array (I, J, K)."""
    indices = np.argwhere(array == label)
    assert len(indices)
    center = (matrix @ [*indices.mean(axis=0), 1])[:3]
    return center, len(indices) * abs(np.linalg.det(matrix[:3, :3])) / 1000


def in_scene(node) -> dict[str, tuple[np.ndarray, float]]:
    """Where Slicer has the segments: by its labelmap, its matrix, and the parent transform."""
    found = {}
    to_world = vtk.vtkMatrix4x4()
    if node.GetParentTransformNode():
        node.GetParentTransformNode().GetMatrixTransformToWorld(to_world)
    for segment_id in node.GetSegmentation().GetSegmentIDs():
        segment = node.GetSegmentation().GetSegment(segment_id)
        data = segment.GetRepresentation("Binary labelmap")
        matrix = vtk.vtkMatrix4x4()
        data.GetImageToWorldMatrix(matrix)
        vtk.vtkMatrix4x4.Multiply4x4(to_world, matrix, matrix)
        start = np.eye(4)
        start[:3, 3] = data.GetExtent()[::2]
        voxels = vtk_to_numpy(data.GetPointData().GetScalars())
        voxels = voxels.reshape(data.GetDimensions(), order="F")
        found[segment_id] = by_matrix(voxels, numbers(matrix) @ start, segment.GetLabelValue())
        if segment_id == "liver":  # one of them: it takes Slicer longer than all the rest
            # Slicer's own answer is a voxel near the middle of the box around the segment.
            box = np.argwhere(voxels == segment.GetLabelValue())
            middle = (numbers(matrix) @ start @ [*(box.min(axis=0) + box.max(axis=0)) / 2, 1])[:3]
            away = np.linalg.norm(np.array(node.GetSegmentCenterRAS(segment_id)) - middle)
            assert away <= np.linalg.norm(numbers(matrix)[:3, :3])  # the diagonal of a voxel
    return found


def numbers(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    return np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])


# ---- scene to scene -------------------------------------------------------------------------


def volume_node(application, matrix, shape, start, moved):
    """A node whose voxels begin at index *start*, as after cropping, under a transform."""
    data = vtk.vtkImageData()
    data.SetExtent(*np.ravel([(s, s + n - 1) for s, n in zip(start, shape[::-1], strict=True)]))
    data.GetPointData().SetScalars(numpy_to_vtk(anatomy_ct(matrix, shape).ravel(), deep=True))
    from_start = np.eye(4)
    from_start[:3, 3] = -np.array(start)
    ijk_to_ras = vtk.vtkMatrix4x4()
    ijk_to_ras.DeepCopy((matrix @ from_start).ravel())
    node = application.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    node.SetAndObserveImageData(data)
    node.SetIJKToRASMatrix(ijk_to_ras)
    if moved is not None:
        node.SetAndObserveTransformNodeID(add_transform(application, moved).GetID())
    return node


def through_the_scene(
    application, folder, matrix, shape, start=(0, 0, 0), moved=None, canonical=True, turn_back=True
):
    """The segmentation node of a run, after its segments are found at their places."""
    node = volume_node(application, matrix, shape, start, moved)
    image, notices = view_volume(node)
    tilted = is_sheared(matrix)
    assert ("input.straightened" in [notice.code for notice in notices]) == tilted
    labels = segmented(image, folder, canonical, turn_back)
    output = add_segmentation(application)
    import_layers([Layer(labels, SEGMENTS, NAMES)], output, node)
    found = in_scene(output)
    check_places(found, matrix, shape, np.eye(4) if moved is None else moved, tolerance(matrix))
    return output


CASES = given(
    matrix=GRIDS,
    shape=SHAPES,
    start=st.tuples(*[st.integers(-5, 5)] * 3),
    moved=transforms(),
    canonical=st.booleans(),
    turn_back=st.booleans(),
)
TILTED_CASES = given(
    matrix=sheared_matrices(),
    shape=SHEARED_SHAPES,
    start=st.tuples(*[st.integers(-5, 5)] * 3),
    moved=transforms(),
    canonical=st.booleans(),
)


@CASES
@quick
def test_structures_come_back_to_the_scene(application, tmp_path, **case):
    with no_traces(application):
        through_the_scene(application, tmp_path, **case)


@pytest.mark.slow
@CASES
@thorough
def test_structures_come_back_to_the_scene_always(application, tmp_path, **case):
    with no_traces(application):
        through_the_scene(application, tmp_path, **case)


@TILTED_CASES
@quick
def test_structures_of_tilted_volumes_come_back(application, tmp_path, **case):
    with no_traces(application):
        through_the_scene(application, tmp_path, **case)


@pytest.mark.slow
@TILTED_CASES
@thorough
def test_structures_of_tilted_volumes_come_back_always(application, tmp_path, **case):
    with no_traces(application):
        through_the_scene(application, tmp_path, **case)


@pytest.mark.slow
@pytest.mark.parametrize("turn_back", [True, False])
def test_all_axis_orders_come_back(turn_back, application, tmp_path):
    assert len(AXIS_ORDERS) == len({order.tobytes() for order in AXIS_ORDERS}) == 48
    for order in AXIS_ORDERS:
        matrix = np.eye(4)
        matrix[:3, :3] = order * (0.8, 1.3, 3.0)
        matrix[:3, 3] = (-120.0, 35.0, 410.0)
        with no_traces(application):
            shape = (16, 18, 20)
            through_the_scene(application, tmp_path, matrix, shape, turn_back=turn_back)


@given(matrix=sheared_matrices(), moved=transforms())
@settings(max_examples=8, suppress_health_check=IN_ONE_SCENE)
def test_the_surfaces_of_tilted_structures_are_right(application, matrix, moved, tmp_path):
    """Slicer makes surfaces from the labelmap on its sheared grid."""
    shape = (30, 32, 34)
    node = through_the_scene(application, tmp_path, matrix, shape, moved=moved)
    assert node.CreateClosedSurfaceRepresentation()
    for name, structure in anatomy(matrix, shape).items():
        surface = vtk.vtkPolyData()
        assert node.GetClosedSurfaceRepresentation(name, surface)
        points = vtk_to_numpy(surface.GetPoints().GetData())
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        away = np.linalg.inv(matrix[:3, :3]) @ (middle - structure.center)
        assert np.abs(away).max() < 1.0, name
        # Every point lies on the structure's own surface, give or take a voxel.
        offset = points.T - structure.center[:, None]
        depth = np.sqrt(np.einsum("rp,rs,sp->p", offset, structure.form, offset))
        steps = np.linalg.inv(matrix[:3, :3]) @ (offset * (1 - 1 / depth))
        assert np.linalg.norm(steps, axis=0).max() < 2.0, name


# ---- file to file ---------------------------------------------------------------------------


def write_by_others(voxels: np.ndarray, matrix: np.ndarray, path: Path) -> None:
    """A CT as nibabel or SimpleITK write it, not by our own code.

    :param voxels: (K, J, I).
    """
    if path.name.endswith((".nii", ".nii.gz")):
        image = nibabel.Nifti1Image(voxels.T, None)
        image.set_sform(matrix, code=1)
        if not is_sheared(matrix):
            image.set_qform(matrix, code=1)
        nibabel.save(image, path)
        return
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    flip = np.array([-1.0, -1.0, 1.0])  # RAS to LPS
    image = sitk.GetImageFromArray(voxels)
    image.SetOrigin((flip * matrix[:3, 3]).tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection((flip[:, None] * matrix[:3, :3] / spacing).ravel().tolist())
    sitk.WriteImage(image, str(path))


def through_files(application, folder, matrix, shape, suffix, canonical):
    source = folder / f"ct{suffix}"
    write_by_others(anatomy_ct(matrix, shape), matrix, source)
    image, notices = read_image(source)
    tilted = is_sheared(matrix)
    codes = {notice.code for notice in notices}
    assert codes - {"input.coarse"} == ({"input.straightened"} if tilted else set())
    labels = segmented(image, folder, canonical)
    write_labelmap(labels, folder / "labels.nii.gz", NAMES)
    judge = nibabel.load(folder / "labels.nii.gz")
    array = np.asanyarray(judge.dataobj)
    found = {name: by_matrix(array, judge.affine, label) for label, name in NAMES.items()}
    check_places(found, matrix, shape, np.eye(4), tolerance(matrix))
    write_segmentation([Layer(labels, SEGMENTS, NAMES)], folder / "labels.seg.nrrd", {})
    node = application.load_segmentation(folder / "labels.seg.nrrd")
    check_places(in_scene(node), matrix, shape, np.eye(4), tolerance(matrix))


FILE_CASES = given(
    matrix=GRIDS,
    shape=SHAPES,
    suffix=st.sampled_from((".nii", ".nii.gz", ".nrrd", ".mha")),
    canonical=st.booleans(),
)
TILTED_FILE_CASES = given(
    matrix=sheared_matrices(),
    shape=SHEARED_SHAPES,
    suffix=st.sampled_from((".nii", ".nii.gz", ".nrrd", ".mha")),
    canonical=st.booleans(),
)


@FILE_CASES
@quick
def test_structures_come_back_to_files(application, tmp_path, **case):
    with no_traces(application):
        through_files(application, tmp_path, **case)


@pytest.mark.slow
@FILE_CASES
@thorough
def test_structures_come_back_to_files_always(application, tmp_path, **case):
    with no_traces(application):
        through_files(application, tmp_path, **case)


@TILTED_FILE_CASES
@quick
def test_structures_of_tilted_files_come_back(application, tmp_path, **case):
    with no_traces(application):
        through_files(application, tmp_path, **case)


@pytest.mark.slow
@TILTED_FILE_CASES
@thorough
def test_structures_of_tilted_files_come_back_always(application, tmp_path, **case):
    with no_traces(application):
        through_files(application, tmp_path, **case)
