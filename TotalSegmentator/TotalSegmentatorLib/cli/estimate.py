"""``estimate``: what a segmentation would cost on this computer."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from .. import environment, history
from ..catalog import SPEEDS
from ..environment import Hardware
from ..errors import SetupError
from ..estimate import Estimate, estimate_speeds
from ..estimate import estimate as estimate_runs
from ..images import crop, voxel_box
from ..inputs import read_input
from ..jobs import Request
from ..memory_guard import MemoryGuard, advice
from ..remedies import Remedy
from ..runs import Runs, complete
from .console import print_json, print_table, say
from .engine_options import with_engine_options
from .parameters import AsJson, Engine, EnginePython, Region, region_from
from .segment import structure_names

EXAMPLES = """Examples:

slicer-totalsegmentator estimate ct.nii.gz --task total

slicer-totalsegmentator estimate DICOM_FOLDER --structures liver,spleen --device cpu

slicer-totalsegmentator estimate ct.nii.gz --compiled --threads 4"""


@with_engine_options
def estimate(
    image: Annotated[
        Path,
        typer.Argument(help="Image (.nii, .nii.gz, .nrrd, .mha) or DICOM folder."),
    ],
    task: Annotated[
        str,
        typer.Option(
            help="What to segment; see 'tasks'. By default what finds the structures, or total.",
            show_default=False,
        ),
    ] = "",
    speed: Annotated[
        str, typer.Option(help="Only this: normal, fast or fastest.", show_default=False)
    ] = "",
    structures: Annotated[
        str | None,
        typer.Option(help="Only these or these groups (lungs), by commas; see 'structures'."),
    ] = None,
    engine: Engine = "",
    device: Annotated[str, typer.Option(help="auto, cpu, gpu, gpu:N or mps.")] = "auto",
    region: Region = None,
    engine_python: EnginePython = None,
    as_json: AsJson = False,
    engine_options: dict[str, object] | None = None,
) -> None:
    """Estimate time, memory and download for an image, at every speed; nothing is run."""
    request = Request(
        task=task,
        engine=engine,
        speed=speed or SPEEDS[0],
        structures=structure_names(structures),
        device=device,
        options=engine_options or {},  # type: ignore[arg-type]
        region=region_from(region),
    )
    complete(request)  # what is wrong with it is said before the image is read
    whole, _ = read_input(image)
    part = crop(whole, voxel_box(whole, request.region))
    grid = (part.shape_ijk, part.spacing)
    hardware, weights = _hardware(device, engine_python), environment.weights_folder()
    known = (hardware, history.load(), weights)
    if speed:
        requests = complete(request, whole.modality).requests
        found = {speed: estimate_runs(*grid, requests, *known)}
    else:
        found = estimate_speeds(*grid, request, *known, whole.modality)
    guard = MemoryGuard(*grid, hardware, weights)
    fits = {
        name: _fit(guard, complete(dataclasses.replace(request, speed=name), whole.modality))
        for name in found
    }
    if as_json:
        print_json([_values(name, one, fits[name]) for name, one in found.items()])
    else:
        _print(found, fits)


@dataclasses.dataclass(frozen=True)
class _Fit:
    """Whether a run fits into memory.

    :param word: ``yes``, ``perhaps`` or ``no``.
    :param sentence: what is short, and what would fit; empty if nothing is.
    :param ways: what would fit, for programs.
    """

    word: str
    sentence: str = ""
    ways: tuple[Remedy, ...] = ()


def _fit(guard: MemoryGuard, runs: Runs) -> _Fit:
    short = guard.shortage(runs)
    if short is None:
        return _Fit("yes")
    ways = guard.ways([runs], short.code)
    sentence = f"{short.message} {advice(ways, short.code)}"
    return _Fit("no" if short.certain else "perhaps", sentence, tuple(one.remedy for one in ways))


def _hardware(device: str, engine_python: Path | None) -> Hardware:
    """What the engine can use; without an engine, or where only the processor is asked for, what
    is known without it."""
    if device == "cpu":
        return environment.this_computer()
    try:
        return environment.probe(environment.find_engine(engine_python))
    except SetupError as error:
        if engine_python or device != "auto":
            raise
        say.line(f"Without the engine only the processor is known. {error}")
        return environment.this_computer()


def _print(found: dict[str, Estimate], fits: dict[str, _Fit]) -> None:
    rows = [
        (name, one.resolution, one.time, one.memory, fits[name].word, one.download or "-")
        for name, one in found.items()
    ]
    header = ("Speed", "Resolution", "Time", "Memory", "Fits", "Download")
    device = next(iter(found.values())).device.title
    print_table(f"Estimates for: {device}", header, rows)
    for name, one in fits.items():
        if one.sentence:
            say.line(f"{name}: {one.sentence}")
    count = min(one.based_on for one in found.values())
    runs = f"{count} earlier run{'' if count == 1 else 's'} on this computer"
    say.line(f"Estimated from {runs if count else 'typical computers'}.")


def _values(speed: str, one: Estimate, fit: _Fit) -> dict[str, object]:
    return {
        "speed": speed,
        "time": one.time,
        **dataclasses.asdict(one),
        "warning": one.warning,
        "fits": fit.word,
        "shortage": fit.sentence,
        "would_fit": [dataclasses.asdict(way) for way in fit.ways],
    }
