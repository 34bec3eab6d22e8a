"""``demo``: the whole path on a real CT, with the demo model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..environment import user_data_folder
from ..environment.paths import import_folder
from ..environment.sample_data import is_cached, sample_ct
from ..errors import EXIT_PARTIAL, InputError, SetupError
from ..images import check_output, read_image
from ..jobs import Request
from ..outputs import LABELMAP, REPORT, SEGMENTATION, TABLE, write_folder
from ..report import DEMO_BANNER
from .console import print_json, print_table, say
from .parameters import AsJson, EnginePython, Verbose, Yes
from .run import prepare, run_with_bar
from .setup import agree

PICTURE = "segmentation.png"


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")] = Path(
        "demo"
    ),
    yes: Yes = False,
    cache: Annotated[
        Path | None, typer.Option(help="Where to keep the sample CT.", show_default=False)
    ] = None,
    engine_python: EnginePython = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Segment a real CT with the small demo model and make a picture of the result."""
    say.verbose = verbose
    request = Request(task="demo")
    _check_output(output)
    cache = cache or user_data_folder() / "sample"
    if not is_cached(cache) and not yes:
        agree("The sample CT (38 MB) must be downloaded from PyPI. Do it now?", "Nothing was done.")
    settings = prepare(request, yes, engine_python)
    sample = sample_ct(cache, say.line)
    image, notices = read_image(sample.ct)
    segmentation = run_with_bar(image, notices, request, settings, source=str(sample.ct))
    write_folder(segmentation, output)
    drawn = _draw(sample.ct, output)
    if as_json:
        print_json(segmentation.report)
    else:
        _print_report(segmentation.report)
    say.line(f"{DEMO_BANNER}. Results: {output}")
    if not drawn:
        raise typer.Exit(EXIT_PARTIAL)


def _check_output(output: Path) -> None:
    """Only an earlier result of the demo is replaced."""
    check_output(output / REPORT, overwrite=True)
    taken = [name for name in (SEGMENTATION, LABELMAP, TABLE, REPORT) if (output / name).exists()]
    if taken and not _is_demo(output / REPORT):
        raise InputError(
            "output.exists",
            f"{output.name} holds a {taken[0]} that is not the demo's.",
            "Remove it, or choose another folder with --output.",
        )


def _is_demo(report: Path) -> bool:
    """Whether a report is of the demo, of whatever version."""
    try:
        return bool(json.loads(report.read_text("utf-8"))["request"]["task"] == "demo")
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _print_report(report: Mapping[str, Any]) -> None:
    rows = [
        (
            structure["name"],
            f"{structure['volume_ml']:.1f}" if structure["found"] else "-",
            f"{structure['hu']['mean']:.0f}" if structure["found"] else "-",
            "at the border" if structure["touches_border"] else "",
        )
        for structure in report["structures"]
    ]
    print_table(DEMO_BANNER, ("Structure", "Volume (mL)", "Mean HU", "Note"), rows)


def _draw(image: Path, folder: Path) -> bool:
    """Render in a process of its own: without its libraries, VTK ends the process it is in."""
    folder = folder.absolute()  # the process has another working folder: "-m" imports from it
    part = folder / ("." + PICTURE)
    command = [sys.executable, "-m", "TotalSegmentatorLib.scene.rendering"]
    arguments = [image.absolute(), folder / SEGMENTATION, part, "--banner", DEMO_BANNER]
    answer = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=import_folder(),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode == 0 and part.is_file():
        part.replace(folder / PICTURE)
        return True
    part.unlink(missing_ok=True)
    say.detail(answer.stderr)
    say.error(
        SetupError(
            "environment.rendering",
            "The picture could not be drawn; all other results are there.",
            "Install the libraries for it (Debian: apt-get install libegl1 libgl1).",
        )
    )
    return False
