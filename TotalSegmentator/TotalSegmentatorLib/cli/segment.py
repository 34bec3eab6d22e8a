"""``segment``: images in, segmentations out."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ..images import check_output, file_suffix, voxel_box
from ..inputs import read_input
from ..jobs import Request
from ..outputs import SUFFIXES, write_file, write_report
from ..runs import complete
from .batch import image_paths, listed_paths, modality_of_first, run_batch
from .console import print_json, say
from .engine_options import with_engine_options
from .parameters import (
    Anyway,
    AsJson,
    Engine,
    EnginePython,
    FallBack,
    Region,
    Verbose,
    Workers,
    Yes,
    region_from,
    speed_from,
)
from .run import prepare, run_with_bar
from .workers import workers_of

EXAMPLES = """Examples:

slicer-totalsegmentator segment ct.nii.gz -o ct.seg.nrrd --task total --fast

slicer-totalsegmentator segment DICOM_FOLDER -o labels.nii.gz --structures liver,spleen

slicer-totalsegmentator segment a.nrrd b.nii.gz FOLDER -o RESULTS --task body

slicer-totalsegmentator segment --list images.txt -o RESULTS --workers 4

slicer-totalsegmentator segment ct.nii.gz -o out.seg.nrrd --model MODEL_FOLDER --device cpu"""


@with_engine_options
def segment(
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help=f"File ({', '.join(SUFFIXES)}) or, for several images, a folder.",
            show_default=False,
        ),
    ],
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Images (.nii, .nii.gz, .nrrd, .mha), DICOM folders, or folders of images.",
            show_default=False,
        ),
    ] = None,
    image_list: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="FILE",
            help="Text file with further images: one path in each line, from its own folder.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            help="What to segment; see 'tasks'. By default what finds the structures, or total.",
            show_default=False,
        ),
    ] = "",
    speed: Annotated[str, typer.Option(help="normal, fast or fastest.")] = "normal",
    fast: Annotated[bool, typer.Option("--fast", help="Same as --speed fast.")] = False,
    fastest: Annotated[bool, typer.Option("--fastest", help="Same as --speed fastest.")] = False,
    structures: Annotated[
        str | None,
        typer.Option(help="Only these or these groups (lungs), by commas; see 'structures'."),
    ] = None,
    engine: Engine = "",
    modality: Annotated[
        str, typer.Option(help="CT or MR, where the image does not say; chooses the tasks.")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, gpu, gpu:N or mps.")] = "auto",
    region: Region = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Run this nnU-Net v2 model folder instead of a task.", show_default=False
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write the report to this file too (.json; .csv: its table of structures).",
            show_default=False,
        ),
    ] = None,
    workers: Workers = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace older results.")] = False,
    fall_back: FallBack = False,
    anyway: Anyway = False,
    yes: Yes = False,
    engine_python: EnginePython = None,
    as_json: AsJson = False,
    keep_files: Annotated[
        bool, typer.Option("--keep-files", help="Keep the temporary folder (holds the image).")
    ] = False,
    verbose: Verbose = False,
    engine_options: dict[str, object] | None = None,
) -> None:
    """Segment images; each result is written whole or not at all."""
    say.verbose = verbose
    request = Request(
        task=task,
        engine=engine,
        speed=speed_from("" if speed == "normal" else speed, fast, fastest) or "normal",
        structures=structure_names(structures),
        modality=modality.upper(),
        device=device,
        model=str(model) if model else "",
        options=engine_options or {},  # type: ignore[arg-type]
        region=region_from(region),
    )
    images = [*(images or []), *listed_paths(image_list)]
    if not images:
        raise InputError(
            "input.no_image",
            "No image was given.",
            "Name images or folders, or a list with --list.",
        )
    single = file_suffix(output) in SUFFIXES
    if single:
        _check_single(images, output, report, overwrite)
    elif report:
        raise InputError(
            "output.report_in_folder",
            "With a folder as output, every image's folder gets a report and a table.",
            "Leave --report out, or give a file with -o.",
        )
    complete(request)  # what is wrong with it is said before anything is installed
    settings_for = functools.partial(
        prepare, request, yes, engine_python, keep_files, fall_back=fall_back, anyway=anyway
    )
    if not single:
        paths = image_paths(images)
        settings = settings_for(modality=modality_of_first(paths))
        shared = workers_of(settings, min(workers, len(paths)), device)
        raise typer.Exit(run_batch(paths, output, request, shared, overwrite, as_json))
    image, notices = read_input(images[0])
    voxel_box(image, request.region)  # refused before anything is installed
    settings = settings_for(modality=image.modality)
    segmentation = run_with_bar(image, notices, request, settings, source=str(images[0].absolute()))
    write_file(segmentation, output)
    if report:
        write_report(segmentation.report, report)
    if as_json:
        print_json(segmentation.report)
    else:
        print(output)


def structure_names(text: str | None) -> tuple[str, ...]:
    """The names of an option; an empty one is a mistake, and must not mean everything."""
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    if text is not None and not names:
        raise InputError(
            "input.no_structure",
            "--structures names no structure.",
            "Name some, e.g. liver,lungs, or leave the option out.",
        )
    return names


def _check_single(images: list[Path], output: Path, report: Path | None, overwrite: bool) -> None:
    if len(images) > 1:
        raise InputError(
            "output.several_images",
            f"{len(images)} images cannot be written to the one file {output.name}.",
            "Give a folder with -o.",
        )
    check_output(output, overwrite=overwrite, source=images[0])
    if report:
        check_output(report, overwrite=overwrite, source=images[0])
        if report.absolute() == output.absolute():
            raise InputError(
                "output.twice",
                "The report and the segmentation have the same name.",
                "Give the report another one.",
            )
