"""``setup``: make the engine environment."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from .. import environment
from ..catalog import Task
from ..environment import Observer, Plan
from ..environment.engine import fixed_folder
from ..environment.findings import ERROR, Finding, worst
from ..environment.installation import is_made
from ..errors import EXIT_ENVIRONMENT, SetupError
from .console import print_json, print_table, progress_bar, say
from .parameters import AsJson, Verbose, Yes

EXAMPLES = """Examples:

slicer-totalsegmentator setup

slicer-totalsegmentator setup --check

slicer-totalsegmentator setup --build cpu --yes"""


def setup(
    yes: Yes = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only look whether it could be installed.")
    ] = False,
    build: Annotated[
        str,
        typer.Option(
            help="PyTorch build (cuda13, cuda12, rocm7, mps, cpu); by default what fits the GPU's "
            "driver.",
            show_default=False,
        ),
    ] = "",
    bundle: Annotated[
        Path | None,
        typer.Option(help="Folder with all packages, unpacked from a bundle.", show_default=False),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where to make the environment.", show_default=False)
    ] = None,
    base: Annotated[
        Path | None, typer.Option(help="The Python to make it from.", show_default=False)
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make it anew even if it is up to date.")
    ] = False,
    development: Annotated[
        bool,
        typer.Option(
            "--development", help="TotalSegmentator's development version, which is untested."
        ),
    ] = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> None:
    """Install PyTorch and TotalSegmentator into an environment of their own."""
    say.verbose = verbose
    plan = environment.plan(build, folder or fixed_folder(), bundle, development)
    if check:
        _show_checks(environment.check(plan, base), as_json)
        return
    versions = install(plan, yes, base, force)
    if as_json:
        print_json(versions)
    else:
        print("Ready: " + ", ".join(f"{name} {version}" for name, version in versions.items()))


def _show_checks(findings: tuple[Finding, ...], as_json: bool) -> None:
    if as_json:
        print_json([one.to_dict() for one in findings])
    else:
        rows = [(one.check, one.state, f"{one.message} {one.remedy}".strip()) for one in findings]
        print_table("", ("Check", "State", "Finding"), rows)
    if worst(findings) == ERROR:
        raise typer.Exit(EXIT_ENVIRONMENT)


def make_engine(yes: bool) -> dict[str, str]:
    """Make the engine environment that this computer needs if none is ready, after asking.

    :raises SetupError: ``environment.declined`` if the answer is no, or what failed.
    """
    folder = environment.default_folder()
    if environment.is_ready(folder):
        return environment.installed_versions(folder)
    return install(environment.plan(folder=fixed_folder()), yes)


def install(plan: Plan, yes: bool, base: Path | None = None, force: bool = False) -> dict[str, str]:
    """Carry out a plan, after asking if anything must be done for it.

    :raises SetupError: ``environment.declined`` if the answer is no, or what failed.
    """
    if not yes and (force or not is_made(plan)):
        agree(f"{question(plan)} Install it now?", "The engine was not installed.")
    with progress_bar() as bar:
        observer = Observer(on_step=bar.show, on_line=say.detail)
        return dict(environment.install(plan, base, observer, force=force).versions)


def question(plan: Plan) -> str:
    """What will be installed, from where and how large it is."""
    version = "its development version" if plan.development else plan.packages["totalsegmentator"]
    download = f"{plan.download_mb} MB are downloaded" if plan.download_mb else "It is installed"
    return (
        f"The engine needs {plan.build.title} ({plan.build.reason[:-1]}), TotalSegmentator "
        f"{version} and {len(plan.packages) - 1} packages. {download} from {plan.source}; it takes "
        f"{plan.disk_gb:.1f} GB in {plan.folder}. {plan.unchecked}".rstrip()
    )


def agree(question: str, refusal: str) -> None:
    """Ask on the terminal.

    :raises SetupError: ``environment.declined`` if the answer is no or nobody can answer.
    """
    if not is_agreed(question):
        raise SetupError("environment.declined", refusal, "Agree with --yes.")


def agree_to_terms(tasks: Sequence[Task]) -> None:
    """Ask on the terminal for the terms of tasks that must still be accepted; no option does so.

    :raises SetupError: ``licence.not_accepted``.
    """
    for one in environment.open_terms(tasks):
        if is_agreed(f"{one.sentence} In full: {one.url}. Do you accept these terms?"):
            environment.terms.accept(one.id)
    environment.check_terms(tasks)


def is_agreed(question: str) -> bool:
    """Ask on the terminal; False also if nobody can answer."""
    try:
        return sys.stdin.isatty() and typer.confirm(question, err=True)
    except typer.Abort:  # the end of the input
        return False
