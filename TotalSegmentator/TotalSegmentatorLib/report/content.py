"""The report of a run: what ``report.json`` says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .. import engines
from ..images import Image, Notice
from ..jobs import EngineResult, Request
from ..jobs.request import OptionValue
from .structures import StructureReport

SCHEMA = 1
DEMO_BANNER = "DEMO MODEL - not for any real use"


def input_record(image: Image, source: str) -> dict[str, str]:
    """Which image it was: only ``report.json`` says so.

    :param source: path of the image's file or folder; empty for one that has none.
    """
    digest = hashlib.sha256(repr((image.array.shape, image.array.dtype.str)).encode())
    digest.update(np.round(image.ijk_to_ras, 6).tobytes())
    digest.update(np.ascontiguousarray(image.array).data)
    return {"path": source, "sha256": digest.hexdigest()}


def make_report(
    source: Mapping[str, str],
    request: Request,
    runs: Sequence[tuple[Request, EngineResult]],
    structures: Sequence[StructureReport],
    notices: Sequence[Notice],
    seconds: float,
    asked: Request | None = None,
) -> dict[str, Any]:
    """The content of ``report.json``.

    :param source: see :func:`input_record`.
    :param request: what gives the same result again.
    :param runs: the task runs that answered it, at least one.
    :param seconds: time that all took.
    :param asked: what was to be run; None if it was.
    """
    return {
        "schema": SCHEMA,
        "input": dict(source),
        **({"asked": asked.to_dict()} if asked else {}),
        "request": request.to_dict(),
        "provenance": _joined([dict(result.provenance) for _, result in runs]),
        "runs": [_run(*run) for run in runs],
        "structures": [asdict(structure) for structure in structures],
        "warnings": [asdict(notice) for notice in notices],
        "timings_s": {**_sums([result.timings_s for _, result in runs]), "total": seconds},
    }


def _run(request: Request, result: EngineResult) -> dict[str, Any]:
    return {
        "request": request.to_dict(),
        "provenance": dict(result.provenance),
        "timings_s": dict(result.timings_s),
    }


def _joined(provenances: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One provenance for all runs: where they differ, the values in the order of the runs."""
    joined: dict[str, Any] = {}
    for key in dict.fromkeys(key for provenance in provenances for key in provenance):
        values = [provenance[key] for provenance in provenances if key in provenance]
        if key == "demo":
            joined[key] = any(values)
        else:
            joined[key] = values[0] if all(value == values[0] for value in values) else values
    return joined


def _sums(timings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in timings for name in one)
    return {name: round(sum(one.get(name, 0) for one in timings), 3) for name in names}


def public_provenance(report: Mapping[str, Any]) -> dict[str, Any]:
    """How a result was made, for the scene and for files with the voxels.

    It says nothing of the input: neither its path nor its checksum, nor where files lie. What
    was asked for stands in it if something else was run.

    :param report: the content of ``report.json``.
    """
    requests = [_public(run["request"]) for run in report["runs"]]
    return {
        "task": " ".join(request["task"] for request in requests),
        "requests": requests,
        **({"asked": _public(report["asked"])} if "asked" in report else {}),
        **report["provenance"],
    }


def _public(request: Mapping[str, Any]) -> dict[str, Any]:
    model, options = Path(request["model"]).name, _public_options(request["options"])
    return {**request, "model": model, "options": options}


def _public_options(options: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
    """The options with the names of files only, and without commands, which have paths, too."""
    declared = [one for spec in engines.specs().values() for one in spec.options]
    files = {one.name for one in declared if one.path}
    commands = {one.name for one in declared if one.unsafe and isinstance(one.default, str)}
    return {
        name: Path(str(value)).name if name in files else value
        for name, value in options.items()
        if name not in commands
    }


def provenance_texts(report: Mapping[str, Any]) -> dict[str, str]:
    """:func:`public_provenance` where only texts can be kept: what is none is JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in public_provenance(report).items()
    }
