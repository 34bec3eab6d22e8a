"""Plans for series, and how they are carried out, with a stand-in for reader, engine and writer."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from support.workflow_parts import StandIn, configured, made_series

from TotalSegmentatorLib.dicom.volumes import Found, TooFewImages
from TotalSegmentatorLib.dicom_workflow.configuration import RTSTRUCT, SR
from TotalSegmentatorLib.dicom_workflow.planning import make_plans, no_series
from TotalSegmentatorLib.dicom_workflow.queries import Item
from TotalSegmentatorLib.dicom_workflow.record import REPORT, load_record
from TotalSegmentatorLib.dicom_workflow.staging import FOLDER, alone_in
from TotalSegmentatorLib.dicom_workflow.targets import read_target
from TotalSegmentatorLib.dicom_workflow.workflow import exit_code
from TotalSegmentatorLib.errors import (
    CancelledError,
    EngineError,
    InputError,
    SetupError,
    internal_error,
)

RUNNER, TARGETS = "modules.TotalSegmentatorMLRunner", "modules.DataOrganizer.targets"


@pytest.fixture
def made(tmp_path, monkeypatch) -> StandIn:
    monkeypatch.setattr(os, "fsync", lambda file: None)  # which takes most of the time
    return StandIn(tmp_path / "results").use(monkeypatch)


def tasks(*names: str):
    return configured({f"{RUNNER}.task": list(names)})


def states(made: StandIn) -> dict[str, str]:
    return {uid: one.state for uid, one in load_record(made.output).series.items()}


# ---- names ----------------------------------------------------------------------------------


def test_the_first_result_has_the_plain_name_and_others_are_numbered(made):
    made.run(made_series(1, volumes=2), made_series(2), configuration=tasks("total", "body"))
    assert set(made.files()) == {
        "1.2.1/TotalSegmentator.seg.dcm",
        "1.2.1/TotalSegmentator_body_1.seg.dcm",
        "1.2.1/TotalSegmentator_total_2.seg.dcm",
        "1.2.1/TotalSegmentator_body_2.seg.dcm",
        "1.2.2/TotalSegmentator.seg.dcm",
        "1.2.2/TotalSegmentator_body_1.seg.dcm",
    }
    parts = [one.part for one in load_record(made.output).series["1.2.1"].results]
    assert sorted(parts) == [0, 1, 2, 3]


def test_names_do_not_depend_on_what_is_run_first(made, tmp_path):
    series = made_series(1, volumes=2)
    made.run(series, volume=2)
    assert set(made.files()) == {"1.2.1/TotalSegmentator_total_2.seg.dcm"}
    made.run(series, volume=1)
    made.run(series, configuration=tasks("body"), volume=1)
    made.run(series, configuration=tasks("total", "body"))
    assert made.files() == {
        "1.2.1/TotalSegmentator.seg.dcm": "dicomseg of total of volume 1 of 1.2.1, 4",
        "1.2.1/TotalSegmentator_total_2.seg.dcm": "dicomseg of total of volume 2 of 1.2.1, 4",
        "1.2.1/TotalSegmentator_body_1.seg.dcm": "dicomseg of body of volume 1 of 1.2.1, 4",
        "1.2.1/TotalSegmentator_body_2.seg.dcm": "dicomseg of body of volume 2 of 1.2.1, 4",
    }
    assert len(made.ran) == len(set(made.ran)) == 4
    parts = [one.part for one in load_record(made.output).series["1.2.1"].results]
    assert sorted(parts) == [0, 1, 2, 3]


def test_all_kinds_of_objects_go_where_targets_say(made):
    made.run(made_series(), configuration=configured(writers=[RTSTRUCT, SR]))
    names = {f"1.2.1/TotalSegmentator.{kind}.dcm" for kind in ("seg", "rtstruct", "sr")}
    assert set(made.files()) == names


def test_placeholders_of_headers_and_items(made):
    target = "dicomseg-->[i:PatientID]/[i:StudyDate]/[d:task]-[d:volume]-[d:mod].dcm"
    made.run(made_series(), configuration=configured({TARGETS: [target]}))
    assert set(made.files()) == {"_.._P_1/20200102/total-1-seg.dcm"}


def test_structures_without_a_task_are_one_result(made):
    configuration = configured({f"{RUNNER}.structures": ["liver", "lung_vessels"]})
    (plan,) = made.plan(made_series(volumes=2), configuration=configuration)
    first, second = plan.results
    assert len(first.runs.requests) > 1
    assert first.task == second.task == "structures"
    assert second.files["dicomseg"].name == "TotalSegmentator_structures_2.seg.dcm"


@pytest.mark.parametrize(
    ("targets", "code"),
    [
        (["dicomseg:mod=seg-->TotalSegmentator.seg.dcm"], "output.twice"),
        (["dicomseg:mod=seg-->[i:StudyDate].dcm"], "output.twice"),
        (["dicomseg:mod=ct-->[i:sid]/x.dcm"], "input.bad_config"),
        (["rtstruct-->[i:sid]/x.dcm"], "input.bad_config"),
        (["dicomseg-->report.json"], "input.bad_config"),
        ([f"dicomseg-->{FOLDER}/x.dcm"], "input.bad_config"),
        ([f"dicomseg-->{FOLDER.upper()}/x.dcm"], "input.bad_config"),
    ],
)
def test_bad_targets_are_told_before_anything_is_run(made, targets, code):
    with pytest.raises(InputError) as caught:
        made.run(made_series(1), made_series(2), configuration=configured({TARGETS: targets}))
    assert caught.value.code == code
    assert made.ran == []
    assert list(made.output.iterdir()) == []


def test_long_names_are_cut_and_keep_their_end(made):
    long = "[i:PatientName]" * 3
    for value in ("x" * 80, "\N{CJK UNIFIED IDEOGRAPH-5C71}" * 80):
        item = Item("dicomseg", {}, "a.seg.dcm")
        target = read_target(f"dicomseg-->{long}/{long}.rtstruct.dcm", made.output)
        folder, name = target.place(item, lambda keyword, value=value: value).parts
        assert name.endswith(".rtstruct.dcm")
        assert all(170 < len(part.encode()) <= 200 for part in (folder, name))


def test_two_series_with_one_uid_are_told_before_anything_is_run(made):
    with pytest.raises(InputError) as caught:
        made.run(made_series(1), made_series(1, slices=5))
    assert (caught.value.code, made.ran) == ("output.twice", [])
    lost = made_series(2, volumes=0, refusals=[BAD])  # there may be two files of one name
    assert exit_code(made.run(made_series(1), lost, lost)) == 3


def test_a_value_that_one_series_lacks_does_not_stop_others(made):
    target = "dicomseg-->[i:sid]/[i:AccessionNumber].dcm"
    (outcome,) = made.run(made_series(), configuration=configured({TARGETS: [target]}))
    assert [error.code for error in outcome.errors] == ["output.no_value"]


# ---- which series, which tasks --------------------------------------------------------------


def planned(made: StandIn, modality: str, *names: str, **choice: bool) -> list[str] | str:
    """The tasks that are run, or the error."""
    configuration = tasks(*names) if names else configured()
    (plan,) = made.plan(made_series(1, modality), configuration=configuration, **choice)
    return plan.error.code if plan.error else [one.task for one in plan.results]


@pytest.mark.parametrize(
    ("modality", "names", "expected"),
    [
        ("CT", (), ["total"]),
        ("MR", (), ["total_mr"]),
        ("PT", (), "input.modality"),
        ("PT", ("total",), "input.modality"),
        ("CT", ("total_mr",), "input.wrong_modality"),
        ("MR", ("total",), "input.wrong_modality"),
        ("MR", ("total", "total_mr"), ["total_mr"]),
        ("CT", ("total", "total_mr", "body"), ["total", "body"]),
    ],
)
def test_tasks_fit_the_modality(made, modality, names, expected):
    assert planned(made, modality, *names) == expected


@pytest.mark.parametrize(
    ("modality", "names", "expected"),
    [
        ("PT", (), ["total"]),
        ("MR", ("total",), ["total"]),
        ("CT", ("total", "total_mr"), ["total", "total_mr"]),
    ],
)
def test_any_modality_lets_them_run_all_the_same(made, modality, names, expected):
    assert planned(made, modality, *names, any_modality=True) == expected


def test_the_right_task_is_named(made):
    for modality, asked, fitting in (("MR", "body", "body_mr"), ("CT", "total_mr", "total")):
        (plan,) = made.plan(made_series(1, modality), configuration=tasks(asked))
        assert f"Use the task {fitting}, or" in str(plan.error)


def test_the_configuration_may_say_the_modality(made):
    told = configured({"modules.DicomImporter.meta": {"mod": "MR"}})
    (plan,) = made.plan(made_series(1, "PT"), configuration=told)
    assert (plan.modality, [one.task for one in plan.results]) == ("MR", ["total_mr"])


def test_the_configuration_may_leave_series_out(made):
    only = configured({"modules.NiftiConverter.in_datas": "dicom:mod=mr"})
    first, second = made.plan(made_series(1), made_series(2, "MR"), configuration=only)
    assert (first.error.code, first.ignored) == ("input.not_chosen", True)
    assert second.results


def test_series_and_volumes_can_be_chosen(made):
    series = made_series(1, volumes=2), made_series(2)
    assert [p.title for p in made.plan(*series, series=frozenset({"1.2.2"}))] == ["CT series 2"]
    (plan,) = made.plan(*series, volume=2)
    assert [one.volume.number for one in plan.results] == [2]
    for choice, code in (
        ({"series": frozenset({"1.9"})}, "input.unknown_series"),
        ({"volume": 3}, "input.no_volume"),
    ):
        with pytest.raises(InputError) as caught:
            made.plan(*series, **choice)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({f"{RUNNER}.task": ["totl"]}, "input.unknown_task"),
        ({f"{RUNNER}.speed": "quick"}, "input.unknown_speed"),
        ({f"{RUNNER}.device": "tpu"}, "input.unknown_device"),
        ({f"{RUNNER}.options": {"nothing": 1}}, "input.unknown_option"),
    ],
)
def test_requests_that_are_wrong_for_all_series_are_told_at_once(made, changes, code):
    with pytest.raises(InputError) as caught:
        made.plan(made_series(), configuration=configured(changes))
    assert caught.value.code == code


# ---- how it ends ----------------------------------------------------------------------------

BAD = InputError("input.series_geometry", "The distances differ.", "Export it again.")
FEW = TooFewImages("input.too_small", "It has 2 slices.")
ODD = TooFewImages("input.series_geometry", "It has images of different size.")
NOT_MEANT = InputError("input.modality", "Images of modality US are not segmented.")


def test_every_series_ends_in_a_state_and_none_stops_another(made):
    made.fail["1.2.2", 1, "total"] = RuntimeError("Doe^John died")
    outcomes = made.run(
        made_series(1),
        made_series(2),
        made_series(3, volumes=0, refusals=[BAD]),
        made_series(4, "US", volumes=0, refusals=[NOT_MEANT]),
        made_series(5, refusals=[ODD, NOT_MEANT]),
        made_series(6, volumes=0, refusals=[FEW]),
        made_series(7, volumes=0, refusals=[FEW, BAD]),
    )
    assert states(made) == {
        "1.2.1": "done",
        "1.2.2": "failed",
        "1.2.3": "failed",
        "1.2.4": "ignored",
        "1.2.5": "done",
        "1.2.6": "ignored",
        "1.2.7": "failed",
    }
    series = load_record(made.output).series
    assert series["1.2.2"].code == "engine.internal"
    assert series["1.2.3"].message == "The distances differ. Export it again."
    assert series["1.2.7"].code == BAD.code
    assert [one["code"] for one in series["1.2.5"].warnings] == [ODD.code, NOT_MEANT.code]
    assert "Doe" not in (made.output / REPORT).read_text()
    assert exit_code(outcomes) == 3
    assert not (made.output / FOLDER).exists()
    assert {path.name for path in made.output.iterdir()} == {"1.2.1", "1.2.5", REPORT}


DAMAGED = InputError("input.damaged", "It is damaged.")


@pytest.mark.parametrize("error", [BAD, DAMAGED, InputError("input.transfer_syntax", "JPEG XL.")])
def test_a_series_fails_if_a_part_of_it_is_lost(made, error):
    for _ in range(2):  # also if the rest was done before
        (outcome,) = outcomes = made.run(made_series(refusals=[ODD, error]))
        series = load_record(made.output).series["1.2.1"]
        assert (series.state, series.code, series.message) == ("failed", error.code, str(error))
        assert series.files == ["1.2.1/TotalSegmentator.seg.dcm"]
        assert (outcome.errors, exit_code(outcomes)) == ((error,), 3)
    (outcome,) = made.run(made_series(refusals=[ODD, error]), volume=1)
    assert (outcome.series.state, outcome.errors) == ("skipped", ())


def test_words_of_unexpected_errors_in_jobs_are_not_in_the_report(made):
    made.fail["1.2.1", 1, "total"] = internal_error(ValueError("Doe^John"))
    (outcome,) = made.run(made_series())
    assert outcome.series.code == "engine.internal"
    assert "Doe" not in (made.output / REPORT).read_text()


def test_a_full_disk_is_told(made, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(SetupError) as caught:
        made.run(made_series())
    assert caught.value.code == "disk.full"


def test_a_result_is_described(made):
    made.run(made_series())
    (result,) = load_record(made.output).series["1.2.1"].results
    assert (result.task, result.volume, result.found, result.absent) == (
        "total",
        1,
        ("liver",),
        ("spleen",),
    )
    assert result.warnings == ({"code": "input.coarse", "message": "Coarse."},)
    assert result.files == ("1.2.1/TotalSegmentator.seg.dcm",)


def test_nothing_found_is_a_result(made):
    made.found = False
    (outcome,) = made.run(made_series())
    (result,) = outcome.series.results
    assert (outcome.series.state, result.files) == ("done", ())
    assert result.warnings[-1]["code"] == "dicom.nothing_found"
    (again,) = made.run(made_series())
    assert again.series.state == "skipped"
    assert len(made.ran) == 1


def test_exit_codes(made):
    good, bad = made_series(1), made_series(2, volumes=0, refusals=[BAD])
    missing = SetupError("weights.missing", "They are not here.")
    assert exit_code(made.run(good)) == 0
    assert exit_code(made.run(good, bad)) == 3  # the first one is skipped
    assert exit_code(made.run(bad)) == 2
    made.fail["1.2.3", 1, "total"] = missing
    assert exit_code(made.run(made_series(3), bad)) == 4
    assert exit_code(made.run(bad, made_series(3))) == 2
    made.fail["1.2.1", 1, "total"] = missing
    assert exit_code(made.run(good, overwrite=True)) == 4
    assert made.files() == {
        "1.2.1/TotalSegmentator.seg.dcm": "dicomseg of total of volume 1 of 1.2.1, 4"
    }


def test_one_of_two_tasks_fails(made):
    made.fail["1.2.1", 1, "body"] = EngineError("engine.failed", "It failed.")
    (outcome,) = made.run(made_series(), configuration=tasks("body", "total"))
    assert outcome.series.state == "failed"
    assert exit_code([outcome]) == 3
    assert list(made.files().values()) == ["dicomseg of total of volume 1 of 1.2.1, 4"]
    made.fail.clear()
    (outcome,) = made.run(made_series(), configuration=tasks("body", "total"))
    assert (outcome.series.state, len(made.files()), len(made.ran)) == ("done", 2, 3)


def test_what_there_is_is_named_if_nothing_can_be_segmented(made):
    series = (made_series(1, "US", volumes=0, refusals=[NOT_MEANT]),)
    found = Found(series, {"SEG": 2, "": 1})
    plans = make_plans(found, configured(), load_record(made.output), made.output)
    error = no_series(found, plans)
    assert "(series: 1 US; other files: 2 SEG, 1 not DICOM)" in str(error)
    assert error.exit_code == 2


def test_cancelling_leaves_what_was_done(made):
    made.fail["1.2.2", 1, "total"] = CancelledError()
    with pytest.raises(CancelledError):
        made.run(made_series(1), made_series(2), made_series(3))
    assert states(made) == {"1.2.1": "done"}
    assert {path.name for path in made.output.iterdir()} == {"1.2.1", REPORT}


# ---- again ----------------------------------------------------------------------------------


def test_what_was_done_is_skipped(made):
    series = made_series(1), made_series(2, "MR")
    made.run(*series)
    before = {path: path.stat().st_mtime_ns for path in made.output.rglob("*.dcm")}
    made.run(*series)
    assert set(states(made).values()) == {"skipped"}
    assert len(made.ran) == 2
    assert {path: path.stat().st_mtime_ns for path in made.output.rglob("*.dcm")} == before


def test_a_missing_file_is_made_again(made):
    configuration = configured(writers=[SR])
    made.run(made_series(), configuration=configuration)
    (made.output / "1.2.1" / "TotalSegmentator.sr.dcm").unlink()
    (outcome,) = made.run(made_series(), configuration=configuration)
    assert (outcome.series.state, len(made.ran), len(made.files())) == ("done", 2, 2)


@pytest.mark.parametrize(
    ("series", "changes"),
    [
        (made_series(slices=3), {}),
        (made_series(), {f"{RUNNER}.speed": "fast"}),
        (made_series(), {"modules.DsegConverter.deflate": True}),
        (made_series(), {TARGETS: ["dicomseg-->other/[i:sid].dcm"]}),
    ],
)
def test_another_result_is_not_replaced_unasked(made, series, changes):
    made.run(made_series())
    before = made.files()
    configuration = configured(changes)
    (outcome,) = made.run(series, configuration=configuration)
    assert [error.code for error in outcome.errors] == ["output.exists"]
    assert (made.files(), len(made.ran)) == (before, 1)
    (outcome,) = made.run(series, configuration=configuration, overwrite=True)
    assert (outcome.series.state, len(made.ran)) == ("done", 2)


def test_files_of_others_are_not_replaced_unasked(made):
    (made.output / "1.2.1").mkdir(parents=True)
    (made.output / "1.2.1" / "notes.txt").write_text("mine")
    other = made.output / "1.2.1" / "TotalSegmentator.seg.dcm"
    other.write_text("mine")
    (outcome,) = made.run(made_series())
    assert [error.code for error in outcome.errors] == ["output.exists"]
    assert other.read_text() == "mine"
    made.run(made_series(), overwrite=True)
    assert other.read_text().startswith("dicomseg")
    assert (made.output / "1.2.1" / "notes.txt").read_text() == "mine"


def test_a_file_that_cannot_be_replaced_is_not_taken_for_the_new_one(made, monkeypatch):
    other = made.output / "1.2.1" / "TotalSegmentator.seg.dcm"
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    remove = Path.unlink

    def held(path, **options):
        if path == other:
            raise PermissionError(errno.EACCES, "Permission denied")
        remove(path, **options)

    monkeypatch.setattr(Path, "unlink", held)
    (outcome,) = made.run(made_series(), overwrite=True)
    assert [error.code for error in outcome.errors] == ["output.not_writable"]
    assert (outcome.there, outcome.series.files, other.read_text()) == (0, [], "mine")


def test_older_objects_go_with_the_result_that_they_belong_to(made):
    made.run(made_series(), configuration=configured(writers=[RTSTRUCT]))
    made.run(made_series(), overwrite=True)
    assert set(made.files()) == {"1.2.1/TotalSegmentator.seg.dcm"}


def test_a_series_of_an_earlier_run_keeps_its_place_in_the_record(made):
    made.run(made_series(1))
    made.run(made_series(2))
    assert states(made) == {"1.2.1": "done", "1.2.2": "done"}


# ---- whole or absent ------------------------------------------------------------------------


def test_a_new_folder_appears_by_one_renaming(made, monkeypatch):
    renamed, replace = [], os.replace

    def noting(source, target):
        renamed.append(Path(target).relative_to(made.output))
        replace(source, target)

    made.before = lambda: renamed.append(sorted(path.name for path in made.output.iterdir()))
    monkeypatch.setattr(os, "replace", noting)
    made.run(made_series(), configuration=tasks("total", "body"))
    outside = [one for one in renamed if not str(one).startswith(FOLDER)]
    assert outside == [[FOLDER], [FOLDER], Path(REPORT), Path("1.2.1"), Path(REPORT)]


class Killed(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("at", range(14))
def test_killed_at_any_step_it_leaves_what_is_whole_and_goes_on(made, monkeypatch, at, overwrite):
    configuration = configured(writers=[SR])
    if overwrite:
        made.run(made_series(slices=3), made_series(2), configuration=configuration)
    steps = iter(range(100))

    def deadly(function):
        def call(*arguments, **options):
            if next(steps) == at:
                raise Killed
            return function(*arguments, **options)

        return call

    series = made_series(1), made_series(2)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", deadly(os.replace))
        patch.setattr(Path, "unlink", deadly(Path.unlink))
        patch.setattr("shutil.rmtree", deadly(lambda *a, **k: None))  # nothing is tidied up
        while True:  # until it is killed; a short run is done again
            made.run(*series, configuration=configuration, overwrite=overwrite)
            overwrite = True
    shutil.rmtree(made.output / FOLDER, ignore_errors=True)
    assert all(text[-2:] in (" 3", " 4") for text in made.files().values())
    for outcome in made.run(*series, configuration=configuration):
        texts = [made.files()[name] for name in outcome.series.files]
        assert len(texts) == 2
        assert {text[-1] for text in texts} == {"3" if outcome.errors else "4"}
    made.run(*series, configuration=configuration, overwrite=overwrite)
    assert len(made.files()) == 4
    assert all(text.endswith("4") for text in made.files().values())
    assert not (made.output / FOLDER).exists()
    assert set(states(made).values()) <= {"done", "skipped"}


def test_a_second_run_waits_for_nobody(made):
    with alone_in(made.output):
        with pytest.raises(InputError) as caught, alone_in(made.output):
            pass
        assert caught.value.code == "output.in_use"
        assert (made.output / FOLDER).is_dir()
    made.run(made_series())


def test_rests_of_a_killed_run_are_swept(made):
    rest = made.output / FOLDER / "tmp1" / "1.2.1"
    rest.mkdir(parents=True)
    (made.output / FOLDER / "lock").touch()
    (rest / "TotalSegmentator.seg.dcm").write_text("half")
    (made.output / FOLDER / REPORT).write_text("{")
    made.run(made_series())
    assert not (made.output / FOLDER).exists()


def test_a_folder_of_somebody_else_is_left_alone(made):
    theirs = made.output / FOLDER / "notes.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(InputError) as caught:
        made.run(made_series())
    assert (caught.value.code, made.ran) == ("output.not_writable", [])
    assert theirs.read_text() == "mine"
    theirs.unlink()  # an empty one is used
    made.run(made_series())
    assert not theirs.parent.exists()


def link(path: Path, target: Path) -> None:
    target.mkdir()
    (target / "lock").write_text("theirs")
    (target / "TotalSegmentator.seg.dcm").write_text("theirs")
    try:
        path.symlink_to(target, target_is_directory=True)
    except OSError:
        pytest.skip("this user may make no links")


def test_the_own_folder_may_be_no_link(made, tmp_path):
    made.output.mkdir()
    link(made.output / FOLDER, tmp_path / "other")
    with pytest.raises(InputError) as caught:
        made.run(made_series())
    assert (caught.value.code, made.ran) == ("output.not_writable", [])
    assert [path.read_text() for path in (tmp_path / "other").iterdir()] == ["theirs"] * 2


@pytest.mark.parametrize("target", ["[i:sid]/TotalSegmentator.seg.dcm", "[i:sid]/a/b.seg.dcm"])
def test_nothing_is_put_where_links_lead(made, tmp_path, target):
    made.output.mkdir()
    link(made.output / "1.2.1", tmp_path / "other")
    configuration = configured({TARGETS: [f"dicomseg-->{target}"]})
    series = made_series(1), made_series(2)
    first, second = made.run(*series, configuration=configuration, overwrite=True)
    assert [error.code for error in first.errors] == ["output.not_writable"]
    assert (first.series.files, second.series.state) == ([], "done")
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == [
        "TotalSegmentator.seg.dcm",
        "lock",
    ]
    assert [path.read_text() for path in (tmp_path / "other").iterdir()] == ["theirs"] * 2


def test_the_output_folder_may_be_a_link(made, tmp_path):
    link(made.output, tmp_path / "other")
    (outcome,) = made.run(made_series())
    assert outcome.series.state == "done"


@pytest.mark.skipif(os.name == "nt", reason="permission bits")
def test_only_the_user_can_look_into_what_is_not_ready(made):
    modes = []
    made.before = lambda: modes.append((made.output / FOLDER).stat().st_mode & 0o777)
    made.run(made_series())
    assert modes == [0o700]
    umask = os.umask(0)
    os.umask(umask)
    assert (made.output / "1.2.1").stat().st_mode & 0o777 == 0o777 & ~umask


def test_the_report_can_be_read_by_programs(made):
    made.run(made_series(), made_series(2, volumes=0, refusals=[BAD]))
    values = json.loads((made.output / REPORT).read_text("utf-8"))
    assert [(one["uid"], one["state"], one["code"], one["files"]) for one in values["series"]] == [
        ("1.2.1", "done", "", ["1.2.1/TotalSegmentator.seg.dcm"]),
        ("1.2.2", "failed", "input.series_geometry", []),
    ]
