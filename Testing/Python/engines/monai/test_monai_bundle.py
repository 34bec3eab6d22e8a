"""The engine for MONAI's whole-body bundle: what it declares, and its runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from engines.monai import bundle_identity
from engines.parity.images import Images

from TotalSegmentatorLib import catalog, engines
from TotalSegmentatorLib.errors import InputError, SegmentationError
from TotalSegmentatorLib.images import read_image
from TotalSegmentatorLib.jobs import Progress, Request
from TotalSegmentatorLib.runs import complete
from TotalSegmentatorLib.segment import segment
from TotalSegmentatorLib.session import Settings

HERE = Path(__file__).parent
TASK = "wholebody_ct"
SPEC = engines.spec("monai_bundle")


def test_options_have_the_defaults_of_the_bundle():
    options = complete(Request(TASK)).request.options
    assert (options["overlap"], options["batch"], options["weights"]) == (0.25, 1, "")


@pytest.mark.parametrize("value", [-0.1, 0.95, float("nan"), "half"])
def test_a_wrong_overlap_is_refused(value):
    with pytest.raises(InputError) as error:
        complete(Request(TASK, options={"overlap": value}))
    assert error.value.code == "input.bad_option"


def test_a_text_is_never_taken_for_true():
    """The bundle's own option for its resolution takes the text false for true."""
    with pytest.raises(InputError) as error:
        complete(Request(TASK, options={"highres": "false"}))
    assert error.value.code == "input.unknown_option"
    (normal,), (fast,) = (catalog.task(TASK).speeds[speed] for speed in ("normal", "fast"))
    assert (normal.spacing_mm, normal.checkpoint) == ((1.5, 1.5, 1.5), "model.pt")
    assert (fast.spacing_mm, fast.checkpoint) == ((3.0, 3.0, 3.0), "model_lowres.pt")


def test_labels_are_those_of_the_first_version():
    labels = catalog.task(TASK).labels
    assert list(labels) == list(range(1, 105))
    assert len(set(labels.values())) == 104
    assert labels != {v: n for v, n in catalog.task("total").labels.items() if v < 105}


@pytest.mark.parametrize(("speed", "mm"), [("normal", 1.5), ("fast", 3.0)])
def test_cost_is_that_of_the_network(speed, mm):
    request = complete(Request(TASK, speed=speed, options={"overlap": 0.5})).request
    (work,) = engines.networks(request)
    assert (work.patch, work.spacing, work.classes) == ((96, 96, 96), (mm, mm, mm), 105)
    assert work.step == 0.5


def test_own_weights_need_no_download(tmp_path):
    (model,) = engines.downloaded_models(complete(Request(TASK, speed="fast")).request)
    assert model.folder == "MONAI_wholeBody_ct_3mm"
    own = complete(Request(TASK, options={"weights": str(tmp_path)})).request
    assert engines.downloaded_models(own) == ()


@pytest.fixture(scope="module")
def image(sample, tmp_path_factory) -> Path:
    return Images(tmp_path_factory.mktemp("images"), sample.ct_small).get("anisotropic", 12.0)


@pytest.fixture(scope="module")
def weights(engine, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    made = [engine.python, HERE / "made_bundles.py", folder, "--task", TASK, "--features", "8"]
    subprocess.run(list(map(str, made)), check=True, capture_output=True)
    return folder


def run(engine, weights: Path, path: Path, request: Request, events: list | None = None):
    image, notices = read_image(path)
    settings = Settings(engine, weights=weights)
    events = events if events is not None else []
    return segment(image, request, settings, notices, events.append).wait()


@pytest.mark.slow
def test_steps_are_those_of_monai(engine):
    command = [str(engine.python), "-W", "ignore", str(HERE / "run_monai_steps.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout.splitlines()[-1])
    assert {name: differ for name, (_, differ) in steps.items() if differ} == {}
    assert all(comparisons for comparisons, _ in steps.values())


@pytest.mark.slow
def test_no_voxel_differs_from_the_bundle(engine, sample, tmp_path):
    cases = bundle_identity.quick_cases()
    rows = list(bundle_identity.compare(cases, Path(engine.python), sample.ct_small, tmp_path))
    assert len(rows) == len(cases)
    assert [row for row in rows if row["differing"] or not row["same_grid"]] == []
    assert all(row["labels"] > 10 for row in rows)  # otherwise it would say little


@pytest.mark.slow
def test_a_run_tells_what_it_used_and_how_far_it_is(engine, weights, image):
    events: list = []
    result = run(engine, weights, image, Request(TASK, speed="fast"), events)
    told = result.provenance
    assert (told["engine"], told["model"]) == ("monai_bundle", ["MONAI_wholeBody_ct_3mm"])
    assert told["follows"] == "wholeBody_ct_segmentation 0.2.5"
    assert told["versions"].keys() == {"torch", "numpy", "monai"}
    assert len(told["weights_sha256"]) == 1 and len(told["weights_sha256"][0]) == 64
    steps = [event.fraction for event in events if isinstance(event, Progress)]
    assert len(set(steps)) > 20 and steps == sorted(steps)
    labels = result.merged().labels.array
    some = run(engine, weights, image, Request(TASK, speed="fast", structures=("liver", "colon")))
    values = [v for v, id in catalog.task(TASK).labels.items() if id in ("liver", "colon")]
    assert np.array_equal(some.merged().labels.array, np.where(np.isin(labels, values), labels, 0))


@pytest.mark.slow
def test_weights_come_from_a_file_or_the_folder_of_a_bundle(engine, weights, image, tmp_path):
    (model,) = catalog.task(TASK).speeds["fast"]
    made = weights / model.folder / model.checkpoint
    bundle = tmp_path / "bundle" / "models" / model.checkpoint
    bundle.parent.mkdir(parents=True)
    bundle.write_bytes(made.read_bytes())
    wanted = run(engine, weights, image, Request(TASK, speed="fast")).merged().labels.array
    for own in (made, tmp_path / "bundle"):
        request = Request(TASK, speed="fast", options={"weights": str(own)})
        result = run(engine, tmp_path, image, request)
        assert result.provenance["own_weights"] and "follows" not in result.provenance
        assert np.array_equal(result.merged().labels.array, wanted)


@pytest.mark.slow
def test_without_its_weights_nothing_is_run(engine, weights, image, tmp_path):
    """Neither with random ones nor with those of another model."""
    other = tmp_path / "other.pt"
    other.write_bytes(b"something else")
    for path in (tmp_path / "nothing.pt", other):
        with pytest.raises(SegmentationError) as error:
            request = Request(TASK, speed="fast", options={"weights": str(path)})
            run(engine, weights, image, request)
        assert error.value.code == "input.bad_model" and "\n" not in error.value.message
