"""A result on its way to DICOM files: what its labels mean, where they lie, where files appear."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from made_orders import assert_same_places, content, made_labels, read_places
from pydicom import dcmread
from SampleData.dicom_series import Grid, save, slices_of

from TotalSegmentatorLib import catalog, dicom_results
from TotalSegmentatorLib.dicom.orders import SEGMENTATION, Algorithm, DicomOptions, Written
from TotalSegmentatorLib.dicom.series import find_series
from TotalSegmentatorLib.dicom.writing.writing import write
from TotalSegmentatorLib.dicom_results import algorithm_of, contents_of, write_dicom
from TotalSegmentatorLib.environment import EngineEnvironment
from TotalSegmentatorLib.errors import CancelledError, InputError, SetupError
from TotalSegmentatorLib.images import Image, Layer, Notice, SegmentRecord
from TotalSegmentatorLib.jobs import EngineResult, Request, Started, Warned
from TotalSegmentatorLib.report import make_report, measure, segment_records
from TotalSegmentatorLib.session import Settings

SHAPE = (6, 10, 12)
NAMES = {1: "spleen", 2: "kidney_right", 3: "kidney_left", 4: "gallbladder"}
OWN_ENGINE = {
    "engine": "nnunet",
    "follows": "TotalSegmentator 2.18.0",
    "model": ["Dataset291", "Dataset292"],
    "versions": {"torch": "2.8"},
    "weights_sha256": ["0123456789abcdef"],
    "demo": False,
}
OFFICIAL = {"versions": {"TotalSegmentator": "2.17.0", "torch": "2.8"}, "demo": False}
FOLDER = {
    "model": "knee",
    "versions": {"torch": "2.8"},
    "weights_sha256": ["0123456789abcdef", "x"],
    "demo": True,
}
BUNDLE = {"follows": "wholeBody_ct_segmentation 0.2.5", "versions": {"monai": "1.6.1"}}
FILES = {SEGMENTATION: "seg.dcm"}
SETTINGS = Settings(EngineEnvironment(Path(sys.executable)))


@pytest.fixture
def images() -> list:
    return slices_of(np.zeros(SHAPE, int), Grid(row=(-1.0, 0.0, 0.0), lean_mm=0.5))


@pytest.fixture
def volume(images, tmp_path):
    save(images, tmp_path / "images")
    (series,) = find_series(tmp_path / "images").series
    (volume,) = series.volumes
    return volume


@pytest.fixture
def result(volume) -> tuple[list[Layer], dict]:
    """The layer of a task, in which one of four structures is missing, and its report."""
    image = Image(np.full(SHAPE, 50, np.int16), volume.ijk_to_ras)
    labels = image.with_array(made_labels(SHAPE))
    structures = measure(labels, image, NAMES, "total")
    layer = Layer(labels, segment_records(structures), NAMES)
    return [layer], report(OWN_ENGINE, structures=structures)


@pytest.fixture
def engine_here(monkeypatch, tmp_path) -> Path:
    """What the engine process would do is done here; gives its private folder."""

    class Here:
        folder = tmp_path / "private"

        def write_dicom(self, order, context) -> Written:
            return write(order, context)

    @contextmanager
    def session(settings, context):
        Here.folder.mkdir(exist_ok=True)
        yield Here()

    monkeypatch.setattr(dicom_results, "Session", session)
    return Here.folder


def report(*provenances: dict, structures=(), speed: str = "normal") -> dict:
    runs = [
        (Request(task, speed=speed), EngineResult(Path("labels.nii"), {}, provenance))
        for task, provenance in zip(("total", "lung_vessels"), provenances, strict=False)
    ]
    return make_report({"path": "", "sha256": ""}, runs[0][0], runs, structures, [], 1.0)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (report(OWN_ENGINE), Algorithm("TotalSegmentator", "2.18.0", "total")),
        (report(OFFICIAL, speed="fast"), Algorithm("TotalSegmentator", "2.17.0", "total (fast)")),
        (report(FOLDER), Algorithm("knee", "0123456789ab", "total", demo=True)),
        (
            report(OWN_ENGINE, {**OWN_ENGINE, "weights_sha256": ["ff"], "model": ["Dataset5"]}),
            Algorithm("TotalSegmentator", "2.18.0", "total, lung_vessels"),
        ),
        (report(BUNDLE), Algorithm("wholeBody_ct_segmentation", "0.2.5", "total")),
        (
            report(OWN_ENGINE, BUNDLE),
            Algorithm(
                "TotalSegmentator, wholeBody_ct_segmentation",
                "2.18.0, 0.2.5",
                "total, lung_vessels",
            ),
        ),
        (report({"demo": False}), Algorithm("total", "", "total")),
    ],
    ids=[
        "own engine",
        "official package",
        "model folder",
        "two tasks",
        "another engine",
        "two engines",
        "nothing known",
    ],
)
def test_the_algorithm_is_read_off_the_report(made, expected):
    assert algorithm_of(made) == expected


def test_segments_come_from_the_catalogue_with_their_measurements(result):
    layers, made = result
    contents = contents_of(layers, made)
    assert [(one.label, one.id) for one in contents] == list(NAMES.items())[:3]
    right = contents[1]
    kidney = catalog.structure("kidney_right")
    assert (right.name, right.type, right.type_modifier) == (
        "Right kidney",
        kidney.type,
        kidney.type_modifier,
    )
    assert right.description == "2 : kidney_right"
    assert (right.task, right.made, right.color) == ("total", "AUTOMATIC", kidney.color)
    assert right.volume_ml == made["structures"][1]["volume_ml"] > 0
    assert (right.mean, right.sd, right.median) == (50, 0, 50)
    *_, absent = contents_of(layers, made, absent=True)
    assert (absent.id, absent.volume_ml, absent.mean) == ("gallbladder", None, None)


def test_the_labels_of_a_result_lie_where_the_images_lie(
    result, volume, images, engine_here, tmp_path
):
    layers, made = result
    events: list = []
    job = write_dicom(
        layers, volume, made, DicomOptions(), SETTINGS, tmp_path / "out", FILES, 1, events.append
    )
    written = job.wait()
    path = tmp_path / "out" / "seg.dcm"
    assert written.files == {SEGMENTATION: path}
    assert list(path.parent.iterdir()) == [path]
    assert not list(engine_here.glob("*.dcm"))
    assert_same_places(read_places(path), images, layers[0].labels.array)
    ds = dcmread(path)
    assert [one.SegmentLabel for one in ds.SegmentSequence][1] == "Right kidney"
    assert ds.SeriesNumber == 301
    assert not [event for event in events if isinstance(event, Warned)]


def test_what_came_unasked_is_left_out_of_a_labelmap_only(result, volume, engine_here, tmp_path):
    (layer,), made = result
    skin = Layer(
        layer.labels.with_array(layer.labels.array * 0 + 5),
        (SegmentRecord("skin", "Skin", 5, (1, 2, 3)),),
        {5: "skin"},
        extra=True,
    )
    structures = measure(skin.labels, layer.labels, {5: "skin"}, "body")
    both = {
        **made,
        "structures": [*made["structures"], *report({}, structures=structures)["structures"]],
    }
    numbers = {}
    for labelmap in (True, False):
        options = DicomOptions(labelmap=labelmap)
        job = write_dicom([layer, skin], volume, both, options, SETTINGS, tmp_path, FILES)
        ds = dcmread(job.wait().files[SEGMENTATION])
        numbers[labelmap] = [one.SegmentLabel for one in ds.SegmentSequence]
    assert "Skin" in numbers[False]
    assert "Skin" not in numbers[True]


def test_segments_that_no_engine_made_are_what_they_are_said_to_be(
    result, volume, engine_here, tmp_path
):
    (layer,), _ = result
    own = [content(1, name="Mine", made="MANUAL", task="")]
    job = write_dicom(
        [layer], volume, None, DicomOptions(), SETTINGS, tmp_path, FILES, contents=own
    )
    ds = dcmread(job.wait().files[SEGMENTATION])
    (segment,) = ds.SegmentSequence
    assert (segment.SegmentLabel, segment.SegmentAlgorithmType) == ("Mine", "MANUAL")
    assert ds.SeriesDescription == "3D Slicer Segmentation of Series 3"


@pytest.mark.parametrize(("demo", "mark"), [(False, ""), (True, "DEMO MODEL ")])
def test_segments_of_runs_that_nobody_remembers_are_still_ours(
    result, volume, engine_here, tmp_path, demo, mark
):
    (layer,), _ = result
    both = [content(1, made="MANUAL", task=""), content(2, task="", demo=demo)]
    job = write_dicom(
        [layer], volume, None, DicomOptions(), SETTINGS, tmp_path, FILES, contents=both
    )
    ds = dcmread(job.wait().files[SEGMENTATION])
    assert ds.SeriesDescription == f"{mark}TotalSegmentator Segmentation of Series 3"
    assert ds.SegmentSequence[1].SegmentAlgorithmName == "TotalSegmentator"


def test_a_full_disk_is_told(result, volume, engine_here, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("4000 requested and 12 written")  # as NumPy says it

    monkeypatch.setattr(np, "save", fail)
    layers, made = result
    job = write_dicom(layers, volume, made, DicomOptions(), SETTINGS, tmp_path, FILES)
    with pytest.raises(SetupError) as caught:
        job.wait()
    assert caught.value.code == "disk.not_writable"


def test_a_result_without_structures_gives_a_warning_and_no_file(
    result, volume, engine_here, tmp_path
):
    (layer,), made = result
    nothing = Layer(layer.labels.with_array(layer.labels.array * 0), (), NAMES)
    events: list = []
    job = write_dicom(
        [nothing],
        volume,
        made,
        DicomOptions(),
        SETTINGS,
        tmp_path / "out",
        FILES,
        on_event=events.append,
    )
    written = job.wait()
    assert written.files == {}
    (warned,) = (event for event in events if isinstance(event, Warned))
    assert written.notices == (Notice(warned.code, warned.message),)
    assert warned.code == "dicom.nothing_found"
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_told_and_left_as_it_was(
    result, volume, engine_here, tmp_path
):
    layers, made = result
    (tmp_path / "out").write_text("a file")
    job = write_dicom(layers, volume, made, DicomOptions(), SETTINGS, tmp_path / "out", FILES)
    with pytest.raises(InputError) as caught:
        job.wait()
    assert caught.value.code == "output.not_writable"
    assert (tmp_path / "out").read_text() == "a file"


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"labelmap": True}, {"deflate": True}], ids=str)
def test_the_engine_process_writes_the_same(
    engine, result, volume, images, runs, tmp_path, options
):
    layers, made = result
    events: list = []
    settings, options = Settings(engine), DicomOptions(**options)
    for name in ("first.dcm", "second.dcm"):
        names = {SEGMENTATION: name}
        job = write_dicom(
            layers, volume, made, options, settings, tmp_path, names, on_event=events.append
        )
        path = job.wait().files[SEGMENTATION]
        assert_same_places(read_places(path), images, layers[0].labels.array)
    pids = {event.pid for event in events if isinstance(event, Started)}
    assert len(pids) == 1
    assert list(runs.iterdir()) == []


@pytest.mark.slow
def test_an_engine_that_cannot_write_says_why_and_leaves_nothing(
    engine, result, volume, runs, tmp_path
):
    layers, made = result
    (tmp_path / "images" / "0001.dcm").unlink()
    job = write_dicom(
        layers, volume, made, DicomOptions(), Settings(engine), tmp_path / "out", FILES
    )
    with pytest.raises(InputError) as caught:
        job.wait()
    assert caught.value.code == "input.not_readable"
    assert "images" not in caught.value.details
    assert not (tmp_path / "out").exists()
    assert list(runs.iterdir()) == []


@pytest.mark.slow
def test_a_cancelled_writing_leaves_nothing(engine, result, volume, runs, tmp_path):
    layers, made = result
    job = write_dicom(
        layers, volume, made, DicomOptions(), Settings(engine), tmp_path / "out", FILES
    )
    job.cancel()
    with pytest.raises(CancelledError):
        job.wait()
    assert not (tmp_path / "out").exists()
    assert list(runs.iterdir()) == []
