"""``licence terms`` and ``accept``, and where the terms of weights are asked for."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import typer

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.cli import run
from TotalSegmentatorLib.environment import EngineEnvironment, terms
from TotalSegmentatorLib.errors import SetupError
from TotalSegmentatorLib.jobs import Request
from TotalSegmentatorLib.runs import Runs
from TotalSegmentatorLib.session import Settings

ID = "nv-segment-ctmr"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    for name in ("HOME", "USERPROFILE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "w"))
    return tmp_path


@pytest.fixture
def answers(monkeypatch) -> list[bool]:
    """A person at a terminal: what is answered to the questions to come; too many fail."""
    found: list[bool] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", lambda question, err: found.pop(0))
    return found


def test_terms_are_listed_and_accepted(call):
    listed = {one["id"]: one for one in json.loads(call("licence", "terms", "--json").out)}
    assert set(listed) == {one.id for one in catalog.all_terms()}
    assert listed[ID]["state"] == "not accepted" and listed[ID]["title"] == "non-commercial"
    assert listed["monai-wholebody"]["state"] == "need not be accepted"
    answer = call("licence", "accept", ID)
    assert answer.code == 0 and catalog.terms(ID).url in answer.err
    assert " accepted " in call("licence", "terms").out


@pytest.mark.parametrize("text", ["nv-segment", "aca_0123456789ABCD"])
def test_unknown_terms_are_refused_and_not_repeated(call, text):
    answer = call("licence", "accept", text)
    assert answer.code == 2 and "[input.unknown_terms]" in answer.err and ID in answer.err
    assert not any(f"{text} " in line or f"'{text}'" in line for line in answer.err.splitlines())


def consent(tmp_path: Path, task: str, yes: bool = True) -> Settings:
    """What ``segment`` asks before it runs a task."""
    request = Request(task=task, engine="nnunet")
    settings = Settings(EngineEnvironment(tmp_path / "python"), may_download=yes)
    return run.with_consent(Runs(request, (request,)), settings)


@pytest.fixture
def checked(monkeypatch) -> list[Runs]:
    """What else is checked, and found good."""
    found: list[Runs] = []
    monkeypatch.setattr(run, "check", lambda runs, settings: found.append(runs))
    return found


def test_a_person_is_asked_once(checked, answers, tmp_path):
    answers.append(True)
    consent(tmp_path, "nv_ct_body")
    consent(tmp_path, "nv_mri_body")
    assert answers == [] and terms.is_accepted(ID) and len(checked) == 2


def test_who_says_no_may_say_yes_later(checked, answers, tmp_path):
    for answer in (False, True):
        assert not terms.is_accepted(ID)
        answers.append(answer)
        if answer:
            consent(tmp_path, "nv_ct_body")
            continue
        with pytest.raises(SetupError) as caught:
            consent(tmp_path, "nv_ct_body")
        assert caught.value.code == "licence.not_accepted" and checked == []


def test_the_consent_to_downloads_accepts_no_terms(checked, tmp_path, monkeypatch):
    """Nobody is at the terminal, and --yes was given."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(SetupError) as caught:
        consent(tmp_path, "nv_ct_body", yes=True)
    assert caught.value.code == "licence.not_accepted"
    consent(tmp_path, "wholebody_ct")  # its terms need not be accepted
    assert len(checked) == 1


def test_a_download_is_asked_for_after_the_terms(answers, tmp_path, monkeypatch):
    def check(runs: Runs, settings: Settings) -> None:
        if not settings.may_download:
            raise SetupError("weights.missing", "They are missing.")

    monkeypatch.setattr(run, "check", check)
    answers.extend([True, True])
    assert consent(tmp_path, "nv_ct_body", yes=False).may_download
    answers.append(False)
    with pytest.raises(SetupError) as caught:
        consent(tmp_path, "nv_ct_body", yes=False)
    assert caught.value.code == "weights.missing" and answers == []


def test_weights_are_not_downloaded_without(call, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    answer = call("weights", "download", "nv_ct_body")
    assert answer.code == 4 and answer.err.splitlines()[-1].endswith("[licence.not_accepted]")
    assert "licence accept" in answer.err


def test_a_bundle_leaves_out_what_was_not_accepted(call, home):
    answer = call(
        "bundle", "create", home / "b.zip", "--no-engine", "--task", "nv_ct_body", "--yes"
    )
    assert answer.code == 2 and "[input.empty_bundle]" in answer.err
    (model,) = catalog.task("nv_ct_body").speeds["normal"]
    assert f"terms were not accepted: {model.folder}." in answer.err
