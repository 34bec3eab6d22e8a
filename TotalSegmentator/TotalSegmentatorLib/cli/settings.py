"""``settings``: what is set for good on this computer."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from .. import environment
from ..environment.hosts import all_purposes
from ..environment.observer import without_secrets
from .console import print_json, print_table, say
from .parameters import AsJson

app = typer.Typer(no_args_is_help=True, help="What is set for good on this computer.")

EXAMPLES = """Examples:

slicer-totalsegmentator settings set usage_statistics on

slicer-totalsegmentator settings set weights_mirror https://mirror.example.org/weights

slicer-totalsegmentator settings set weights_mirror ''"""


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the settings, and every public host that may be contacted."""
    settings = environment.load_settings()
    values = {
        name: without_secrets(value) if isinstance(value, str) else value
        for name, value in dataclasses.asdict(settings).items()
    }
    if as_json:
        purposes = [dataclasses.asdict(purpose) for purpose in all_purposes()]
        print_json({"settings": values, "hosts": purposes})
        return
    print_table("", ("Setting", "Value"), [(name, _text(value)) for name, value in values.items()])
    print("\nNo image and nothing of it is sent anywhere. Contacted are:")
    for purpose in all_purposes():
        print(f"\n{', '.join(purpose.hosts)}\n  {purpose.sentence}")


def _text(value: bool | str) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return value or "-"


@app.command("set", epilog=EXAMPLES)
def change(
    name: Annotated[str, typer.Argument(help="Which one; see 'settings show'.")],
    value: Annotated[str, typer.Argument(help="What it shall be; '' for the default.")],
) -> None:
    """Change a setting.

    usage_statistics (on, off): let TotalSegmentator tell its authors of every run. weights_mirror,
    package_index, torch_index: addresses to use instead of GitHub's, PyPI and PyTorch's.
    weights_folder: where weights are kept.
    """
    environment.save_settings(environment.load_settings().changed(name, value))
    say.line(f"{name} is set." if value.strip() else f"{name} is as by default.")
