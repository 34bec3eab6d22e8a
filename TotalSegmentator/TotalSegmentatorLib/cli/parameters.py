"""Parameters that several commands have, each declared once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ..images import corners
from ..images.region import Point

Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Install and download what is missing, unasked.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show what pip or the engine prints.")]
FallBack = Annotated[
    bool,
    typer.Option(
        "--fall-back",
        help="If memory is short, run in a way that needs less, at a faster speed or on the CPU "
        "instead.",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        min=1,
        max=64,
        help="Segment so many images at once. GPUs are shared out; of the CPU give each worker a "
        "share with --threads.",
    ),
]
Anyway = Annotated[
    bool, typer.Option("--anyway", help="Try even what by estimate cannot fit into memory.")
]
Engine = Annotated[
    str, typer.Option(help="Engine; by default the task's first one.", show_default=False)
]
EnginePython = Annotated[
    Path | None,
    typer.Option(help="Python with TotalSegmentator to run engines.", show_default=False),
]
Region = Annotated[
    str | None,
    typer.Option(
        metavar="X0,X1,Y0,Y1,Z0,Z1",
        help="Segment this box only; mm, with x to the patient's right, y to the front, z to the "
        "head (RAS).",
        show_default=False,
    ),
]


def region_from(text: str | None) -> tuple[Point, ...]:
    """The points of a region that was given as text.

    :raises InputError: ``input.bad_region``.
    """
    if text is None:
        return ()
    try:
        bounds = [float(part) for part in text.split(",")]
    except ValueError:
        bounds = []
    low, high = bounds[::2], bounds[1::2]
    ordered = all(a < b for a, b in zip(low, high, strict=False))
    if len(bounds) != 6 or not all(map(math.isfinite, bounds)) or not ordered:
        raise InputError(
            "input.bad_region",
            f"--region cannot be '{text}'.",
            "Give six numbers in mm with commas, each pair from low to high: "
            "X0,X1,Y0,Y1,Z0,Z1, e.g. -50,60,-80,40,1200,1350.",
        )
    return corners(bounds)


def speed_from(speed: str, fast: bool, fastest: bool) -> str:
    """The one speed that was asked for by name or by a flag; empty if none was.

    :raises InputError: ``input.bad_option`` if several were.
    """
    flags = (("fast", fast), ("fastest", fastest), (speed, bool(speed)))
    asked = {name for name, given in flags if given}
    if len(asked) > 1:
        raise InputError(
            "input.bad_option",
            f"The speeds {' and '.join(sorted(asked))} exclude each other.",
            "Give one of them.",
        )
    return asked.pop() if asked else ""
