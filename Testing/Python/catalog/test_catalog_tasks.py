"""The catalogue's tasks: complete, consistent, and helpful about wrong names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from TotalSegmentatorLib import catalog, engines
from TotalSegmentatorLib.environment.paths import interpreter
from TotalSegmentatorLib.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[3]
TASKS = catalog.tasks()
OFFICIAL = [task for task in TASKS if "totalsegmentator" in task.engines]
by_id = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)


def numbers(models: tuple[catalog.Model, ...]) -> list[int]:
    return [model.dataset_id for model in models]


def test_all_tasks_of_the_engine_that_have_weights_are_there() -> None:
    assert len(OFFICIAL) == 52
    assert len({task.id for task in TASKS}) == len({task.title for task in TASKS}) == len(TASKS)
    assert sum(task.licensed for task in OFFICIAL) == 18
    assert {task.engines for task in OFFICIAL} == {("nnunet", "totalsegmentator")}


@by_id
def test_task_is_complete(task: catalog.Task) -> None:
    assert task.title and task.description.endswith(".") and task.region
    assert task.engine == task.engines[0] and set(task.engines) <= engines.specs().keys()
    assert task.modality in ("CT", "MR")
    assert task.labels and min(task.labels) >= 1
    assert task.default_labels and task.on_request <= set(task.labels.values())
    assert not task.terms or catalog.terms(task.terms).sentence
    assert bool(task.family) == bool(task.terms) == (task not in OFFICIAL and task.id != "demo")
    assert len(set(task.labels.values())) == len(task.labels)
    assert "normal" in task.speeds and set(task.speeds) <= set(catalog.SPEEDS)


@pytest.mark.parametrize("task", OFFICIAL, ids=lambda task: task.id)
def test_models_say_where_their_weights_are(task: catalog.Task) -> None:
    for speed in task.speeds:
        for model in task.required_models(speed):
            assert model.folder.startswith(f"Dataset{model.dataset_id:03d}_")
            assert model.trainer.startswith("nnUNetTrainer")
            assert model.subfolder == f"{model.trainer}__nnUNetPlans__{model.configuration}"
            assert model.spacing_mm is None or min(model.spacing_mm) > 0
            assert task.licensed or task.hidden or model.release.endswith("-weights")


@pytest.mark.parametrize("task", OFFICIAL, ids=lambda task: task.id)
def test_parts_together_give_all_labels_of_the_task(task: catalog.Task) -> None:
    for models in task.speeds.values():
        parts = [name for model in models for name in model.labels.values()]
        assert sorted(parts) == sorted(task.labels.values() if len(models) > 1 else ())


@by_id
def test_crops_look_for_structures_that_their_task_labels(task: catalog.Task) -> None:
    for crop in filter(None, (task.crop, task.subset_crop)):
        rough = catalog.task(crop.task)
        assert {crop.speed, crop.robust_speed} <= set(rough.speeds)
        assert set(crop.structures) <= set(rough.labels.values())


@pytest.mark.parametrize(
    ("id", "speed", "structures", "robust", "expected"),
    [
        ("total", "normal", (), False, [291, 292, 293, 294, 295]),
        ("total", "fast", (), True, [297]),
        ("total", "fastest", (), False, [298]),
        ("total", "normal", ("liver", "rib_left_1"), False, [298, 291, 295]),
        ("total", "normal", ("liver",), True, [297, 291]),
        ("total", "fast", ("liver",), False, [298, 297]),
        ("total_mr", "normal", ("brain",), False, [852, 851]),
        ("teeth", "normal", (), False, [298, 115, 113]),
        ("abdominal_muscles", "normal", (), True, [300, 952]),
        ("lung_vessels", "normal", (), False, [297, 117]),
        ("liver_segments_mr", "normal", (), False, [852, 576]),
        ("vertebrae_pp_refined", "normal", (), False, [305, 803]),
        ("body", "fast", ("body_trunc",), False, [300]),
    ],
)
def test_required_models(
    id: str, speed: str, structures: tuple[str, ...], robust: bool, expected: list[int]
) -> None:
    models = catalog.task(id).required_models(speed, structures, robust_crop=robust)
    assert numbers(models) == expected


@pytest.mark.parametrize(
    ("id", "engine", "modality", "default", "on_request"),
    [
        ("wholebody_ct", "monai_bundle", "CT", 104, 0),
        ("nv_ct_body", "nv_segment", "CT", 117, 73),
        ("nv_mri_body", "nv_segment", "MR", 50, 9),
        ("nv_mri_brain", "nv_segment", "MR", 132, 0),
    ],
)
def test_tasks_of_other_networks(
    id: str, engine: str, modality: str, default: int, on_request: int
) -> None:
    task = catalog.task(id)
    assert (task.engines, task.modality) == ((engine,), modality)
    assert (len(task.default_labels), len(task.on_request)) == (default, on_request)
    assert len(task.labels) == default + on_request
    assert list(task.labels) == sorted(task.labels)
    for speed, models in task.speeds.items():
        (model,) = models
        assert task.required_models(speed) == task.required_models(speed, task.labels.values())
        assert model.checkpoint.endswith(".pt") and model.key == model.folder
        assert (model.dataset_id, model.trainer, model.folds) == (0, "", ())


def test_labels_of_the_foundation_model_are_its_own_numbers() -> None:
    body, brain = catalog.task("nv_ct_body"), catalog.task("nv_mri_brain")
    assert (body.labels[1], body.labels[14], body.labels[18]) == ("liver", "kidney_left", "rectum")
    assert set(brain.labels) == set(range(214, 346))
    assert "rectum" in body.on_request and "lung_tumor" in body.on_request
    withdrawn = {16, 129, 130, 131, 133, *range(137, 146), 162}
    for task in (body, catalog.task("nv_mri_body"), brain):
        assert not {2, 20, 21, *withdrawn} & task.labels.keys()
        assert "kidney" not in task.labels.values()
    assert max(catalog.task("nv_mri_body").labels) < 214
    assert brain.labels[255] == catalog.structure("Left-AnG---angular-gyrus").id


def test_keys_of_models_differ() -> None:
    models = {model for task in TASKS for models in task.speeds.values() for model in models}
    assert len({model.key for model in models}) == len({model.folder for model in models})
    assert len([model for model in models if model.checkpoint]) == 3


def test_terms() -> None:
    assert [(one.id, one.accept) for one in catalog.all_terms()] == [
        ("monai-wholebody", False),
        ("nv-segment-ctmr", True),
    ]
    for one in catalog.all_terms():
        assert one.title and one.sentence.endswith(".") and one.url.startswith("https://")
    with pytest.raises(InputError) as caught:
        catalog.terms("nv-segment")
    assert caught.value.code == "input.unknown_terms" and "nv-segment-ctmr" in caught.value.remedy


def test_demo_brings_its_model_along() -> None:
    demo = next((task for task in TASKS if task.id == "demo"), None)
    if demo is None:
        pytest.skip("the demo model is not there yet")
    assert demo.engines == ("nnunet",) and not demo.hidden
    assert (demo.model_path / "dataset.json").is_file()
    assert demo.required_models("normal") == ()


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [("totl", "total"), ("Liver segments", "liver_segments"), ("tooth teeth", "teeth")],
)
def test_unknown_task_names_close_ones(wrong: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        catalog.task(wrong)
    assert caught.value.code == "input.unknown_task"
    assert wrong in caught.value.message and hint in caught.value.remedy


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [("left kidney", "kidney_left"), ("Kidney-Left", "kidney_left"), ("rib", "rib_left_1")],
)
def test_unknown_structure_names_close_ones(wrong: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        catalog.check_structures(catalog.task("total"), ["liver", wrong])
    assert caught.value.code == "input.unknown_structure"
    assert wrong in caught.value.message and hint in caught.value.remedy


def test_names_with_nothing_near_still_get_a_remedy() -> None:
    with pytest.raises(InputError, match="list of tasks"):
        catalog.task("")
    with pytest.raises(InputError, match="list of structures of 'total'"):
        catalog.check_structures(catalog.task("total"), ["xyzzy"])


def test_speed_that_is_not_offered() -> None:
    with pytest.raises(InputError) as caught:
        catalog.task("body").required_models("fastest")
    assert caught.value.code == "input.unknown_speed"
    assert "normal, fast" in caught.value.remedy


@pytest.mark.engine
def test_tables_are_what_the_engine_says() -> None:
    python = interpreter(REPOSITORY / ".venv-engine")
    if not python.exists():
        pytest.skip("no engine environment")
    script = str(REPOSITORY / "Tools" / "build_catalog.py")
    result = subprocess.run([str(python), script, "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_import_needs_only_the_standard_library() -> None:
    code = (
        "import sys; from TotalSegmentatorLib import catalog; catalog.tasks(); print(*sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY / "TotalSegmentator",
    )
    assert not {"numpy", "SimpleITK", "slicer", "torch", "vtk"} & set(result.stdout.split())
