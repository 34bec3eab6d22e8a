"""nv_segment beside ``monai.bundle run``, and what it refuses; all in the engine's process."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import brain_heads as heads
import numpy as np
import pytest
from engines.monai import nv_identity
from engines.parity.images import Images

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.environment import terms
from TotalSegmentatorLib.errors import SetupError
from TotalSegmentatorLib.images import (
    read_image,
    read_labelmap,
    same_grid,
    write_labelmap,
    write_nifti,
)
from TotalSegmentatorLib.jobs import Request
from TotalSegmentatorLib.segment import segment
from TotalSegmentatorLib.session import Settings

pytestmark = pytest.mark.slow  # the engine's process imports PyTorch and MONAI

FAULTS = ("incomplete", "too much", "another size", "no numbers")
LIVER = nv_identity.Case("plain", asked=("liver",), prompts=(1,))


@pytest.fixture(scope="module")
def rows(engine, sample, tmp_path_factory) -> dict[nv_identity.Case, dict]:
    cases = nv_identity.quick_cases()
    folder = tmp_path_factory.mktemp("identity")
    found = nv_identity.compare(cases, engine.python, sample.ct_small, folder)
    return dict(zip(cases, found, strict=True))


@pytest.mark.parametrize("case", nv_identity.quick_cases(), ids=lambda case: case.id)
def test_labels_are_those_of_the_bundle(case, rows):
    row = rows[case]
    assert row["differing"] == 0
    assert row["same_grid"]
    assert len(row["labels"]) > 1, "an empty result would prove nothing"


def test_labels_from_255_on_are_labels(rows):
    """The bundle writes 255 where it has no number, and it is a label of the brain, too."""
    (brain,) = (row for case, row in rows.items() if case.task == "nv_mri_brain")
    assert max(brain["labels"]) > 255
    assert set(brain["labels"]) <= {0, *nv_identity.BRAIN}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def head(folder) -> tuple[Path, Path]:
    """A small head with its skull, and the mask of its brain, on an oblique grid."""
    place = heads.grid((3, 3, 4), (20, -10, 5), extent_mm=(153, 180, 152), flips=(-1, 1, 1))
    image, labels = heads.drawn(place, heads.pose(scale=(0.75, 0.75, 0.75)), noise=10)
    paths = folder / "head.nii", folder / "mask.nii"
    write_nifti(image, paths[0])
    write_labelmap(labels, paths[1], {})
    return paths


@pytest.fixture(scope="module")
def answer(engine, sample, folder, head) -> dict:
    """What the engine says to runs of all kinds."""
    images = Images(folder / "images", sample.ct_small)
    weights = {fault: folder / f"{fault or 'model'}.pt" for fault in ("", "wrapped", *FAULTS)}
    plain, air = (images.get(name, 1.8) for name in ("plain", "air"))

    def order(case: nv_identity.Case, image: Path = plain, path: Path = weights[""], **options):
        found = nv_identity.order(case, image, path, folder)
        return found | {"options": found["options"] | options}

    runs = {
        "plain": order(LIVER),
        "brain": order(
            dataclasses.replace(LIVER, task="nv_mri_brain", asked=("255", "300", "214"))
        ),
        "head": order(
            dataclasses.replace(
                LIVER, task="nv_mri_brain", asked=("255", "300"), window=(96, 112, 80)
            ),
            head[0],
            prepared=False,
            brain_mask=str(head[1]),
        ),
        "groups": order(
            dataclasses.replace(LIVER, asked=("liver", "spleen", "aorta", "heart")), prompt_batch=2
        ),
        "wrapped": order(LIVER, path=weights["wrapped"]),
        "no foreground": order(LIVER, air),
        "missing": order(LIVER, path=folder / "nothing.pt"),
        "tensorrt": order(LIVER, tensorrt=True),
        **{fault: order(LIVER, path=weights[fault]) for fault in FAULTS},
    }
    for name, one in runs.items():
        one["labels"] = str(folder / f"{name}.nii.gz")
    orders = {"weights": {fault: str(path) for fault, path in weights.items()}, "runs": runs}
    return nv_identity.run_engine(engine.python, orders, folder)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("incomplete", "input.wrong_model"),
        ("too much", "input.wrong_model"),
        ("another size", "input.wrong_model"),
        ("no numbers", "input.bad_model"),
        ("missing", "input.bad_model"),
        ("no foreground", "input.no_foreground"),
        ("tensorrt", "environment.tensorrt_missing"),
    ],
)
def test_no_run_without_the_right_weights(name, code, answer):
    """The bundle's configuration for several GPUs writes labels of random weights."""
    run = answer["runs"][name]
    assert run["error"] == code
    assert not run["written"]


def test_tensorrt_says_what_it_lacks(answer):
    assert "tensorrt" in answer["runs"]["tensorrt"]["message"]


def test_weights_saved_in_another_way_are_the_same(answer, folder):
    plain, wrapped = answer["runs"]["plain"], answer["runs"]["wrapped"]
    assert plain["about"]["weights_sha256"] != wrapped["about"]["weights_sha256"]
    labels = [read_labelmap(folder / f"{name}.nii.gz").array for name in ("plain", "wrapped")]
    assert np.array_equal(*labels)


def test_labels_above_255_are_written_as_they_are(answer, folder):
    labels = read_labelmap(folder / "brain.nii.gz").array
    found = set(np.unique(labels).tolist())
    assert labels.dtype == np.uint16
    assert found <= {0, 214, 255, 300} and max(found) > 255
    names = {int(value): name for value, name in answer["runs"]["brain"]["names"].items()}
    assert names == {value: catalog.task("nv_mri_brain").labels[value] for value in (255, 300, 214)}


def test_a_head_is_prepared_and_its_labels_come_back(answer, folder, head):
    run = answer["runs"]["head"]
    assert "Preparing the brain" in run["stages"]
    assert run["fractions"] == sorted(run["fractions"])
    labels, image = read_labelmap(folder / "head.nii.gz"), read_image(head[0])[0]
    assert same_grid(labels, image)
    assert set(np.unique(labels.array).tolist()) & {255, 300}


def test_a_run_tells_how_far_it_is(answer):
    run = answer["runs"]["groups"]
    assert run["stages"] == [
        "Loading the network",
        "Running the network",
        "Running the network (structures 1 to 2 of 4)",
        "Running the network (structures 3 to 4 of 4)",
        "Writing the labels",
    ]
    assert run["fractions"] == sorted(run["fractions"])
    assert len(set(run["fractions"])) >= 8  # each of 2 windows, two times


def test_a_run_tells_what_it_did(answer):
    about = answer["runs"]["plain"]["about"]
    assert about["model"] == ["NV_Segment_CTMR"]
    assert about["own_weights"] is True and "follows" not in about
    assert about["demo"] is False
    assert len(about["weights_sha256"][0]) == 64
    assert {"torch", "monai"} <= set(about["versions"])
    assert json.dumps(about).find("/") < 0  # no path


def test_layers_in_slabs_give_the_values_of_monai(answer):
    assert answer["features_as_of_monai"] == [True, True]


def test_prompts_in_groups_give_the_best_of_all(answer):
    assert answer["best_of_groups"] == [0] * 7
    assert answer["scores_that_are_no_numbers"] == "engine.bad_scores"


def test_prompts_are_grouped_by_memory(answer):
    """The scores of a prompt take 0.1 GB, and the network 5 GB, on an image of 400 slices."""
    assert answer["groups"] == {
        "117 by 26": [23, 23, 24, 23, 24],
        "117 by 512": [117],
        "1 by 8": [1],
        "9 by 8": [4, 5],
        "5 by 1": [2, 3],
    }
    at_once = answer["at_once"]
    assert at_once["2"] == 8
    assert 10 < at_once["8"] < at_once["16"] < at_once["32"] and at_once["64"] > 117
    assert at_once["64 for two"] == at_once["32"]


def test_people_accept_the_terms_once_and_get_named_structures(
    answer, engine, sample, folder, tmp_path, monkeypatch
):
    for variable in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    options = {"window": "96x96x96", "weights": str(folder / "model.pt")}
    request = Request("nv_ct_body", structures=("kidney", "23"), options=options)
    image, notices = read_image(Images(tmp_path, sample.ct_small).get("plain", 3.0))
    with pytest.raises(SetupError) as caught:
        segment(image, request, Settings(engine), notices)
    assert caught.value.code == "licence.not_accepted"
    terms.accept(catalog.task("nv_ct_body").terms)
    result = segment(image, request, Settings(engine), notices).wait()
    assert same_grid(result.merged().labels, image)
    ids = {structure["label"]: structure["id"] for structure in result.report["structures"]}
    assert ids == {5: "kidney_right", 14: "kidney_left", 23: catalog.task("nv_ct_body").labels[23]}
    assert result.provenance["engine"] == "nv_segment"
