"""``dicom``: a folder of DICOM series in, a folder for each with its segmentations out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from ..dicom.orders import DicomOptions
from ..dicom.volumes import Found
from ..dicom_workflow.configuration import (
    DEFAULT,
    DSEG,
    RTSTRUCT,
    RUNNER,
    SR,
    Configuration,
    read_change,
    read_configuration,
)
from ..dicom_workflow.planning import Choice, SeriesPlan, Wanted, make_plans, no_series
from ..dicom_workflow.record import IGNORED, REPORT, load_record
from ..dicom_workflow.staging import alone_in
from ..errors import InputError, SegmentationError, SetupError
from ..images import check_output
from ..jobs import JobContext, Warned
from ..jobs.job import EventHandler
from ..runs import Runs
from ..session import Settings
from .console import print_json, print_table, progress_bar, progress_bars, say
from .engine_options import with_engine_options
from .parameters import Anyway, AsJson, EnginePython, FallBack, Verbose, Workers, Yes, speed_from
from .run import general_settings, with_consent
from .segment import structure_names
from .workers import work_off, workers_of

if TYPE_CHECKING:
    from ..dicom_workflow.workflow import Destination, Outcome

EXAMPLES = """Examples:

slicer-totalsegmentator dicom STUDIES RESULTS

slicer-totalsegmentator dicom STUDIES RESULTS --fast --rtstruct --sr

slicer-totalsegmentator dicom STUDIES RESULTS --task total --task lung_vessels --labelmap

slicer-totalsegmentator dicom STUDIES RESULTS --dry-run

slicer-totalsegmentator dicom STUDIES RESULTS --config config.yml"""


class Command(TyperCommand):
    """Takes changes of the configuration also as MHub writes them: ``--config:NAME=VALUE``."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        marker = "--config:"
        given = [f"--set={arg[len(marker) :]}" if arg.startswith(marker) else arg for arg in args]
        return super().parse_args(ctx, given)


@with_engine_options
def dicom(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="INPUT",
            help="Folder of DICOM files; by default that of the configuration.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUTPUT",
            help="Folder for the results; by default that of the configuration.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            allow_dash=True,
            help="Configuration of a workflow as MHub writes them (YAML); - for standard input.",
            show_default=False,
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="modules.NAME.KEY=VALUE",
            help="Change the configuration; may be given several times.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="What to segment; may be given several times. By default total for CT and "
            "total_mr for MR, or what finds the structures.",
            show_default=False,
        ),
    ] = None,
    speed: Annotated[str, typer.Option(help="normal, fast or fastest.", show_default=False)] = "",
    fast: Annotated[bool, typer.Option("--fast", help="Same as --speed fast.")] = False,
    fastest: Annotated[bool, typer.Option("--fastest", help="Same as --speed fastest.")] = False,
    structures: Annotated[
        str | None,
        typer.Option(help="Only these or these groups (lungs), by commas; see 'structures'."),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="Engine; by default the task's first one.", show_default=False)
    ] = "",
    device: Annotated[
        str, typer.Option(help="auto, cpu, gpu, gpu:N or mps.", show_default=False)
    ] = "",
    labelmap: Annotated[
        bool, typer.Option("--labelmap", help="One labelmap, not a bitmap for each segment.")
    ] = False,
    deflate: Annotated[
        bool, typer.Option("--deflate", help="Deflate the file with the bitmaps.")
    ] = False,
    empty_segments: Annotated[
        bool, typer.Option("--empty-segments", help="Describe also what was not found.")
    ] = False,
    rtstruct: Annotated[bool, typer.Option("--rtstruct", help="Write contours too.")] = False,
    sr: Annotated[bool, typer.Option("--sr", help="Write measurements too (TID 1500).")] = False,
    series: Annotated[
        list[str] | None,
        typer.Option(
            metavar="UID", help="Only this series; may be given several times.", show_default=False
        ),
    ] = None,
    volume: Annotated[
        int | None,
        typer.Option(
            metavar="K", help="Only this volume of each series, from 1.", show_default=False
        ),
    ] = None,
    any_modality: Annotated[
        bool,
        typer.Option("--any-modality", help="Run tasks also on images of another modality."),
    ] = False,
    workers: Workers = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be done, and do nothing.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace older results.")] = False,
    fall_back: FallBack = False,
    anyway: Anyway = False,
    yes: Yes = False,
    engine_python: EnginePython = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
    engine_options: dict[str, object] | None = None,
) -> None:
    """Segment all CT and MR series of a folder, and write DICOM segmentations.

    OUTPUT/report.json tells what became of each series. What was done is skipped the next time.
    """
    say.verbose = verbose
    given = {
        f"{RUNNER}.task": task,
        f"{RUNNER}.speed": speed_from(speed, fast, fastest),
        f"{RUNNER}.structures": list(structure_names(structures)),
        f"{RUNNER}.engine": engine,
        f"{RUNNER}.device": device,
        f"{DSEG}.encoding": "labelmap" if labelmap else "",
        f"{DSEG}.deflate": deflate,
        f"{DSEG}.empty_segments": empty_segments,
    }
    options = {f"{RUNNER}.options.{name}": v for name, v in (engine_options or {}).items()}
    settings = {**{name: value for name, value in given.items() if value}, **options}
    configuration = read_configuration(
        _text_of(config),
        {
            **dict(map(read_change, changes or [])),
            **{f"modules.{name}": value for name, value in settings.items()},
        },
        [name for name, asked in ((RTSTRUCT, rtstruct), (SR, sr)) if asked],
    )
    source, output = _folders(source, output, configuration)
    choice = Choice(frozenset(series or ()), volume, any_modality, overwrite)
    found = _find(source)
    if dry_run:
        plans = make_plans(found, configuration, load_record(output), output, choice)
        _print_plans(plans, as_json)
        _check_usable(found, plans)
        return
    from ..dicom_workflow import workflow  # likewise

    with alone_in(output) as folder:
        record = load_record(output)
        record.other_files = found.others
        plans = make_plans(found, configuration, record, output, choice)
        settings_of_each = _settings(plans, workers, yes, engine_python, fall_back, anyway)
        destination = workflow.Destination(output, folder, record)
        outcomes = _carry_out(plans, destination, configuration.options, settings_of_each)
    if as_json:
        print_json(record.to_dict())
    else:
        print(output / REPORT)
    _check_usable(found, plans)
    raise typer.Exit(workflow.exit_code(outcomes))


def _text_of(config: Path | None) -> str:
    """The configuration as text; ours if none is given."""
    try:
        if str(config) == "-":
            return sys.stdin.read()
        return (config or DEFAULT).read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(
            "input.bad_config",
            f"The configuration {config and config.name} cannot be read.",
            "Give a YAML file in UTF-8.",
            str(error),
        ) from error


def _folders(
    source: Path | None, output: Path | None, configuration: Configuration
) -> tuple[Path, Path]:
    """Where images are and where results go: apart from each other, as images are not changed."""
    if source and not output:
        raise InputError("input.no_output", "No folder for the results was given.", "Add OUTPUT.")
    source, output = source or configuration.source, output or configuration.output
    if not source.exists():
        raise InputError(
            "input.no_image",
            f"There is no folder {source.name} at the place given.",
            "Give the folder of the images as INPUT.",
        )
    check_output(output / REPORT, overwrite=True, source=source)
    if source.resolve().is_relative_to(output.resolve()):
        raise InputError(
            "output.is_input",
            f"The images lie in the output folder {output.name}.",
            "Choose another folder for the output.",
        )
    return source, output


def _find(source: Path) -> Found:
    from ..dicom.series import find_series  # here, as pydicom takes its time

    files = source if source.is_dir() else [source]
    with progress_bar() as bar:
        return find_series(files, lambda n: bar.show(None, f"Reading headers: {n} files"))


def _settings(
    plans: Sequence[SeriesPlan],
    workers: int,
    yes: bool,
    engine_python: Path | None,
    fall_back: bool,
    anyway: bool,
) -> Sequence[Settings | None]:
    """The settings of each worker; None for one if nothing is to be run.

    What a task lacks besides is told of each series that wants it, as others may be complete.
    """
    by_plan = [[one for one in plan.results if not (one.done or one.error)] for plan in plans]
    wanted = [one for plan in by_plan for one in plan]
    if not wanted:
        return [None]
    settings = general_settings(yes, engine_python, fall_back=fall_back, anyway=anyway)
    runs = {repr(one.runs): one.runs for one in wanted}.values()
    for sentence in {one.sentence for one in runs if one.sentence}:
        say.line(sentence)
    requests = tuple(request for one in runs for request in one.requests)
    with suppress(SetupError):
        settings = with_consent(Runs(requests[0], requests), settings)
    count = min(workers, sum(map(bool, by_plan)))
    return workers_of(settings, count, requests[0].device)  # all runs have the configuration's


def _carry_out(
    plans: Sequence[SeriesPlan],
    destination: Destination,
    options: DicomOptions,
    workers: Sequence[Settings | None],
) -> list[Outcome]:
    """Carry out all plans, and tell how each ended.

    :return: in the order of the plans.
    """
    from ..dicom_workflow.workflow import Workflow  # here, as pydicom takes its time

    outcomes: dict[int, Outcome] = {}
    with progress_bars() as bars:

        def serve(number: int, settings: Settings | None, context: JobContext) -> None:
            prefix = f"[{number + 1}/{len(plans)}] " if len(plans) > 1 else ""

            @contextmanager
            def watch(title: str) -> Iterator[EventHandler]:
                with bars(f"{prefix}{title}: ") as bar:
                    yield bar.event

            workflow = Workflow(destination, options, settings, watch, context)
            outcomes[number] = _told(workflow.run(plans[number]))

        work_off(range(len(plans)), workers, serve)
    return [outcome for _, outcome in sorted(outcomes.items())]


def _told(outcome: Outcome) -> Outcome:
    """Tell people how a series ended."""
    ignored = f". {outcome.series.message}" if outcome.series.state == IGNORED else ""
    say.line(f"{outcome.title}: {outcome.series.state}{ignored}")
    said = [str(error) for error in outcome.errors]
    for warning in outcome.series.warnings:
        if warning["message"] not in said:
            say.event(Warned(**warning), f"{outcome.title}: ")
    for error in outcome.errors:
        say.error(error)
    return outcome


def _check_usable(found: Found, plans: Sequence[SeriesPlan]) -> None:
    """:raises InputError: ``input.no_series`` if there is none that could be segmented."""
    if all(plan.ignored for plan in plans):
        raise no_series(found, plans)


def _print_plans(plans: Sequence[SeriesPlan], as_json: bool) -> None:
    if as_json:
        print_json([_values(plan) for plan in plans])
        return
    rows = []
    for plan in plans:
        for error in filter(None, (plan.error, *plan.lost)):
            rows.append((plan.title, "", "", "", str(error), ""))
        for one in plan.results:
            files = " ".join(place.name for place in one.files.values())
            name = " ".join(filter(None, (str(one.volume.number), one.volume.title)))
            slices = str(len(one.volume.slices))
            rows.append((plan.title, name, slices, one.task, _outcome(one), files))
    print_table("", ("Series", "Volume", "Slices", "Task", "Outcome", "Files"), rows)


def _outcome(wanted: Wanted) -> str:
    if wanted.error:
        return str(wanted.error)
    return "done before" if wanted.done else "will be segmented"


def _values(plan: SeriesPlan) -> dict[str, Any]:
    return {
        "uid": plan.series.info.uid,
        "modality": plan.modality,
        "number": plan.series.info.number,
        "ignored": plan.ignored,
        "error": plan.error and _said(plan.error),
        "refusals": [_said(error) for error in plan.series.refusals],
        "results": [
            {
                "volume": one.volume.number,
                "title": one.volume.title,
                "slices": len(one.volume.slices),
                "task": one.task,
                "done": one.done,
                "error": one.error and _said(one.error),
                "files": [str(place) for place in one.files.values()],
            }
            for one in plan.results
        ],
    }


def _said(error: SegmentationError) -> dict[str, str]:
    """An error without its details, which may hold a path."""
    return {"code": error.code, "message": error.message, "remedy": error.remedy}
