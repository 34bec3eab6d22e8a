"""The files of the demo model: small, documented, and what their card says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.environment.sample_data import LICENSE, MEMBERS

REPOSITORY = Path(__file__).resolve().parents[3]
MODEL = REPOSITORY / "TotalSegmentator" / "Resources" / "Models" / "Demo"
CHECKPOINT = MODEL / "fold_0" / "checkpoint_final.pth"


def read(name: str) -> dict[str, Any]:
    return json.loads((MODEL / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    return read("model_card.json")


@pytest.fixture(scope="module")
def labels() -> dict[str, int]:
    return read("dataset.json")["labels"]


def test_the_checkpoint_fits_into_the_repository() -> None:
    assert CHECKPOINT.stat().st_size <= 8 * 1024 * 1024


def test_the_card_belongs_to_the_checkpoint(card: dict[str, Any]) -> None:
    assert card["checkpoint"]["file"] == CHECKPOINT.relative_to(MODEL).as_posix()
    assert card["checkpoint"]["sha256"] == hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest()
    assert card["checkpoint"]["bytes"] == CHECKPOINT.stat().st_size


def test_the_labels_are_consecutive(labels: dict[str, int]) -> None:
    assert sorted(labels.values()) == list(range(len(labels)))
    assert labels["background"] == 0


def test_the_structures_are_those_of_the_task_total(labels: dict[str, int]) -> None:
    total = set(catalog.task("total").labels.values())
    structures = set(labels) - {"background"}
    assert len(structures) >= 25
    assert structures <= total


def test_the_card_claims_a_dice_for_every_structure(
    card: dict[str, Any], labels: dict[str, int]
) -> None:
    assert set(card["dice"]) == set(labels) - {"background"}
    assert card["mean_dice"] == pytest.approx(np.mean(list(card["dice"].values())), abs=1e-3)
    assert card["mean_dice"] >= 0.9
    assert min(card["dice"].values()) >= 0.8


def test_the_card_names_its_sources(card: dict[str, Any]) -> None:
    assert card["demo"] is True
    assert card["license"] == LICENSE
    assert (card["image"]["file"], card["image"]["sha256"]) == MEMBERS["ct"]
    assert (card["labels"]["file"], card["labels"]["sha256"]) == MEMBERS["reference"]
    assert (REPOSITORY / card["made_by"]["script"]).is_file()


def test_the_readme_warns_and_shows_the_table(card: dict[str, Any]) -> None:
    text = (MODEL / "README.md").read_text(encoding="utf-8")
    assert "Do not use it" in text
    assert card["checkpoint"]["sha256"] in text
    assert all(f"| {name} | {value:.3f} |" in text for name, value in card["dice"].items())


def test_the_plans_need_one_window_and_no_resampling_for_the_sample_ct() -> None:
    configuration = read("plans.json")["configurations"]["3d_fullres"]
    assert configuration["spacing"] == [3.0, 3.0, 3.0]
    assert np.all(np.greater_equal(configuration["patch_size"], (112, 101, 122)))
