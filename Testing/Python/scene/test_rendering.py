from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scene_samples import records

from TotalSegmentatorLib.errors import SetupError
from TotalSegmentatorLib.images import Image, Layer, SegmentRecord, write_nifti, write_segmentation
from TotalSegmentatorLib.scene import rendering

LIBRARY = Path(__file__).resolve().parents[3] / "TotalSegmentator"
COLORS = [(230, 30, 30), (30, 200, 30), (40, 80, 240), (200, 40, 200)]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    """A CT of air with four boxes of water, and their segmentation."""
    folder = tmp_path_factory.mktemp("rendering")
    grid = np.diag([-3.0, -3.0, 3.0, 1.0])
    labels = np.zeros((40, 40, 40), np.uint8)
    for label, (k, i) in enumerate([(4, 4), (4, 22), (22, 4), (22, 22)], 1):
        labels[k : k + 14, 12:28, i : i + 14] = label
    ct = np.where(labels > 0, 40, -1000).astype(np.int16)
    segments = [
        SegmentRecord(record.id, record.name, record.label, color, "")
        for record, color in zip(records(4), COLORS, strict=True)
    ]
    write_nifti(Image(ct, grid), folder / "ct.nii.gz")
    write_segmentation([Layer(Image(labels, grid), segments)], folder / "boxes.seg.nrrd", {})
    return folder / "ct.nii.gz", folder / "boxes.seg.nrrd"


def draw(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "TotalSegmentatorLib.scene.rendering", *map(str, arguments)],
        cwd=LIBRARY,
        capture_output=True,
        text=True,
        timeout=120,
    )


def pixels(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(int)


def box_of(picture: np.ndarray, box: rendering.Box) -> np.ndarray:
    """The part of a picture; a file's first row is the highest, VTK's the lowest."""
    top = picture.shape[0] - box.bottom - box.height
    return picture[top : top + box.height, box.left : box.left + box.width]


def hue(view: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Where a view has the hue of a colour, whatever the light."""
    length = np.maximum(np.linalg.norm(view, axis=-1), 1)
    cosine = view @ np.array(color) / length / np.linalg.norm(color)
    return (cosine > 0.97) & (length > 60)


def test_the_picture_shows_every_structure_where_it_is(files, tmp_path):
    answer = draw(*files, tmp_path / "picture.png", "--banner", "DEMO MODEL")
    assert answer.returncode == 0, answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
    picture = pixels(tmp_path / "picture.png")
    assert picture.shape == (900, 1600, 3)
    layout = rendering.make_layout(banner=True)
    surfaces = box_of(picture, layout.surfaces)
    places = [np.argwhere(hue(surfaces, color)).mean(axis=0) for color in COLORS]
    # Index i grows to the patient's left, which is the viewer's right; k grows upwards.
    assert places[0][1] < places[1][1]
    assert places[2][1] < places[3][1]
    assert places[0][0] > places[2][0]
    assert places[1][0] > places[3][0]
    for box, count in ((layout.axial, 2), (layout.coronal, 4), (layout.sagittal, 2)):
        view = box_of(picture, box)
        # Outlines have the pure colour, fills are mixed with the image.
        assert sum(hue(view, color).sum() > 100 for color in COLORS) == count


@pytest.mark.slow
def test_the_banner_is_drawn(files, tmp_path):
    for name, arguments in (("with", ["--banner", "DEMO MODEL"]), ("without", [])):
        assert draw(*files, tmp_path / f"{name}.png", *arguments).returncode == 0
    bar = rendering.Box(0, 0, 1600, 40)
    red = np.array([0.78, 0.16, 0.13]) * 255
    shares = [
        (np.abs(box_of(pixels(tmp_path / f"{name}.png"), bar) - red).max(axis=-1) < 4).mean()
        for name in ("with", "without")
    ]
    assert shares[0] > 0.8
    assert shares[1] == 0
    bright = box_of(pixels(tmp_path / "with.png"), bar).min(axis=-1) > 200
    assert bright.sum() > 200  # the letters


@pytest.mark.slow
def test_nothing_found_still_gives_a_picture(files, tmp_path):
    empty = Image(np.zeros((40, 40, 40), np.uint8), np.diag([-3.0, -3.0, 3.0, 1.0]))
    write_segmentation([Layer(empty, ())], tmp_path / "empty.seg.nrrd", {})
    answer = draw(files[0], tmp_path / "empty.seg.nrrd", tmp_path / "picture.png")
    assert answer.returncode == 0, answer.stderr
    assert box_of(pixels(tmp_path / "picture.png"), rendering.make_layout(False).axial).max() > 100


@pytest.mark.slow
def test_a_missing_file_is_one_sentence(files, tmp_path):
    answer = draw(tmp_path / "missing.nii.gz", files[1], tmp_path / "picture.png")
    assert answer.returncode == 2
    assert "missing.nii.gz" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always draw")
def test_a_computer_that_cannot_draw_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(rendering, "_loads", lambda library: False)
    with pytest.raises(SetupError) as caught:
        rendering.make_window()
    assert caught.value.code == "environment.rendering"
    assert "libegl1" in caught.value.remedy
    assert "libosmesa6" in caught.value.remedy


@pytest.mark.slow
def test_without_a_driver_it_says_so_and_does_not_crash(files, tmp_path, monkeypatch):
    if not sys.platform.startswith("linux") or rendering._loads("libOSMesa.so.8"):
        pytest.skip("this computer can also draw without EGL")
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_DIRS", str(tmp_path))
    answer = draw(*files, tmp_path / "picture.png")
    assert answer.returncode == 4
    assert "libegl1" in answer.stderr


def test_slices_show_structures_at_their_widest():
    labels = np.zeros((20, 30, 40), np.uint8)
    labels[8:11, 10:20, 10:30] = 1
    labels[4:16, 14:16, 18:22] = 1
    point = rendering._most_visible(Image(labels, np.diag([2.0, 3.0, 4.0, 1.0])))
    i, j, k = point / [2, 3, 4]
    assert 18 <= i < 22
    assert 14 <= j < 16
    assert 8 <= k < 11
