"""The fast engine gives the labels of the official package, on made models of every kind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engines.parity import suite
from engines.parity.cases import Case, long_cases, official_tasks, quick_cases
from engines.parity.images import NAMES
from SampleData.made_plans import KINDS

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("parity")


@pytest.fixture(scope="module")
def rows(engine, sample, folder) -> list[dict]:
    return list(suite.compare(quick_cases(), Path(engine.python), sample.ct_small, folder))


def test_every_task_kind_image_and_option_is_compared():
    cases, tasks = quick_cases(), {task.id for task in official_tasks()}
    assert {case.task for case in cases} == tasks
    assert {case.kind for case in cases} - {""} == set(KINDS)
    long = long_cases()
    assert {(case.task, case.speed) for case in long} == {
        (task.id, speed) for task in official_tasks() for speed in task.speeds
    }
    assert {case.image for case in long} == {*NAMES, "sample"}
    assert len({case.id for case in long}) == len(long)


def test_task_table_is_up_to_date():
    tool = REPOSITORY / "Tools" / "build_task_table.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_steps_are_those_of_the_official_functions(engine):
    command = [str(engine.python), "-W", "ignore", str(HERE / "run_steps.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout.splitlines()[-1])
    assert len(steps) == 11 and all(comparisons >= 12 for comparisons, _ in steps.values())
    assert {name: differ for name, (_, differ) in steps.items() if differ} == {}


@pytest.mark.slow
def test_no_voxel_differs(rows):
    assert [row for row in rows if row["error"] or row["differing"]] == [], suite.summary(rows)


@pytest.mark.slow
def test_every_task_runs_on_the_fast_path(rows):
    assert {row["path"] for row in rows} == {"nnunet"}


@pytest.mark.slow
def test_most_runs_give_several_labels(rows):
    """Otherwise the comparison would say little."""
    assert sum(row["labels"] > 0 for row in rows) >= 0.8 * len(rows)
    assert max(row["labels"] for row in rows) > 50


@pytest.mark.slow
def test_the_package_gives_the_same_with_its_own_processes(engine, sample, rows, folder):
    """So its sequential variant, with which the others are compared, stands for it."""
    some = (
        Case("total", "fast", options={"higher_order_resampling": True}),
        Case("total", structures=("liver", "heart")),
        Case("trunk_cavities", image="oblique_permuted", kind="resampled"),
    )
    ids = [case.id for case in some]
    listed = json.loads((folder / "cases.json").read_text("utf-8"))
    chosen = folder / "chosen.json"
    chosen.write_text(json.dumps([case for case in listed if case["id"] in ids]), "utf-8")
    script = HERE / "official.py"
    command = [engine.python, "-W", "ignore", script, chosen, folder / "pools", "--pools"]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    for id in ids:
        with_pools, without = (np.load(folder / n / f"{id}.npy") for n in ("pools", "official"))
        assert with_pools.any() and np.array_equal(with_pools, without)
