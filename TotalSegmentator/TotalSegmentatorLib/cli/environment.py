"""``environment``: the engine environments of this user."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ..environment import Environment, Environments, default_folder
from ..environment.engine import fixed_folder
from ..errors import SetupError
from .console import print_json, print_table, say
from .parameters import AsJson, Yes
from .setup import agree

app = typer.Typer(
    no_args_is_help=True, help="List, switch and remove the engine environments of this user."
)
Name = Annotated[str, typer.Argument(help="Name of an environment; see 'environment list'.")]


@app.command("list")
def list_environments(as_json: AsJson = False) -> None:
    """List the environments; the one in use has a star."""
    known = Environments()
    current, previous = known.current(), known.previous()
    marks = {previous.name if previous else "": "previous", current.name if current else "": "*"}
    if as_json:
        print_json([_values(one, marks.get(one.name, "")) for one in known.all()])
        return
    rows = [
        (
            marks.get(one.name, ""),
            one.name,
            one.state,
            one.made,
            ", ".join(f"{name} {version}" for name, version in one.versions.items()),
        )
        for one in known.all()
    ]
    if rows:
        print_table("", ("", "Name", "State", "Made", "Packages"), rows)
    else:
        say.line("There is none; 'slicer-totalsegmentator setup' makes one.")
    if fixed_folder():
        say.line("This command line runs from a checkout and uses its own .venv-engine.")


def _values(one: Environment, mark: str) -> dict[str, Any]:
    use = {"*": "current"}.get(mark, mark)
    return {**asdict(one), "folder": str(one.folder), "use": use or None}


@app.command()
def use(name: Name) -> None:
    """Use another environment from now on."""
    print(Environments().use(name).name)


@app.command()
def rollback() -> None:
    """Use the environment that was in use before."""
    print(Environments().rollback().name)


@app.command()
def remove(name: Name, yes: Yes = False) -> None:
    """Remove an environment for good."""
    if not yes:
        agree(f"Remove the environment {name} for good?", "Nothing was removed.")
    Environments().remove(name)


@app.command()
def info(
    name: Annotated[
        str, typer.Argument(help="Name; the one in use by default.", show_default=False)
    ] = "",
) -> None:
    """Print versions, source, folder and size, as forum posts need them."""
    folder = known_folder(name)
    print(Environments(folder.parent).information(folder.name))


def known_folder(name: str) -> Path:
    """The folder of an environment of this user, or of the one in use.

    :raises SetupError: ``environment.missing`` if none is in use.
    """
    if name:
        return Environments().root / name
    folder = default_folder()
    if not folder.exists():
        raise SetupError(
            "environment.missing",
            "No engine environment is in use.",
            "Run the setup first: 'slicer-totalsegmentator setup'.",
        )
    return folder
