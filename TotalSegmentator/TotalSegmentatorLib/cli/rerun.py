"""``rerun``: the same segmentation again, on the same image or on another one."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import engines
from ..engines.contract import Option
from ..errors import InputError
from ..images import check_output, file_suffix
from ..inputs import read_input
from ..jobs import Request
from ..outputs import REPORT, SUFFIXES, load_report, write_file, write_folder
from ..report import input_record
from .console import print_json, say
from .parameters import Anyway, AsJson, EnginePython, FallBack, Verbose, Yes
from .run import prepare, run_with_bar

EXAMPLES = """Examples:

slicer-totalsegmentator rerun RESULTS/report.json

slicer-totalsegmentator rerun RESULTS/report.json -o AGAIN

slicer-totalsegmentator rerun report.json --input other.nii.gz -o other.seg.nrrd"""


def rerun(
    report: Annotated[Path, typer.Argument(help="report.json of an earlier run.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help=f"File ({', '.join(SUFFIXES)}) or folder; by default a new one beside the report.",
            show_default=False,
        ),
    ] = None,
    image_path: Annotated[
        Path | None,
        typer.Option("--input", help="Segment this image instead.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="Another device than then.", show_default=False)] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace older results.")] = False,
    fall_back: FallBack = False,
    anyway: Anyway = False,
    yes: Yes = False,
    engine_python: EnginePython = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Do again what a report tells of: same task, structures, speed and options."""
    say.verbose = verbose
    earlier = load_report(report)
    request = _request_of(earlier)
    if device:
        request = dataclasses.replace(request, device=device)
    path = image_path or _path_of(earlier)
    output = output or _free_folder(report.parent)
    single = file_suffix(output) in SUFFIXES
    target = output if single else output / REPORT
    check_output(target, overwrite=overwrite, source=path)
    if target.resolve() == report.resolve():
        raise InputError(
            "output.is_input",
            f"{report.name} is the report to run again.",
            "Choose another output, so that both can be compared.",
        )
    image, notices = read_input(path)
    same_image = input_record(image, "")["sha256"] == earlier["input"]["sha256"]
    if not same_image and image_path is None:
        raise InputError(
            "input.changed",
            f"{path.name} is not the image that the report tells of any more.",
            "Give an image with --input; the one at this path is taken if you name it so.",
        )
    settings = prepare(
        request,
        yes,
        engine_python,
        modality=image.modality,
        fall_back=fall_back,
        anyway=anyway,
    )
    result = run_with_bar(image, notices, request, settings, source=str(path.absolute()))
    if single:
        write_file(result, output)
    else:
        write_folder(result, output)
    if same_image:
        say.line(compare(earlier, result.report))
    if as_json:
        print_json(result.report)
    else:
        print(output)


def _request_of(report: Mapping[str, Any]) -> Request:
    """What a report asks for, but for what only the person at this computer may allow.

    :raises InputError: see :func:`_check_places`.
    """
    request = Request.from_dict(report["request"])
    _check_places(request)
    unsafe = {option.name: option for option in _declared() if option.unsafe}
    given = {name: value for name, value in request.options.items() if name in unsafe}
    for name, value in given.items():
        if unsafe[name].parse(value) != unsafe[name].default:
            say.line(
                f"warning: The report's option {name} is left out, as a report may come from "
                f"anybody. If you trust it, run it with 'segment' and {_flag(name)}."
            )
    options = {name: value for name, value in request.options.items() if name not in unsafe}
    return dataclasses.replace(request, options=options)


def _check_places(request: Request) -> None:
    """Our own reports name models and files in full; another path means what lies where one
    happens to be.

    :raises InputError: ``input.bad_model``, ``input.bad_option``.
    """
    given = {o.name: request.options.get(o.name, "") for o in _declared() if o.path}
    for name, value in {"model": request.model, **given}.items():
        place = Path(str(value))
        if value and not place.is_absolute():
            raise InputError(
                "input.bad_model" if name == "model" else "input.bad_option",
                f"The report does not say in which folder the {name} {place.name} lies.",
                f"Run it with 'segment' and {_flag(name)}.",
            )


def _declared() -> list[Option]:
    return [option for spec in engines.specs().values() for option in spec.options]


def _flag(option: str) -> str:
    """What the command line calls an option."""
    return "--" + option.replace("_", "-")


def _free_folder(parent: Path) -> Path:
    names = itertools.chain(["rerun"], (f"rerun_{n}" for n in itertools.count(2)))
    return next(parent / name for name in names if not (parent / name).exists())


def _path_of(report: Mapping[str, Any]) -> Path:
    if not report["input"]["path"]:
        raise InputError(
            "input.no_path",
            "The report does not say which file the image came from.",
            "Give the image with --input.",
        )
    return Path(report["input"]["path"])


def compare(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Whether the same was found, and what was run in another way."""
    before, after = _voxels(earlier), _voxels(now)
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    then, today = earlier["provenance"], now["provenance"]
    others = ""
    if then.get("versions") != today.get("versions"):
        others += " The engine has other versions than then."
    if "mode" in then and then["mode"] != today.get("mode"):
        others += f" The mode was {then['mode']} then, and is {today.get('mode')} now."
    if not changed:
        return f"The result has the same voxel counts as the earlier one.{others}"
    names = ", ".join(changed[:5]) + (", ..." if len(changed) > 5 else "")
    return f"{len(changed)} structures differ from the earlier result: {names}.{others}"


def _voxels(report: Mapping[str, Any]) -> dict[str, int]:
    return {structure["id"]: structure["voxels"] for structure in report["structures"]}
