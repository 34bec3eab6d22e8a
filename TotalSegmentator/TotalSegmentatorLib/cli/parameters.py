"""Parameters that several commands have, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Install and download what is missing, unasked.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show what pip or the engine prints.")]
EnginePython = Annotated[
    Path | None,
    typer.Option(help="Python with TotalSegmentator to run engines.", show_default=False),
]
