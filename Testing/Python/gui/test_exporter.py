"""The export buttons: what is asked, what is written, what happens when it goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import slicer
from panel_parts import panel_ui

from TotalSegmentatorLib.errors import CancelledError
from TotalSegmentatorLib.images import Image, Layer, SegmentRecord
from TotalSegmentatorLib.jobs import Progress, Stage
from TotalSegmentatorLib.scene import image_to_volume, import_layers

RAS = np.array([[2.0, 0, 0, -20], [0, 2, 0, 10], [0, 0, 3, 100], [0, 0, 0, 1]])
DONE_S = 30


class Hooks:
    """What the panel does, without the panel."""

    def __init__(self, host) -> None:
        self._host = host
        self.said: list[str] = []
        self.errors: list = []
        self.jobs: list = []
        self.events: list = []

    def start(self, job, whenDone) -> None:
        self.jobs.append((job.start(self.events.append), whenDone))

    def say(self, text: str) -> None:
        self.said.append(text)

    def showError(self, error) -> None:
        self.errors.append(error)

    def finish(self) -> None:
        """Poll the job that was started to its end."""
        ((job, whenDone),) = self.jobs
        self.jobs.clear()
        assert self._host.wait(lambda: not job.poll(), DONE_S)
        if job.error:
            self.errors.append(job.error)
        whenDone(job)


@pytest.fixture
def ui(host):
    with panel_ui(host) as loaded:
        yield loaded


@pytest.fixture
def hooks(host):
    return Hooks(host)


@pytest.fixture
def exporter(ui, hooks):
    from TotalSegmentatorWidgets.Exporter import Exporter

    return Exporter(ui, SimpleNamespace(), hooks)


@pytest.fixture
def node(exporter):
    """A liver and a spleen, chosen for export."""
    array = np.zeros((9, 11, 13), np.uint8)
    array[1:4, 2:8, 3:12] = 1
    array[5:8, 2:5, 3:6] = 2
    labels = Image(array, RAS)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    image_to_volume(labels.with_array(array.astype(np.int16)), volume)
    made = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "CT: Leber/Milz")
    records = (
        SegmentRecord("liver", "Liver", 1, (200, 100, 50), ""),
        SegmentRecord("spleen", "Spleen", 2, (10, 20, 250), ""),
    )
    import_layers([Layer(labels, records)], made, volume)
    exporter.setNode(made)
    return made


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "Prüfung 1"
    made.mkdir()
    return made


def buttons(ui) -> list:
    return [ui.exportNiftiButton, ui.exportStlButton, ui.exportObjButton, ui.exportGltfButton]


def enabled(ui) -> list[bool]:
    return [button.enabled for button in buttons(ui)]


def glb_description(path: Path) -> dict:
    data = path.read_bytes()
    return json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])


def test_nothing_can_be_exported_without_a_segmentation(ui, exporter, node):
    assert enabled(ui) == [True] * 4
    exporter.setNode(None)
    assert enabled(ui) == [False] * 4
    assert not ui.exportDicomButton.enabled


def test_labels_are_written_with_their_names(ui, node, hooks, host, folder):
    host.answer(str(folder / "a.nii.gz"))
    ui.exportNiftiButton.click()
    assert enabled(ui) == [False] * 4  # one export at a time
    hooks.finish()
    assert hooks.errors == []
    written = nibabel.load(folder / "a.nii.gz")
    assert np.allclose(written.affine, RAS)
    values, counts = np.unique(np.asarray(written.dataobj), return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True))[1] == 3 * 6 * 9
    (extension,) = written.header.extensions
    assert "liver" in extension.get_content().decode(errors="replace")
    assert hooks.said == [f"Written: {folder / 'a.nii.gz'}"]
    assert enabled(ui) == [True] * 4
    assert [path.name for path in folder.iterdir()] == ["a.nii.gz"]


def test_dialog_proposes_a_safe_name_in_the_last_folder(ui, node, hooks, host, folder):
    host.answer("", str(folder / "a.glb"), "")
    ui.exportNiftiButton.click()
    assert hooks.jobs == []  # no answer, no export
    assert host.dialogs[0].title == "Export labels"
    assert Path(host.dialogs[0].text) == Path.home() / "CT_ Leber_Milz.nii.gz"
    ui.exportGltfButton.click()
    hooks.finish()
    ui.exportObjButton.click()
    assert Path(host.dialogs[2].text) == folder / "CT_ Leber_Milz.obj"


def test_folder_that_has_gone_is_not_proposed(ui, node, hooks, host, folder):
    host.answer(str(folder / "a.glb"), "")
    ui.exportGltfButton.click()
    hooks.finish()
    (folder / "a.glb").unlink()
    folder.rmdir()
    ui.exportGltfButton.click()
    assert Path(host.dialogs[1].text).parent == Path.home()


def test_surfaces_of_all_segments_go_into_one_gltf_file(ui, node, hooks, host, folder):
    host.answer(str(folder / "a.glb"))
    ui.exportGltfButton.click()
    hooks.finish()
    assert hooks.errors == []
    description = glb_description(folder / "a.glb")
    assert [node["name"] for node in description["nodes"]] == ["Liver", "Spleen"]
    assert hooks.said == [f"Written: {folder / 'a.glb'}"]


def test_obj_file_has_its_colours_beside_it(ui, node, hooks, host, folder):
    host.answer(str(folder / "a"))  # the dialog does not add a suffix everywhere
    ui.exportObjButton.click()
    hooks.finish()
    assert sorted(path.name for path in folder.iterdir()) == ["a.mtl", "a.obj"]
    assert "o Liver" in (folder / "a.obj").read_text("utf-8").splitlines()
    assert "newmtl Spleen" in (folder / "a.mtl").read_text("utf-8").splitlines()
    assert hooks.said == [f"2 files written to {folder}"]


def test_stl_files_go_into_a_new_folder(ui, node, hooks, host, folder):
    for _ in range(2):
        host.answer(str(folder))
        ui.exportStlButton.click()
        hooks.finish()
    assert hooks.errors == []
    names = ["CT_ Leber_Milz", "CT_ Leber_Milz (2)"]
    assert sorted(path.name for path in folder.iterdir()) == names
    for name in names:
        files = sorted((folder / name).iterdir())
        assert [path.name for path in files] == ["Liver.stl", "Spleen.stl"]
        facets = int.from_bytes(files[0].read_bytes()[80:84], "little")
        assert facets > 100
        assert files[0].stat().st_size == 84 + 50 * facets


def test_failed_stl_export_leaves_nothing(ui, node, hooks, host, folder, monkeypatch):
    from TotalSegmentatorLib.images import whole_file

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_file.__globals__["os"], "replace", full)
    host.answer(str(folder))
    ui.exportStlButton.click()
    hooks.finish()
    assert [error.code for error in hooks.errors] == ["disk.full"]
    assert hooks.said == []
    assert list(folder.iterdir()) == []
    assert enabled(ui) == [True] * 4


def test_file_is_replaced_as_the_dialog_has_asked(ui, node, hooks, host, folder):
    (folder / "a.nii.gz").write_text("before")
    host.answer(str(folder / "a.nii.gz"))
    ui.exportNiftiButton.click()
    hooks.finish()
    assert hooks.errors == []
    assert nibabel.load(folder / "a.nii.gz").shape == (13, 11, 9)


@pytest.mark.parametrize(
    "answer, present, button",
    [("a", "a.nii.gz", "exportNiftiButton"), ("a.obj", "a.mtl", "exportObjButton")],
)
def test_file_that_nobody_was_asked_about_is_kept(
    ui, node, hooks, host, folder, answer, present, button
):
    (folder / present).write_text("before")
    host.answer(str(folder / answer))
    getattr(ui, button).click()
    hooks.finish()
    assert [error.code for error in hooks.errors] == ["output.exists"]
    assert (folder / present).read_text() == "before"
    assert [path.name for path in folder.iterdir()] == [present]


def test_segmentation_without_segments_says_so(ui, node, hooks, host, folder):
    node.GetSegmentation().RemoveAllSegments()
    host.answer(str(folder / "a.nii.gz"), str(folder / "a.glb"))
    ui.exportNiftiButton.click()
    assert [error.code for error in hooks.errors] == ["output.empty"]
    ui.exportGltfButton.click()
    hooks.finish()
    assert [error.code for error in hooks.errors] == ["output.empty"] * 2
    assert list(folder.iterdir()) == []
    assert enabled(ui) == [True] * 4


def test_edits_during_the_export_do_not_reach_the_file(ui, node, hooks, host, folder):
    host.answer(str(folder / "a.nii.gz"))
    ui.exportNiftiButton.click()
    node.GetSegmentation().RemoveAllSegments()
    hooks.finish()
    assert hooks.errors == []
    assert set(np.unique(nibabel.load(folder / "a.nii.gz").dataobj)) == {0, 1, 2}


def test_segmentation_that_goes_in_mid_export_is_an_error(ui, node, hooks, host, folder):
    host.answer(str(folder / "a.glb"))
    ui.exportGltfButton.click()
    slicer.mrmlScene.RemoveNode(node)
    hooks.finish()
    assert [error.code for error in hooks.errors] == ["input.node_removed"]
    assert list(folder.iterdir()) == []


def test_segmentation_that_has_gone_before_is_an_error(ui, exporter, node, hooks, host):
    slicer.mrmlScene.RemoveNode(node)
    for button in buttons(ui):
        exporter.setNode(node)
        button.click()
    assert [error.code for error in hooks.errors] == ["input.node_removed"] * 4
    assert hooks.jobs == []
    assert host.dialogs == []  # no use in asking
    assert enabled(ui) == [False] * 4


def test_progress_of_surfaces_is_told(ui, node, hooks, host, folder):
    host.answer(str(folder / "a.glb"))
    ui.exportGltfButton.click()
    hooks.finish()
    stages = [event.text for event in hooks.events if isinstance(event, Stage)]
    assert stages == ["Building the surfaces", "Writing the surfaces"]
    fractions = [event.fraction for event in hooks.events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0 and fractions[-1] == 0.8


def test_cancelled_export_writes_nothing(ui, node, hooks, host, folder):
    host.answer(str(folder / "a.glb"))
    ui.exportGltfButton.click()
    hooks.jobs[0][0].cancel()
    hooks.finish()
    assert isinstance(hooks.errors[0], CancelledError)
    assert hooks.said == []
    assert list(folder.iterdir()) == []
    assert enabled(ui) == [True] * 4


def test_unexpected_failure_of_surfaces_ends_the_export(ui, node, hooks, host, folder, monkeypatch):
    from TotalSegmentatorWidgets import Exporter

    def fail(self):
        raise RuntimeError("a filter failed")

    monkeypatch.setattr(Exporter.SurfaceBuilder, "step", fail)
    host.answer(str(folder / "a.glb"))
    ui.exportGltfButton.click()
    hooks.finish()
    assert [error.code for error in hooks.errors] == ["engine.internal"]
    assert "a filter failed" in hooks.errors[0].details
