#!/usr/bin/env python3
"""Make the catalogue's tables from the registry of the installed TotalSegmentator package.

Runs in the engine environment; needs neither torch nor weights:

    python Tools/build_catalog.py            # writes catalog/data/{tasks.json,structures.csv}
    python Tools/build_catalog.py --check    # exits with 1 if the committed tables differ

What the package does not know comes from ``Tools/catalog_inputs/``: titles and groups of the tasks
(``tasks.csv``), and names and corrected codes of structures (``structures.csv``, with reasons).
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import totalsegmentator
from generated_files import REPOSITORY, parse_check, write_or_compare
from totalsegmentator import map_tasks_config, map_to_binary, registry

from TotalSegmentatorLib.catalog.structures import unlisted_structure
from TotalSegmentatorLib.catalog.terminology import Code

INPUTS = Path(__file__).parent / "catalog_inputs"
DATA = REPOSITORY / "TotalSegmentator" / "TotalSegmentatorLib" / "catalog" / "data"
DEMO = Path("Models") / "Demo"
SNOMED_TABLE = (
    Path(totalsegmentator.__path__[0]) / "resources" / "totalsegmentator_snomed_mapping.csv"
)
CODES = ("category", "type", "type_modifier", "region", "region_modifier")
COLUMNS = (
    "id",
    "name",
    *(f"{code}_{part}" for code in CODES for part in ("scheme", "value", "meaning")),
    *("red", "green", "blue", "source"),
)
UPSTREAM_CODES = {
    "category": "SegmentedPropertyCategoryCodeSequence",
    "type": "SegmentedPropertyTypeCodeSequence",
    "type_modifier": "SegmentedPropertyTypeModifierCodeSequence",
    "region": "AnatomicRegionSequence",
    "region_modifier": "AnatomicRegionModifierSequence",
}
SPEEDS = {"default": "normal", "fast": "fast", "fastest": "fastest"}
PLANS = "nnUNetPlans"  # default of the package's API
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
# Two colours nearer than this (Euclidean, 0 to 255 per channel) look alike side by side.
MINIMUM_COLOR_DISTANCE = 12.0

Color = tuple[int, int, int]


def main() -> int:
    check = parse_check(__doc__.splitlines()[0])
    files = {
        DATA / "tasks.json": _json_text(build_tasks()),
        DATA / "structures.csv": _csv_text(build_structures()),
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
            tasks.append(_common(text, "totalsegmentator") | _official_task(text["id"]))
        elif text["id"] == "demo" and (_demo_folder() / "dataset.json").is_file():
            tasks.append(_common(text, "nnunet") | _demo_task())
    return {"source": f"TotalSegmentator {registry.package_version()}", "tasks": tasks}


def _has_weights(id: str) -> bool:
    """The registry also lists ``test``, whose network has no weights anywhere."""
    numbers = {number for mode in _modes(id).values() for number in _numbers(mode)}
    return numbers <= set(map_tasks_config.TASK_ID_WEIGHTS_CONFIGS)


def _common(text: Mapping[str, str], engine: str) -> dict[str, Any]:
    return {
        "id": text["id"],
        "title": text["title"],
        "description": text["description"],
        "engine": engine,
        "region": text["region"],
        "hidden": text["hidden"] == "yes",
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


def build_structures() -> list[dict[str, str]]:
    """The rows of ``structures.csv``, one per class, those of ``total`` first."""
    upstream = {row["Structure"]: row for row in _read_table(SNOMED_TABLE)}
    corrections = {row["id"]: row for row in _read_table(INPUTS / "structures.csv")}
    rows, colors = [], []
    for id in _class_names():
        row = _row(id, upstream.get(id))
        correction = corrections.get(id, {})
        row |= {key: value for key, value in correction.items() if value and key in row}
        if correction.get("type_value"):
            row["source"] = "correction"
        colors.append(_distinct(_color(row), colors))
        row |= zip(("red", "green", "blue"), map(str, colors[-1]), strict=True)
        rows.append(row)
    return rows


def _class_names() -> list[str]:
    """All classes of all label maps, in label order; the coded and coloured ones come first."""
    maps = [map_to_binary.class_map["total"], *map_to_binary.class_map.values()]
    return list(dict.fromkeys(names[value] for names in maps for value in sorted(names)))


def _row(id: str, upstream: Mapping[str, str] | None) -> dict[str, str]:
    generic = unlisted_structure(id)
    row = dict.fromkeys(COLUMNS, "")
    row |= {"id": id, "name": generic.name, "source": "generic"}
    row |= zip(("red", "green", "blue"), map(str, generic.color), strict=True)
    for name, code in zip(CODES, generic.codes, strict=True):
        row |= _code_columns(name, code)
    if upstream:
        row |= _upstream_columns(upstream) | {"source": "totalsegmentator"}
    return row


def _code_columns(name: str, code: Code | None) -> dict[str, str]:
    return (
        {f"{name}_{part}": getattr(code, part) for part in ("scheme", "value", "meaning")}
        if code
        else {}
    )


def _upstream_columns(upstream: Mapping[str, str]) -> dict[str, str]:
    columns = {}
    for name, sequence in UPSTREAM_CODES.items():
        columns[f"{name}_scheme"] = upstream[f"{sequence}.CodingSchemeDesignator"]
        columns[f"{name}_value"] = upstream[f"{sequence}.CodeValue"]
        columns[f"{name}_meaning"] = upstream[f"{sequence}.CodeMeaning"].strip()
    channels = upstream["DicomRGBColor"].split(",")
    return columns | dict(zip(("red", "green", "blue"), channels, strict=True))


def _color(row: Mapping[str, str]) -> Color:
    return int(row["red"]), int(row["green"]), int(row["blue"])


def _distinct(color: Color, others: Iterable[Color]) -> Color:
    """The colour itself, or the nearest that can be told from all the others."""
    near = [other for other in others if _distance(color, other) < 10 * MINIMUM_COLOR_DISTANCE]
    for candidate in _candidates(color):
        if all(_distance(candidate, other) >= MINIMUM_COLOR_DISTANCE for other in near):
            return candidate
    raise SystemExit(f"no distinct colour near {color}")


def _candidates(color: Color) -> Iterator[Color]:
    """Colours around one, nearest first, on a grid; always in the same order."""
    shifts = range(-40, 41, 4)
    cube = [(r, g, b) for r in shifts for g in shifts for b in shifts]
    for shift in sorted(cube, key=lambda s: (s[0] ** 2 + s[1] ** 2 + s[2] ** 2, s)):
        red, green, blue = (c + s for c, s in zip(color, shift, strict=True))
        if min(red, green, blue) >= 0 and max(red, green, blue) <= 255:
            yield red, green, blue


def _distance(one: Color, other: Color) -> float:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5


def _read_table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _json_text(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _csv_text(rows: Iterable[Mapping[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    sys.exit(main())
