"""The table of public archives, held against the catalogue's models."""

from __future__ import annotations

import re

import pytest

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog.weights import _table

ARCHIVES = tuple(_table().values())
OFFERED = [task for task in catalog.tasks() if not task.hidden]
MONAI = "MONAI/wholeBody_ct_segmentation/resolve/0.2.5/models"
NVIDIA = "nvidia/NV-Segment-CTMR/resolve/main/vista3d_pretrained_model"


@pytest.mark.parametrize("task", OFFERED, ids=lambda task: task.id)
def test_every_model_has_an_archive_unless_its_weights_need_a_licence(task):
    for models in task.speeds.values():
        for model in models:
            archive = catalog.archive(model)
            if task.licensed:
                assert archive is None
            else:
                assert archive is not None
                assert archive.dataset_id == model.dataset_id


def test_table_is_sorted_without_duplicates():
    rows = [(a.dataset_id, a.release, a.file) for a in ARCHIVES]
    assert len(rows) > 50
    assert rows == sorted(set(rows))
    zips = [a.file for a in ARCHIVES if not a.is_checkpoint]
    assert len(set(zips)) == len(zips) == len(rows) - 3


@pytest.mark.parametrize(
    "archive", [a for a in ARCHIVES if not a.is_checkpoint], ids=lambda archive: archive.file
)
def test_values_are_plausible(archive):
    assert re.fullmatch(r"v\d\.\d\.\d-weights", archive.release)
    assert archive.file.startswith(f"Dataset{archive.dataset_id:03d}_")
    assert archive.file.endswith(".zip")
    assert 40e6 < archive.size_bytes < 1.3e9
    assert re.fullmatch(r"([0-9a-f]{64})?", archive.sha256)
    assert (archive.md5, archive.purpose) == ("", "weights")


@pytest.mark.parametrize(
    ("task", "speed", "key", "md5"),
    [
        ("wholebody_ct", "normal", f"{MONAI}/model.pt", "aded45dea52f9c00b37922bcd0a98502"),
        ("wholebody_ct", "fast", f"{MONAI}/model_lowres.pt", "dbdebeae650f4fb5ea7f4ad01e0d2431"),
        ("nv_ct_body", "normal", f"{NVIDIA}/model.pt", ""),
    ],
)
def test_networks_of_others_are_single_files(task, speed, key, md5):
    (model,) = catalog.task(task).speeds[speed]
    archive = catalog.archive(model)
    assert archive.is_checkpoint and archive.file == model.checkpoint
    assert (archive.key, archive.md5, archive.purpose) == (key, md5, "monai_weights")
    assert 70e6 < archive.size_bytes < 1e9


def test_of_two_releases_the_one_that_the_model_names_is_found():
    (model,) = catalog.task("total").speeds["fast"]
    assert sum(a.dataset_id == model.dataset_id for a in ARCHIVES) == 2
    assert catalog.archive(model).release == "v2.0.0-weights"
    assert catalog.archive(model).size_bytes == 135_386_075
