"""The sample CT in Slicer's module Sample Data: offered, loaded, and refused in one sentence."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import slicer

from TotalSegmentatorLib.environment import sample_data
from TotalSegmentatorLib.errors import SetupError
from TotalSegmentatorLib.images import read_image
from TotalSegmentatorLib.images.fingerprint import fingerprint
from TotalSegmentatorLib.scene import view_volume, volume_modality

CACHE = Path(__file__).resolve().parents[3] / ".cache"


@pytest.fixture
def samples(host, sample, monkeypatch):
    """The file under test, on a computer that has the sample CT."""
    from TotalSegmentatorWidgets import SampleVolume

    monkeypatch.setattr(SampleVolume, "user_data_folder", lambda: CACHE)
    return SampleVolume


@pytest.fixture
def offline(samples, tmp_path, monkeypatch):
    """The same on a computer that has neither the sample CT nor a network."""

    def fail(command, **options):
        return subprocess.CompletedProcess(command, 1, "", "no such network")

    monkeypatch.setattr(samples, "user_data_folder", lambda: tmp_path)
    monkeypatch.setattr(subprocess, "run", fail)
    return samples


@pytest.fixture
def registered(samples):
    """How Slicer's module Sample Data describes the sample CT."""
    import SampleData

    assert samples.register()
    assert samples.register()
    (source,) = SampleData.SampleDataLogic.sampleDataSourcesByCategory("TotalSegmentator")
    return source


def test_slicer_without_sample_data_is_left_alone(samples, monkeypatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    assert samples.register() is False


def test_the_sample_is_offered_under_its_name(registered, sample):
    assert registered.sampleName == "TotalSegmentator demo CT"
    # What Slicer's logic does with it for a script: fetch by URI, check, load under the name.
    assert registered.uris == [sample.ct.absolute().as_uri()]
    assert registered.fileNames == [sample.ct.name]
    assert registered.nodeNames == ["DemoCT"]
    assert registered.checksums == ["SHA256:" + sample_data.MEMBERS["ct"][1]]
    assert registered.loadFileType == ["VolumeFile"]
    assert 0 < Path(registered.thumbnailFileName).stat().st_size < 30_000


def test_a_click_loads_the_ct_that_the_demo_model_knows(registered, host, sample):
    (node,) = host.downloadSample("TotalSegmentator demo CT")
    assert (node.GetName(), node.GetScene()) == ("DemoCT", slicer.mrmlScene)
    assert volume_modality(node) == "CT"
    image, _ = read_image(sample.ct)
    assert fingerprint(view_volume(node)[0]) == fingerprint(image)
    assert np.array_equal(view_volume(node)[0].ijk_to_ras, image.ijk_to_ras)
    assert node.GetDisplayNode().GetWindow() == 350
    (second,) = host.downloadSample("TotalSegmentator demo CT")
    assert second.GetName() != node.GetName()


def test_offline_is_one_sentence_and_no_node(offline, host, tmp_path):
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(SetupError) as caught:
        offline.load()
    assert caught.value.code == "environment.sample_data"
    assert caught.value.message == "pip could not download the sample CT."
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert host.dialogs == []  # none in testing
    assert host.mainWindow.statusBar().currentMessage() == ""


def test_slicers_own_python_fetches_it_and_the_application_stays_alive(offline, monkeypatch):
    import qt

    ticks: list[int] = []
    commands: list[list[str]] = []

    def fail(command, **options):
        commands.append(command)
        time.sleep(0.3)
        return subprocess.CompletedProcess(command, 1, "", "")

    timer = qt.QTimer()
    timer.setInterval(5)
    timer.connect("timeout()", lambda: ticks.append(1))
    timer.start()
    monkeypatch.setattr(subprocess, "run", fail)
    monkeypatch.setattr(offline, "pip_python", lambda: Path("bin") / "PythonSlicer")
    with pytest.raises(SetupError):
        offline.load()
    timer.stop()
    assert Path(commands[0][0]).name == "PythonSlicer"
    assert len(ticks) > 3


def test_people_are_told_in_one_dialog(offline, host):
    host.setTesting(False)
    host.answer("OK")
    with pytest.raises(SetupError):
        offline.load()
    (dialog,) = host.dialogs
    assert dialog.text.startswith("The sample CT could not be loaded.")
    assert "pip could not download the sample CT." in dialog.text
