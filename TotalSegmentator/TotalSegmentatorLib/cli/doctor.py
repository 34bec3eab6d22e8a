"""``doctor``: what is wrong with this computer."""

from __future__ import annotations

from typing import Annotated

import typer

from ..environment.doctor import diagnose
from ..environment.findings import ERROR, Finding, worst
from ..errors import EXIT_ENVIRONMENT
from .console import print_json, say
from .parameters import AsJson, EnginePython

EXAMPLES = """Example: slicer-totalsegmentator doctor --json > diagnosis.json"""


def doctor(
    engine_python: EnginePython = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Contact nobody: leave network and licence out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check this computer: engine, graphics card, memory, disks, weights, licence, network.

    Nothing is changed. The exit code is 4 if anything keeps the engine from running.
    """
    found = []
    for finding in diagnose(engine_python, online=not offline):
        found.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json([finding.to_dict() for finding in found])
    else:
        say.line("To ask for help, copy what 'slicer-totalsegmentator doctor --json' prints.")
    if worst(found) == ERROR:
        raise typer.Exit(EXIT_ENVIRONMENT)


def _print(finding: Finding) -> None:
    print(f"{finding.state:8}{finding.check:18}{finding.message}")
    if finding.remedy:
        print(f"{'':26}-> {finding.remedy}")
