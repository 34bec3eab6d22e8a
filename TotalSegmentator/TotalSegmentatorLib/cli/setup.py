"""``setup``: make the engine environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import environment
from ..environment import Observer
from ..environment.engine import recipe
from ..errors import SetupError
from .console import print_json, progress_bar, say
from .parameters import AsJson, Verbose, Yes


def setup(
    yes: Yes = False,
    folder: Annotated[
        Path | None, typer.Option(help="Where to make the environment.", show_default=False)
    ] = None,
    base: Annotated[
        Path | None, typer.Option(help="The Python to make it from.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Install PyTorch and TotalSegmentator into an environment of their own."""
    say.verbose = verbose
    versions = make_engine(yes, folder, base)
    if as_json:
        print_json(versions)
    else:
        print("Ready: " + ", ".join(f"{name} {version}" for name, version in versions.items()))


def make_engine(yes: bool, folder: Path | None = None, base: Path | None = None) -> dict[str, str]:
    """Make the engine environment if it is not there, after asking.

    :raises SetupError: ``environment.declined`` if the answer is no, or what failed.
    """
    folder = folder or environment.default_folder()
    if not environment.is_ready(folder) and not yes:
        agree(
            f"The engine needs up to {recipe().needed_gb:.0f} GB in {folder}. Install it now?",
            "The engine was not installed.",
        )
    with progress_bar() as bar:
        observer = Observer(on_step=bar.show, on_line=say.detail)
        return environment.make_engine(folder, base, observer)


def agree(question: str, refusal: str) -> None:
    """Ask on the terminal.

    :raises SetupError: ``environment.declined`` if the answer is no or nobody can answer.
    """
    try:
        agreed = sys.stdin.isatty() and typer.confirm(question, err=True)
    except typer.Abort:  # the end of the input
        agreed = False
    if not agreed:
        raise SetupError("environment.declined", refusal, "Agree with --yes.")
