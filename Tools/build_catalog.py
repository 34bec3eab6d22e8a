#!/usr/bin/env python3
"""Bring the catalogue's tables up to the registry of the installed TotalSegmentator package.

Runs in the engine environment; needs neither torch nor weights:

    python Tools/build_catalog.py            # writes catalog/data/{tasks.json,structures.csv}
    python Tools/build_catalog.py --check    # exits with 1 if the committed tables differ

``tasks.json`` is made from the registry and, for the engines that are not nnU-Net's, from the label
tables in ``catalog_inputs/``; with titles and groups from ``catalog_inputs/tasks.csv``.
``structures.csv`` is kept by hand: every class of every task needs a row there. Only two things are
written into it: the column ``tasks``, from the same sources, and a colour where a row has none.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from generated_files import REPOSITORY, check_parser, write_or_compare
from structure_colors import Color, color_of_rule, distinct_color
from totalsegmentator import map_tasks_config, map_to_binary, registry

INPUTS = Path(__file__).parent / "catalog_inputs"
DATA = REPOSITORY / "TotalSegmentator" / "TotalSegmentatorLib" / "catalog" / "data"
DEMO = Path("Models") / "Demo"
TABLE = DATA / "structures.csv"
SPEEDS = {"default": "normal", "fast": "fast", "fastest": "fastest"}
PLANS = "nnUNetPlans"  # default of the package's API
# The engines that run the tasks of the package, and a model folder; the preferred one first.
TASK_ENGINES = ("nnunet", "totalsegmentator")
FOLDER_ENGINES = ("nnunet",)
MONAI_RELEASE = "MONAI/wholeBody_ct_segmentation/resolve/0.2.5/models"
NV_RELEASE = "nvidia/NV-Segment-CTMR/resolve/main/vista3d_pretrained_model"
NV_MODALITIES = {"nv_ct_body": "CT", "nv_mri_body": "MR", "nv_mri_brain": "MR"}
# Numbers of NV-Segment that are no labels: its makers withdrew them, or they stand for others.
NV_NO_LABELS = {16, 129, 130, 131, 133, *range(137, 146), 162} | {2, 20, 21}
# From here on they are regions of the brain, which in MR have a task of their own.
NV_FIRST_OF_BRAIN = 214
# The package crops with this margin, whatever the task says, unless another task's model crops.
CROP_MARGIN_MM = (20, 20, 20)
# Label maps of the models that a task consists of, and which model gives which.
PARTS = {
    "total": (map_to_binary.class_map_5_parts, map_to_binary.map_taskid_to_partname_ct),
    "total_v3": (
        map_to_binary.class_map_5_parts_total_v3,
        map_to_binary.map_taskid_to_partname_ct_v3,
    ),
    "total_mr": (map_to_binary.class_map_parts_mr, map_to_binary.map_taskid_to_partname_mr),
    "headneck_muscles": (
        map_to_binary.class_map_parts_headneck_muscles,
        map_to_binary.map_taskid_to_partname_headneck_muscles,
    ),
}


def main() -> int:
    check = check_parser(__doc__.splitlines()[0]).parse_args().check
    files = {
        TABLE: _csv_text(build_structures()),  # first: it tells which rows it lacks
        DATA / "tasks.json": _json_text(build_tasks()),
    }
    return write_or_compare(files, check)


def build_tasks() -> dict[str, Any]:
    """The content of ``tasks.json``: the tasks in the order of ``catalog_inputs/tasks.csv``."""
    known = {id for id in registry.TASKS if _has_weights(id)}
    texts = _read_table(INPUTS / "tasks.csv")
    unknown = known - {row["id"] for row in texts}
    if unknown:
        raise SystemExit(f"tasks.csv lacks a row for: {', '.join(sorted(unknown))}")
    tasks = []
    for text in texts:
        if text["id"] in known:
            tasks.append(_common(text, TASK_ENGINES) | _official_task(text["id"]))
        elif text["id"] == "demo" and (_demo_folder() / "dataset.json").is_file():
            tasks.append(_common(text, FOLDER_ENGINES) | _demo_task())
        elif text["id"] == "wholebody_ct":
            tasks.append(_common(text, ["monai_bundle"]) | _whole_body_task())
        elif text["id"] in NV_MODALITIES:
            tasks.append(_common(text, ["nv_segment"]) | _nv_task(text["id"]))
    return {"source": f"TotalSegmentator {registry.package_version()}", "tasks": tasks}


def _has_weights(id: str) -> bool:
    """The registry also lists ``test``, whose network has no weights anywhere."""
    numbers = {number for mode in _modes(id).values() for number in _numbers(mode)}
    return numbers <= set(map_tasks_config.TASK_ID_WEIGHTS_CONFIGS)


def _common(text: Mapping[str, str], engines: Sequence[str]) -> dict[str, Any]:
    return {
        "id": text["id"],
        "title": text["title"],
        "description": text["description"],
        "engines": list(engines),
        "region": text["region"],
        "hidden": text["hidden"] == "yes",
        **{key: text[key] for key in ("family", "terms") if text[key]},
    }


def _official_task(id: str) -> dict[str, Any]:
    task: dict[str, Any] = {
        "modality": registry.task_modality(id),
        "licensed": registry.requires_license(id),
        "speeds": {
            SPEEDS[name]: [_model(id, number, mode) for number in _numbers(mode)]
            for name, mode in sorted(
                _modes(id).items(), key=lambda item: list(SPEEDS).index(item[0])
            )
        },
        "labels": _labels(map_to_binary.class_map[id]),
    }
    config = map_tasks_config.DEFAULT_CONFIG | map_tasks_config.TASK_CONFIGS[id]
    if config["crop"]:
        task["crop"] = _crop(id, config)
    elif id.startswith("total"):
        task["subset_crop"] = _crop(id, config)
    if id == "vertebrae_pp_refined":  # python_api.totalsegmentator runs this model in addition
        task["prerequisites"] = [["vertebrae_body", "normal"]]
    return task


def _modes(id: str) -> dict[str, dict[str, Any]]:
    config = map_tasks_config.TASK_CONFIGS[id]
    modes = config.get("sub_modes", {"default": config})
    return {name: map_tasks_config.DEFAULT_CONFIG | mode for name, mode in modes.items()}


def _numbers(mode: Mapping[str, Any]) -> list[int]:
    return mode["task_id"] if isinstance(mode["task_id"], list) else [mode["task_id"]]


def _model(id: str, number: int, mode: Mapping[str, Any]) -> dict[str, Any]:
    weights = map_tasks_config.TASK_ID_WEIGHTS_CONFIGS[number]
    spacing = mode["resample"]
    model = {
        "dataset_id": number,
        "folder": weights["foldername"],
        "release": weights.get("version", "").replace("TODO", ""),
        "trainer": mode["trainer"],
        "plans": mode["plans"] or PLANS,
        "configuration": mode["model"],
        "folds": mode["folds"] or [],
        "spacing_mm": [spacing] * 3 if isinstance(spacing, float) else spacing,
    }
    parts, names = PARTS.get(id, ({}, {}))
    if number in names:
        model["labels"] = _labels(parts[names[number]])
    return model


def _crop(id: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """How ``python_api.totalsegmentator`` crops: which task, how fine, how wide."""
    structures = config["crop"] or []
    margin = CROP_MARGIN_MM
    if config["crop_model"]:
        rough, speed, robust_speed = config["crop_model"], "normal", "normal"
        margin = config["crop_addon"]
    elif {"body_trunc", "body_extremities"} & set(structures):
        rough, speed, robust_speed = "body", "fast", "fast"
    elif id.endswith("_mr"):
        rough, speed, robust_speed = "total_mr", "fast", "fast"
    else:
        rough, robust_speed = "total", "fast"
        speed = "fast" if config["robust_crop"] else "fastest"
    return {
        "task": rough,
        "speed": speed,
        "robust_speed": robust_speed,
        "structures": structures,
        "margin_mm": list(margin),
    }


def _labels(names: Mapping[int, str]) -> dict[str, str]:
    return {str(value): names[value] for value in sorted(names)}


def _demo_folder() -> Path:
    return REPOSITORY / "TotalSegmentator" / "Resources" / DEMO


def _demo_task() -> dict[str, Any]:
    """The model that comes with the extension; its own files say what it labels."""
    dataset = json.loads((_demo_folder() / "dataset.json").read_text(encoding="utf-8"))
    labels = {value: name for name, value in dataset["labels"].items() if value}
    return {
        "modality": "CT",
        "licensed": False,
        "speeds": {"normal": []},  # nothing to download
        "labels": _labels(labels),
        "model_folder": DEMO.as_posix(),
    }


def _whole_body_task() -> dict[str, Any]:
    rows = _read_table(INPUTS / "wholebody_ct_labels.csv")
    fine = _checkpoint("MONAI_wholeBody_ct_1.5mm", MONAI_RELEASE, "model.pt", 1.5)
    rough = _checkpoint("MONAI_wholeBody_ct_3mm", MONAI_RELEASE, "model_lowres.pt", 3.0)
    return {
        "modality": "CT",
        "licensed": False,
        "speeds": {"normal": [fine], "fast": [rough]},
        "labels": {row["label"]: row["name"] for row in rows},
    }


def _nv_task(id: str) -> dict[str, Any]:
    """A task of NV-Segment: the labels of its set, and what it knows besides in such images."""
    ids = _ids(_read_table(TABLE))
    rows = _nv_labels(id)
    return {
        "modality": NV_MODALITIES[id],
        "licensed": False,
        "speeds": {"normal": [_checkpoint("NV_Segment_CTMR", NV_RELEASE, "model.pt", 1.5)]},
        "labels": {row["label"]: ids[row["name"]] for row in rows},
        "on_request": [ids[row["name"]] for row in rows if not row[id]],
    }


def _nv_labels(id: str) -> list[dict[str, str]]:
    """The rows of ``nv_segment_labels.csv`` that a task can give."""
    rows = _read_table(INPUTS / "nv_segment_labels.csv")
    return [row for row in rows if row[id] or _is_on_request(row, id)]


def _is_on_request(row: Mapping[str, str], id: str) -> bool:
    number, modality = int(row["label"]), NV_MODALITIES[id]
    return (
        id != "nv_mri_brain"
        and (modality == "CT" or number < NV_FIRST_OF_BRAIN)
        and number not in NV_NO_LABELS
        and (modality in row["modalities"].split() or not row["modalities"])
    )


def _checkpoint(folder: str, release: str, file: str, spacing_mm: float) -> dict[str, Any]:
    """A model that is one file."""
    return {
        "dataset_id": 0,
        "folder": folder,
        "release": release,
        "trainer": "",
        "plans": "",
        "configuration": "",
        "folds": [],
        "spacing_mm": [spacing_mm] * 3,
        "checkpoint": file,
    }


def build_structures() -> list[dict[str, str]]:
    """The rows of ``structures.csv`` with the tasks as they are now, and without gaps of colour.

    :raises SystemExit: if a class of a task has no row, or a row cannot be understood.
    """
    rows = _read_table(TABLE)
    where = _tasks_by_class()
    found = _ids(rows)
    missing = where.keys() - found.keys()
    if missing:
        raise SystemExit(f"structures.csv lacks a row for: {', '.join(sorted(missing))}")
    tasks: dict[str, list[str]] = {row["id"]: [] for row in rows}
    for name, ids in where.items():
        tasks[found[name]] += ids
    for row in rows:
        row["tasks"] = " ".join(dict.fromkeys(tasks[row["id"]]))
    _fill_colors(rows)
    return rows


def _ids(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The id of the row for every name that stands in the table."""
    return {name: row["id"] for row in rows for name in _names(row)}


def _names(row: Mapping[str, str]) -> Iterator[str]:
    """Id and aliases of a row: what tasks of any engine call it."""
    yield row["id"]
    yield from (pair.partition("=")[2] for pair in row["aliases"].split("|") if pair)


def _tasks_by_class() -> dict[str, list[str]]:
    """Which tasks give a class, for all engines; ``nv_segment`` stands for all of its labels."""
    maps = {id: _labels(names).values() for id, names in map_to_binary.class_map.items()}
    maps["demo"] = _demo_task()["labels"].values()
    maps["wholebody_ct"] = _whole_body_task()["labels"].values()
    for id in NV_MODALITIES:
        maps[id] = [row["name"] for row in _nv_labels(id)]
    maps["nv_segment"] = [row["name"] for row in _read_table(INPUTS / "nv_segment_labels.csv")]
    where: dict[str, list[str]] = {}
    for id, names in maps.items():
        for name in names:
            where.setdefault(name, []).append(id)
    return where


def _fill_colors(rows: list[dict[str, str]]) -> None:
    """Give every row without a colour one that differs from all that appear beside it."""
    colors = {row["id"]: _color(row) for row in rows if row["red"]}
    for row in rows:
        if not row["red"]:
            beside = [r for r in rows if set(r["tasks"].split()) & set(row["tasks"].split())]
            others = [colors[r["id"]] for r in beside if r["id"] in colors]
            colors[row["id"]] = distinct_color(color_of_rule(row), others)
            row |= zip(("red", "green", "blue"), map(str, colors[row["id"]]), strict=True)


def _color(row: Mapping[str, str]) -> Color:
    return int(row["red"]), int(row["green"]), int(row["blue"])


def _read_table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _json_text(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _csv_text(rows: Sequence[Mapping[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    sys.exit(main())
