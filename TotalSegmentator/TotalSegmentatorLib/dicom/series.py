"""The image series in files, and the volumes that each of them makes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..images import Notice
from .attributes import quiet_pydicom
from .files import list_files
from .headers import ImageHeader, counted, read_headers, series_name
from .identifiers import stable_uid
from .stacks import make_volumes
from .volumes import Found, Series, SeriesInfo

Key = tuple[object, ...]


def find_series(
    source: Path | Sequence[Path], on_file: Callable[[int], None] | None = None
) -> Found:
    """Find the image series in a folder or in some files, from the headers alone.

    What is wrong with a series is a refusal of that series, and the others go on.

    :param source: a folder, which is searched with the folders in it, or files.
    :param on_file: called with the number of files read so far.
    :raises InputError: ``input.too_many_files``, ``input.not_found``, ``input.not_readable``.
    """
    if isinstance(source, Path):
        files = list_files(Path(os.path.abspath(source)))
    else:
        files = [Path(os.path.abspath(path)) for path in source]
    headers: list[ImageHeader] = []
    others: Counter[str] = Counter()
    with quiet_pydicom():
        for count, path in enumerate(files, 1):
            modality, images = read_headers(path)
            headers += images
            if not images:
                others[modality] += 1
            if on_file:
                on_file(count)
    groups = _by_series(headers)
    series = [_series(*pair) for pair in zip(groups, _uids(groups), strict=True)]
    series.sort(key=lambda one: (one.info.number is None, one.info.number, one.info.uid))
    return Found(tuple(series), dict(others))


def _by_series(headers: Sequence[ImageHeader]) -> list[list[ImageHeader]]:
    """The images of each series, ordered by what they say and not by the names of files.

    A UID that stands for two series (of two patients, say) stands for none of them.
    """
    groups: dict[Key, list[ImageHeader]] = {}
    for header in sorted(headers, key=lambda one: (one.instance, one.image.sop_instance)):
        groups.setdefault(_key(header), []).append(header)
    counts = Counter(group[0].series_uid for group in groups.values())
    return [
        [replace(header, series_uid="") for header in group]
        if counts[group[0].series_uid] > 1
        else group
        for group in groups.values()
    ]


def _key(header: ImageHeader) -> Key:
    """What images of one series have in common; without its UID, what makes one likely."""
    common = header.patient, header.study_uid, header.series_uid
    if header.series_uid:
        return common
    image = header.image
    orientation = tuple(round(cosine, 2) for cosine in image.orientation)
    said = header.modality, header.number, header.description
    return (*common, *said, image.path.parent, orientation)


def _uids(groups: Sequence[Sequence[ImageHeader]]) -> list[str]:
    """A UID for each series: its own, or a stable one in place of a missing one.

    It is made of the images' own UIDs, so it is the same wherever the files lie. No two are equal,
    as results of one series would replace those of the other.
    """
    uids: dict[str, None] = {}
    for group in groups:
        first = group[0]
        instances = sorted({header.image.sop_instance for header in group})
        made = stable_uid("series", first.patient, first.study_uid, *instances)
        uid = first.series_uid or made
        while uid in uids:
            uid = stable_uid(uid)
        uids[uid] = None
    return list(uids)


def _series(group: Sequence[ImageHeader], uid: str) -> Series:
    info = _info(group, uid)
    name = series_name(info.number)
    distinct = _distinct(group)
    images = [header for header in distinct if not header.localizer]
    if not images:
        text = f"{name} has localizer images only."
        return Series(info, (), (InputError("input.localizer", text, "Choose another series."),))
    volumes, refusals = make_volumes(info, images)
    notices = _repair_notices(info, name)
    if localizers := len(distinct) - len(images):
        text = f"{name} is used without its {counted(localizers, 'localizer image')}."
        notices = (Notice("input.localizer", text), *notices)
    volumes = tuple(replace(one, notices=(*notices, *one.notices)) for one in volumes)
    return Series(info, volumes, refusals)


def _distinct(group: Sequence[ImageHeader]) -> list[ImageHeader]:
    """Without copies of the same image."""
    kept = {}
    for header in group:
        image = header.image
        kept.setdefault((image.sop_instance, image.frame, image.position, header.apart), header)
    return list(kept.values())


def _info(group: Sequence[ImageHeader], uid: str) -> SeriesInfo:
    """What the images have in common, with stable UIDs in place of missing ones."""
    first = group[0]
    missing = {
        "StudyInstanceUID": not first.study_uid,
        "SeriesInstanceUID": not first.series_uid,
        "SOPInstanceUID": any(header.made_up for header in group),
        "FrameOfReferenceUID": not all(header.frame_of_reference_uid for header in group),
    }
    return SeriesInfo(
        uid=uid,
        study_uid=first.study_uid or stable_uid("study", uid),
        frame_of_reference_uid=first.frame_of_reference_uid or stable_uid("frame", uid),
        modality=first.modality,
        number=first.number,
        description=first.description,
        repaired=tuple(name for name, is_missing in missing.items() if is_missing),
    )


def _repair_notices(info: SeriesInfo, name: str) -> tuple[Notice, ...]:
    if not info.repaired:
        return ()
    text = f"{name} has no valid {', '.join(info.repaired)}; made-up ones are used instead"
    if info.repaired != ("FrameOfReferenceUID",):
        text += ", so results cannot be linked to the original study"
    return (Notice("input.repaired_uids", text + "."),)
