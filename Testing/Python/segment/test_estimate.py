"""Estimates: sane, monotone, near to what was measured, and honest about it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from TotalSegmentatorLib import catalog, engines
from TotalSegmentatorLib.engines import downloaded_models
from TotalSegmentatorLib.environment import Device, Hardware
from TotalSegmentatorLib.errors import InputError, SetupError
from TotalSegmentatorLib.estimate import (
    ENOUGH,
    Estimate,
    estimate,
    estimate_speeds,
    spacing_text,
    time_text,
)
from TotalSegmentatorLib.history import PastRun, load, record
from TotalSegmentatorLib.images import Image
from TotalSegmentatorLib.jobs import Request
from TotalSegmentatorLib.runs import complete
from TotalSegmentatorLib.work import work_of

GIB = 2**30
CPU = Device("cpu", "Processor with 2 cores", 24 * GIB, 20 * GIB)
GPU = Device("gpu:0", "NVIDIA Test", 24 * GIB, 20 * GIB)
TWO_CORES = Hardware(2, 24 * GIB, 20 * GIB, (CPU,))
WITH_GPU = Hardware(2, 24 * GIB, 20 * GIB, (GPU, CPU))
#: The image that the times in the facts were measured with, and the whole of a trunk.
CLINICAL = ((488, 404, 224), (0.75, 0.75, 1.5))
TRUNK = ((500, 500, 700), (1.0, 1.0, 1.0))

TASKS = [(task.id, speed) for task in catalog.tasks() for speed in task.speeds]
WITH_SPEEDS = [task for task in catalog.tasks() if len(task.speeds) > 1]
shapes = st.tuples(*[st.integers(3, 1200)] * 3)
spacings = st.tuples(*[st.floats(0.2, 6.0)] * 3)


def of(grid, task: str, speed: str = "normal", hardware=TWO_CORES, past=(), **more) -> Estimate:
    request = Request(task=task, speed=speed, **more)
    return estimate(*grid, complete(request).requests, hardware, past)


def numbers(one: Estimate) -> tuple[float, ...]:
    return (
        one.seconds_low,
        one.seconds,
        one.seconds_high,
        one.memory_bytes,
        one.gpu_memory_bytes,
        one.download_bytes,
    )


@pytest.mark.parametrize("hardware", [TWO_CORES, WITH_GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize(("task", "speed"), TASKS)
def test_every_task_gets_plausible_numbers(task, speed, hardware):
    for grid in (((3, 3, 3), (0.5, 0.5, 0.5)), CLINICAL, ((2000, 2000, 2000), (0.9, 0.9, 0.9))):
        found = of(grid, task, speed, hardware)
        assert all(0 <= number < math.inf for number in numbers(found))
        assert 0.8 < found.seconds_low < found.seconds < found.seconds_high
        assert found.memory_bytes > 0.4 * GIB
        assert (found.gpu_memory_bytes > 0.6 * GIB) is (found.device == GPU)
        assert found.resolution and found.time and found.sentence().startswith("Estimate")


# What was measured on two quiet cores, in seconds and GB; the package is TotalSegmentator 2.18.
@pytest.mark.parametrize(
    ("engine", "grid", "speed", "seconds", "gigabytes"),
    [
        ("totalsegmentator", ((122, 101, 112), (3.0, 3.0, 3.0)), "fast", 32.0, 4.6),
        ("totalsegmentator", CLINICAL, "fast", 30.0, 5.0),
        ("totalsegmentator", CLINICAL, "fastest", 41.0, 5.0),
        ("totalsegmentator", ((150, 101, 210), (3.0, 3.0, 3.0)), "fast", 85.0, 5.7),
        ("nnunet", CLINICAL, "fast", 13.2, 2.6),
    ],
)
def test_what_was_measured_is_met_within_a_factor_of_two(engine, grid, speed, seconds, gigabytes):
    found = of(grid, "total", speed, engine=engine)
    assert seconds / 2 < found.seconds < seconds * 2
    assert found.seconds_low < seconds < found.seconds_high
    assert gigabytes / 1.5 < found.memory_bytes / 1e9 < gigabytes * 1.5


def test_windows_are_those_that_the_package_makes():
    """Five models, 4 x 4 x 5 windows of 128 voxels each, as counted by hand."""
    request = Request(task="total", engine="totalsegmentator")
    work = work_of(*TRUNK, request)
    assert work.patch_voxels == pytest.approx(400 * 128**3, rel=0.01)
    seconds = of(TRUNK, "total", engine="totalsegmentator").seconds
    assert 60 * 67 / 2 < seconds < 60 * 67 * 2
    # The image has 467 layers at the networks' spacing, and a patch 128.
    assert work.largest_layer / work.largest_scores == pytest.approx(128 / 467)


def test_three_parts_hold_fewer_scores():
    """467 layers at the networks' spacing; the part in the middle has a third, and its margins."""

    def work(shape=TRUNK[0], task="total", **options):
        request = Request(task=task, engine="totalsegmentator", options=options)
        return work_of(shape, TRUNK[1], complete(request).requests[0])

    whole, parts = work(), work(force_split=True)
    assert parts.largest_scores / whole.largest_scores == pytest.approx(2 * (155 + 39) / 467)
    assert parts.largest_layer == pytest.approx(whole.largest_layer)
    assert parts.patch_voxels > whole.patch_voxels and parts.networks == whole.networks
    # What is large is cut in any case, and what is low never.
    large, low = (900, 900, 1500), (500, 500, 80)
    assert work(large) == work(large, force_split=True)
    assert work(low) == work(low, force_split=True)


def test_scores_that_are_resampled_are_all_held():
    def layers(**options) -> float:
        work = work_of(*TRUNK, complete(Request(task="total", options=options)).requests[0])
        return work.largest_layer / work.largest_scores

    assert layers() == pytest.approx(128 / 467)
    assert layers(higher_order_resampling=True) == 1
    split = layers(higher_order_resampling=True, force_split=True)
    assert split == pytest.approx(1 / 2)  # a part, of the two that the official package may hold


def test_our_way_is_cheaper_than_the_package_and_a_compiled_network_quicker_still():
    for speed in catalog.SPEEDS:
        official = of(TRUNK, "total", speed, engine="totalsegmentator")
        own = of(TRUNK, "total", speed)
        assert own.seconds < 0.6 * official.seconds
        assert own.memory_bytes < 0.7 * official.memory_bytes
        compiled = of(TRUNK, "total", speed, options={"compiled": True})
        assert 0.7 * own.seconds < compiled.seconds < own.seconds
    on_gpu = [
        of(TRUNK, "total", hardware=WITH_GPU, options={"compiled": compiled}).seconds
        for compiled in (True, False)
    ]
    assert on_gpu[0] == on_gpu[1]  # only networks on a processor are compiled


def test_memory_does_not_grow_with_the_height_of_the_scores():
    tall = ((500, 500, 1400), TRUNK[1])
    copies = 500 * 500 * 700 * 12
    assert of(tall, "total").memory_bytes - of(TRUNK, "total").memory_bytes == copies


@settings(max_examples=60)
@given(shapes, spacings, st.integers(0, 2), st.integers(1, 400), st.sampled_from(TASKS))
def test_a_larger_image_is_never_cheaper(shape, spacing, axis, more, task):
    larger = list(shape)
    larger[axis] += more
    small, large = (of((size, spacing), *task, hardware=WITH_GPU) for size in (shape, larger))
    for less, greater in zip(numbers(small), numbers(large), strict=True):
        assert less <= greater


@settings(max_examples=60)
@given(shapes, spacings, st.sampled_from([TWO_CORES, WITH_GPU]), st.sampled_from(WITH_SPEEDS))
def test_a_finer_speed_is_never_cheaper(shape, spacing, hardware, task):
    found = estimate_speeds(shape, spacing, Request(task=task.id), hardware)
    assert list(found) == list(task.speeds)
    times = [one.seconds for one in found.values()]
    assert times == sorted(times, reverse=True)


def test_a_region_is_cheaper_than_the_whole():
    whole, region = of(TRUNK, "total"), of(((200, 200, 200), TRUNK[1]), "total")
    assert region.seconds < whole.seconds / 3
    assert region.memory_bytes < whole.memory_bytes


def test_more_cores_and_a_gpu_are_quicker():
    sixteen = dataclasses.replace(TWO_CORES, cores=16)
    times = [of(TRUNK, "total", hardware=hardware) for hardware in (TWO_CORES, sixteen, WITH_GPU)]
    assert times[0].seconds > 2 * times[1].seconds > 2 * times[2].seconds
    assert of(TRUNK, "total", hardware=WITH_GPU, device="cpu").seconds == times[0].seconds


def test_threads_count():
    """As many as are asked for, but no more than there are cores."""
    sixteen = dataclasses.replace(TWO_CORES, cores=16)
    times = [
        of(TRUNK, "total", hardware=sixteen, options={"threads": threads}).seconds
        for threads in (1, 2, 8, 16, 64)
    ]
    assert times[0] > 1.7 * times[1] > 1.7 * times[2] > 1.7 * times[3]
    assert times[3] == times[4]
    assert of(TRUNK, "total", hardware=sixteen).seconds == times[2]  # what nnU-Net takes
    assert of(TRUNK, "total", options={"threads": 2}).seconds == of(TRUNK, "total").seconds


def test_a_past_run_with_few_threads_does_not_make_others_slow():
    one_thread = of(TRUNK, "total", options={"threads": 1})
    work = work_of(*TRUNK, complete(Request(task="total")).requests[0])
    past = PastRun(
        "nnunet", "exact", "total", "normal", False, "cpu", "", 1, work, one_thread.seconds
    )
    again = of(TRUNK, "total", past=[past] * ENOUGH)
    assert again.seconds == pytest.approx(of(TRUNK, "total").seconds)


def test_structures_and_crops_save_work():
    liver = of(TRUNK, "total", structures=("liver",))
    assert liver.seconds < of(TRUNK, "total").seconds / 5  # one of five models, on a part
    assert liver.seconds > of(TRUNK, "total", "fastest").seconds  # which finds the part first
    teeth = work_of(*TRUNK, complete(Request(task="teeth")).requests[0])
    assert teeth.networks == 3  # the body at 6 mm, the skull, and the teeth
    robust = of(TRUNK, "liver_vessels", options={"robust_crop": True})
    assert robust.seconds > of(TRUNK, "liver_vessels").seconds


def test_overlap_and_mirroring_of_a_model_folder_cost_time():
    model = str(catalog.task("demo").model_path)
    plain = of(TRUNK, "", model=model)
    assert plain.seconds == of(TRUNK, "demo").seconds
    assert of(TRUNK, "", model=model, options={"mirroring": True}).seconds > 3 * plain.seconds
    assert of(TRUNK, "", model=model, options={"step_size": 1.0}).seconds < plain.seconds
    assert plain.resolution == "3 mm"
    assert plain.download == ""


def test_a_model_s_own_plan_is_used_if_it_is_there(tmp_path):
    (model,) = catalog.task("total").speeds["fast"]
    place = tmp_path / model.folder / model.subfolder
    place.mkdir(parents=True)
    # Axes from the slowest one: the patch has 64 x 64 x 32 voxels along x, y and z.
    small = {"patch_size": [32, 64, 64], "spacing": [3, 3, 3], "UNet_base_num_features": 16}
    plans = {"configurations": {"3d_fullres": {"inherits_from": "base"}, "base": small}}
    (place / "plans.json").write_text(json.dumps(plans))
    request = Request(task="total", speed="fast", engine="totalsegmentator")
    grid = ((64, 96, 32), (3, 3, 3))
    # Two windows along y; half of the usual features cost half.
    assert work_of(*grid, request, tmp_path).patch_voxels == 2 * (64 * 64 * 32) / 2
    (place / "plans.json").write_text("{")
    assert work_of(*grid, request, tmp_path) == work_of(*grid, request)


@pytest.mark.parametrize(
    ("task", "speed", "resolution", "download"),
    [
        ("wholebody_ct", "normal", "1.5 mm", "80 MB"),
        ("wholebody_ct", "fast", "3 mm", "80 MB"),
        ("nv_ct_body", "normal", "1.5 mm", "870 MB"),
        ("nv_mri_brain", "normal", "1.5 mm", "870 MB"),
    ],
)
def test_engines_of_other_networks_tell_what_they_cost(tmp_path, task, speed, resolution, download):
    (request,) = complete(Request(task, speed=speed)).requests
    found = estimate(*TRUNK, [request], TWO_CORES, (), tmp_path)
    assert (found.resolution, found.download) == (resolution, download)
    (network,) = engines.networks(request)
    work = work_of(*TRUNK, request)
    assert work.largest_patch == math.prod(network.patch) * network.features
    own = complete(dataclasses.replace(request, options={"weights": "model.pt"})).requests
    assert estimate(*TRUNK, own, TWO_CORES, (), tmp_path).download == ""
    wider = complete(dataclasses.replace(request, options={"overlap": 0.6})).requests
    assert estimate(*TRUNK, wider, TWO_CORES).seconds > 1.3 * found.seconds


def past_run(times: float, speed: str = "fast", task: str = "total", **more) -> PastRun:
    """A run that took so many times longer than the formula says."""
    formula = of(CLINICAL, task, speed)
    work = work_of(*CLINICAL, complete(Request(task=task, speed=speed)).requests[0])
    values = {
        "engine": "nnunet",
        "mode": "exact",
        "part": False,
        "device": "cpu",
        "device_title": "",
        "threads": 0,
        **more,
    }
    return PastRun(task=task, speed=speed, work=work, seconds=formula.seconds * times, **values)


@settings(max_examples=30)
@given(st.floats(0.1, 10.0))
def test_the_more_past_runs_the_nearer_to_them(times):
    formula = of(CLINICAL, "total", "fast")
    measured = formula.seconds * times
    misses = []
    for count in range(8):
        found = of(CLINICAL, "total", "fast", past=[past_run(times)] * count)
        assert found.based_on == count
        misses.append(abs(math.log(found.seconds / measured)))
    assert all(a >= b - 1e-9 for a, b in itertools.pairwise(misses))
    assert misses[-1] <= 0.2 * misses[0] + 1e-9


def test_one_run_that_was_held_up_does_not_matter():
    usual = [past_run(1.0)] * 4
    found = of(CLINICAL, "total", "fast", past=[*usual, past_run(15.0)])
    assert found.seconds == pytest.approx(of(CLINICAL, "total", "fast").seconds)


def test_runs_of_the_same_task_outweigh_others():
    others = [past_run(5.0, task="body")] * 10
    alone = of(CLINICAL, "total", "fast", past=others)
    assert alone.based_on == 10
    assert alone.seconds > 3 * of(CLINICAL, "total", "fast").seconds
    own = [past_run(0.5)] * ENOUGH
    assert of(CLINICAL, "total", "fast", past=[*own, *others]).based_on == ENOUGH
    both = of(CLINICAL, "total", "fast", past=[*own, *others])
    assert both.seconds < of(CLINICAL, "total", "fast").seconds
    assert both.seconds_high / both.seconds < alone.seconds_high / alone.seconds


def test_runs_on_other_devices_say_nothing():
    past = [past_run(5.0, device="gpu", device_title="Another GPU")] * 5
    assert of(CLINICAL, "total", "fast", past=past).based_on == 0
    assert of(CLINICAL, "total", "fast", WITH_GPU, past=past).based_on == 0
    past = [past_run(5.0, device="gpu", device_title=GPU.title)] * 5
    assert of(CLINICAL, "total", "fast", WITH_GPU, past=past).based_on == 5


def test_runs_of_another_engine_or_mode_say_nothing():
    past = [past_run(5.0, engine="totalsegmentator")] * 4 + [past_run(5.0, mode="compiled")] * 3
    assert of(CLINICAL, "total", "fast", past=past).based_on == 0
    official = of(CLINICAL, "total", "fast", past=past, engine="totalsegmentator")
    assert official.based_on == 4
    compiled = of(CLINICAL, "total", "fast", past=past, options={"compiled": True})
    assert compiled.based_on == 3


def test_several_tasks_add_up():
    requests = complete(Request(structures=("liver", "lung_veins"))).requests
    both = estimate(*CLINICAL, requests, TWO_CORES)
    each = [estimate(*CLINICAL, [one], TWO_CORES) for one in requests]
    assert both.seconds == pytest.approx(sum(one.seconds for one in each) - 2.5)  # one start
    assert both.memory_bytes == max(one.memory_bytes for one in each)
    assert both.resolution == "1.5 mm, 0.7 × 0.7 × 1 mm"


def test_what_must_be_downloaded(tmp_path):
    models = catalog.task("total").speeds["normal"]
    requests = complete(Request(task="total")).requests
    whole = estimate(*CLINICAL, requests, TWO_CORES, (), tmp_path)
    assert whole.download == "1.2 GB"
    for model in models[:4]:
        place = tmp_path / model.folder / model.subfolder
        (place / "fold_0").mkdir(parents=True)
        for name in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth"):
            (place / name).write_text("{}")
    rest = estimate(*CLINICAL, requests, TWO_CORES, (), tmp_path)
    assert rest.download_bytes == catalog.archive(models[4]).size_bytes
    assert rest.download == "230 MB"
    assert estimate(*CLINICAL, requests, TWO_CORES).download == ""


@pytest.mark.parametrize("option", ["body_seg", "body_first"])
def test_a_crop_to_the_body_needs_its_model(option):
    def models(task: str, cropped: bool, *structures: str) -> list[int]:
        request = Request(task=task, structures=structures, options={option: cropped})
        (one,) = complete(request).requests
        return [model.dataset_id for model in downloaded_models(one)]

    assert models("total", True) == [300, *models("total", False)]
    # Cropped to something else already, or not done by the engines.
    for task, *structures in (("total", "liver"), ("breasts",), ("lung_vessels",), ("total_mr",)):
        crops = catalog.task(task).crop or structures or task.endswith("_mr")
        expected = models(task, False, *structures)
        assert models(task, True, *structures) == (expected if crops else [300, *expected])


def test_speeds_of_a_plan_are_told_once_each():
    def speeds(*structures: str) -> list[str]:
        return list(estimate_speeds(*CLINICAL, Request(structures=structures), TWO_CORES))

    assert speeds("liver", "lung_veins") == ["normal", "fast", "fastest"]
    assert speeds("lung_veins") == ["normal"]
    with pytest.raises(InputError) as caught:
        speeds("livr")
    assert caught.value.code == "input.unknown_structure"


def test_a_missing_gpu_is_an_error():
    with pytest.raises(SetupError) as caught:
        of(CLINICAL, "total", device="gpu")
    assert caught.value.code == "gpu.not_found"


def test_too_little_memory_is_said():
    small = Hardware(2, 4 * GIB, GIB, (CPU,))
    found = of(TRUNK, "total", hardware=small)
    assert found.warning == "more memory than this computer has (4 GB)"
    assert found.sentence().endswith("This is more memory than this computer has (4 GB).")
    card = dataclasses.replace(GPU, total_bytes=2 * GIB)
    found = of(TRUNK, "total", hardware=dataclasses.replace(WITH_GPU, devices=(card,)))
    assert found.warning == "more memory than the GPU has (2 GB)"
    assert of(CLINICAL, "total").warning == ""


def test_memory_of_a_gpu():
    """A window of the task total has 32 features and up to 27 classes, with the background."""
    work = work_of(*TRUNK, complete(Request(task="total")).requests[0])
    assert work.largest_window == 2 * 128**3 * (4 * 32 + 27)
    layer = work.largest_layer * 2
    expected = 0.6e9 + work.largest_window + 500 * 500 * 700 * 8 + layer
    assert of(TRUNK, "total", hardware=WITH_GPU).gpu_memory_bytes == pytest.approx(expected)


def test_an_apple_gpu_takes_main_memory():
    apple = Device("mps", "Apple GPU", 16 * GIB, 12 * GIB)
    on_mps = of(TRUNK, "total", hardware=dataclasses.replace(TWO_CORES, devices=(apple, CPU)))
    on_gpu = of(TRUNK, "total", hardware=WITH_GPU)
    assert on_mps.gpu_memory_bytes == 0
    assert on_mps.memory_bytes == on_gpu.memory_bytes + on_gpu.gpu_memory_bytes


def test_sentence(tmp_path):
    requests = complete(Request(task="total")).requests
    text = estimate(*CLINICAL, requests, TWO_CORES, (), tmp_path).sentence()
    assert text == "Estimate: about 5 min, 3 GB memory, 1.2 GB to download."


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "less than a minute"),
        (47, "less than a minute"),
        (60, "about 1 min"),
        (100, "about 2 min"),
        (12 * 60, "about 10 min"),
        (13 * 60, "about 15 min"),
        (50 * 60, "about 45 min"),
        (3700, "about 1 h"),
        (5000, "about 1.5 h"),
        (3600 * 23, "about 24 h"),
        (3600 * 40, "more than a day"),
    ],
)
def test_times_are_rounded_honestly(seconds, text):
    assert time_text(seconds) == text


@given(st.floats(1, 3600 * 28))
def test_rounding_moves_a_time_by_a_third_at_most(seconds):
    words = time_text(seconds).split()
    if words[0] == "about":
        rounded = float(words[1]) * {"min": 60, "h": 3600}[words[2]]
        assert 3 / 4.2 < rounded / seconds < 4.2 / 3


@pytest.mark.parametrize(
    ("spacing", "text"),
    [
        ((1.5, 1.5, 1.5), "1.5 mm"),
        ((0.75, 0.75, 1.0), "0.75 × 0.75 × 1 mm"),
        ((10.0, 10.0, 10.0), "10 mm"),
        (None, "the image's own"),
    ],
)
def test_resolutions(spacing, text):
    assert spacing_text(spacing) == text


def test_resolution_is_that_of_the_task_s_models():
    assert of(CLINICAL, "body", "fast").resolution == "6 mm"
    assert of(CLINICAL, "total", "fast").resolution == "3 mm"
    assert of(CLINICAL, "liver_vessels").resolution == "the image's own"


def test_a_recorded_run_is_used_for_the_next_estimate(tmp_path):
    request = complete(Request(task="total", speed="fast")).requests[0]
    image = Image(np.zeros((224, 40, 40), np.int16), np.diag([3.0, 3.0, 3.0, 1.0]))
    run = {
        "request": request.to_dict(),
        "provenance": {"device": "cpu", "threads": 2, "engine": "nnunet", "mode": "exact"},
        "timings_s": {"running_the_network": 100.0},
    }
    report = {"runs": [run], "timings_s": {"total": 110.0}}
    grid = (image.shape_ijk, image.spacing)
    before = estimate(*grid, [request], TWO_CORES)
    for _ in range(10):
        record(report, image, folder=tmp_path)
    after = estimate(*grid, [request], TWO_CORES, load(tmp_path))
    assert before.seconds < 30
    assert 80 < after.seconds < 110
    assert after.based_on == 10
