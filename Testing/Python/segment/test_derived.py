"""Structures that an engine derives from a task's own: further layers, named and measured."""

from __future__ import annotations

import numpy as np
import pytest
from bright_blocks import REGION, volume

from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.images import (
    read_labelmap,
    read_nifti_label_names,
    same_grid,
)
from TotalSegmentatorLib.jobs import Request
from TotalSegmentatorLib.outputs import write_file
from TotalSegmentatorLib.runs import complete
from TotalSegmentatorLib.segment import segment


@pytest.fixture
def run(threshold, runs):
    def run(*structures: str):
        return segment(volume(), Request("body", structures=structures), threshold).wait()

    return run


def ids(layers) -> list[set[str]]:
    return [set(layer.label_names.values()) for layer in layers]


def test_body_and_skin_are_layers_of_their_own(run, tmp_path):
    result = run()
    assert ids(result.layers) == [{"body"}, {"body_trunc", "body_extremities"}, {"skin"}]
    body, parts, skin = (layer.labels.array > 0 for layer in result.layers)
    assert np.array_equal(body, parts) and skin.any() and (skin <= body).all()
    found = {s["id"]: s for s in result.report["structures"]}
    assert list(found) == ["body", "body_trunc", "body_extremities", "skin"]
    assert len({s["label"] for s in found.values()}) == 4
    assert found["body"]["voxels"] == body.sum()
    records = {segment.id: segment for segment in result.segments}
    assert records["skin"].name == "Skin" and "39937001" in records["skin"].terminology


def test_one_labelmap_holds_the_official_labels(run, tmp_path):
    """As the package's own file of labels: what was derived would hide them."""
    result = run()
    write_file(result, tmp_path / "labels.nii.gz")
    assert read_nifti_label_names(tmp_path / "labels.nii.gz") == {
        1: "body_trunc",
        2: "body_extremities",
    }
    own = result.layers[1].labels.array
    assert np.array_equal(read_labelmap(tmp_path / "labels.nii.gz").array, own)


def test_only_what_was_asked_for_comes(run):
    skin = run("Skin")
    assert ids(skin.layers) == [{"skin"}]
    assert skin.merged().labels.array.any()
    beneath = run("body", "body_trunc").merged()
    assert set(beneath.label_names.values()) == {"body", "body_trunc"}
    shown = {beneath.label_names[v] for v in np.unique(beneath.labels.array) if v}
    assert shown == {"body", "body_trunc"}  # the body is seen where no trunk is


def test_names_of_derived_structures_are_known_in_their_task_only():
    (one,) = complete(Request("body", structures=("Skin", "body_trunc", "skin"))).requests
    assert one.structures == ("body_trunc", "skin")
    assert complete(Request("body", structures=("skin",))).wanted == {"skin"}
    for task in ("total", "body_mr"):
        with pytest.raises(InputError) as caught:
            complete(Request(task, structures=("skin",)))
        assert caught.value.code == "input.unknown_structure"


def test_derived_labels_of_a_region_lie_on_the_image(threshold, runs):
    result = segment(volume(), Request("body", region=REGION), threshold).wait()
    assert len(result.layers) == 3
    assert all(same_grid(layer.labels, volume()) for layer in result.layers)
