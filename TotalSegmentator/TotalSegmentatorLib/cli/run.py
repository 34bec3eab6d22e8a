"""What the commands that segment have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from .. import environment
from ..errors import SetupError
from ..images import Image, Notice
from ..jobs import Request
from ..runs import Runs, check, complete
from ..segment import Segmentation, segment
from ..session import Settings
from .console import progress_bar, say
from .setup import agree_to_terms, is_agreed, make_engine


def prepare(
    request: Request,
    yes: bool,
    engine_python: Path | None,
    keep_files: bool = False,
    modality: str = "",
    fall_back: bool = False,
    anyway: bool = False,
) -> Settings:
    """The settings for runs of this request, after checks and, with consent, installation.

    :param modality: that of the image, if known.
    :param fall_back, anyway: see :data:`.parameters.FallBack`, :data:`.parameters.Anyway`.
    :raises SegmentationError: what is wrong with the request or this computer.
    """
    runs = complete(request, modality)
    if runs.sentence:
        say.line(runs.sentence)
    settings = general_settings(yes, engine_python, keep_files, fall_back, anyway)
    return with_consent(runs, settings)


def general_settings(
    yes: bool,
    engine_python: Path | None,
    keep_files: bool = False,
    fall_back: bool = False,
    anyway: bool = False,
) -> Settings:
    """The settings for runs of any request, after installation, if that is allowed.

    :raises SetupError: there is no engine.
    """
    if engine_python is None and not environment.is_ready(environment.default_folder()) and yes:
        make_engine(yes)
    return Settings(
        environment.find_engine(engine_python),
        yes,
        keep_files=keep_files,
        remember_runs=True,
        fall_back=fall_back,
        skip_memory_check=anyway,
        usage_statistics=environment.load_settings().usage_statistics,
    )


def with_consent(runs: Runs, settings: Settings) -> Settings:
    """The same settings, or such that allow a download, after questions on the terminal: whether a
    person accepts the terms of the runs' weights, and agrees to download them.

    :raises SetupError: see :func:`~..runs.check`.
    """
    agree_to_terms(runs.tasks)
    try:
        check(runs, settings)
    except SetupError as error:
        may_ask = error.code == "weights.missing" and not settings.may_download
        if not (may_ask and is_agreed(f"{error.message} Download them now?")):
            raise
        settings = dataclasses.replace(settings, may_download=True)
        check(runs, settings)
    return settings


def run_with_bar(
    image: Image,
    notices: Sequence[Notice],
    request: Request,
    settings: Settings,
    source: str = "",
) -> Segmentation:
    """Segment an image that was read, with a progress bar.

    :param source: path of the image, for the report.
    :raises SegmentationError: what is wrong.
    """
    with progress_bar() as bar:
        return segment(image, request, settings, notices, bar.event, source).wait()
