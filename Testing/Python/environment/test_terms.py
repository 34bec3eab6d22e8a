"""Terms of weights are accepted once on a computer, and nothing goes on without that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from TotalSegmentatorLib import catalog, environment, remedies
from TotalSegmentatorLib.environment import terms, user_data_folder
from TotalSegmentatorLib.errors import SetupError

NV = [task for task in catalog.tasks() if task.terms == "nv-segment-ctmr"]
FREE = [catalog.task("total"), catalog.task("wholebody_ct")]


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch) -> Path:
    """The user's own folder during a test."""
    for name in ("HOME", "USERPROFILE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    return user_data_folder()


def test_what_needs_no_acceptance_is_not_asked_for():
    assert [one.accept for one in map(catalog.terms, ("monai-wholebody", "nv-segment-ctmr"))] == [
        False,
        True,
    ]
    environment.check_terms(FREE)
    assert environment.open_terms(FREE) == ()


def test_tasks_are_refused_until_their_terms_are_accepted():
    assert len(NV) == 3
    assert [one.id for one in environment.open_terms([*FREE, *NV])] == ["nv-segment-ctmr"]
    with pytest.raises(SetupError) as caught:
        environment.check_terms([*FREE, *NV])
    error = caught.value
    assert error.code == "licence.not_accepted" and "non-commercial" in error.message
    assert "huggingface.co/nvidia/NV-Segment-CTMR" in error.remedy and "--" not in error.remedy
    assert error.remedies == (remedies.Remedy(remedies.ACCEPT_TERMS, value="nv-segment-ctmr"),)
    terms.accept("nv-segment-ctmr")
    environment.check_terms([*FREE, *NV])


def test_what_was_accepted_before_stays_accepted(data):
    terms.accept("older")
    terms.accept("nv-segment-ctmr")
    assert terms.is_accepted("older") and terms.is_accepted("nv-segment-ctmr")
    assert not terms.is_accepted("other")
    noted = json.loads((data / "terms.json").read_text("utf-8"))
    assert list(noted) == ["older", "nv-segment-ctmr"]
    assert noted["older"].startswith("20")  # when, as whoever is asked later may want to know


@pytest.mark.parametrize("text", ["", "[]", "nv-segment-ctmr", '"nv-segment-ctmr"'])
def test_a_note_that_cannot_be_understood_accepts_nothing(data, text):
    data.mkdir()
    (data / "terms.json").write_text(text)
    assert not terms.is_accepted("nv-segment-ctmr")
    terms.accept("nv-segment-ctmr")
    assert terms.is_accepted("nv-segment-ctmr")


def test_without_a_home_nothing_is_accepted(monkeypatch):
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(terms, "user_data_folder", nowhere)
    assert not terms.is_accepted("nv-segment-ctmr")
