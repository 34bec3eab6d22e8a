"""The commands together."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import __version__
from . import (
    bundle,
    demo,
    dicom,
    doctor,
    environment,
    estimate,
    licence,
    rerun,
    segment,
    settings,
    setup,
    structures,
    tasks,
    weights,
)

app = typer.Typer(
    name="slicer-totalsegmentator",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Automatic segmentation of CT and MR volumes.\n\n"
    "Exit codes: 0 done, 2 bad input, 3 partly done, 4 this computer is not ready, "
    "5 internal error, 130 cancelled.",
    epilog="Example: slicer-totalsegmentator segment ct.nii.gz -o out.seg.nrrd --task total --fast",
)


def _version(show: bool) -> None:
    if show:
        print(__version__)
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of all commands."""


app.command("segment", epilog=segment.EXAMPLES)(segment.segment)
app.command("rerun", epilog=rerun.EXAMPLES)(rerun.rerun)
app.command("dicom", cls=dicom.Command, epilog=dicom.EXAMPLES)(dicom.dicom)
app.command("estimate", epilog=estimate.EXAMPLES)(estimate.estimate)
app.command("demo")(demo.demo)
app.command("tasks")(tasks.tasks)
app.command("structures")(structures.structures)
app.command("setup", epilog=setup.EXAMPLES)(setup.setup)
app.add_typer(environment.app, name="environment")
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.add_typer(licence.app, name="licence")
app.add_typer(settings.app, name="settings")
app.add_typer(weights.app, name="weights")
app.add_typer(bundle.app, name="bundle")
