"""The module SampleData: data sets that modules offer for download."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import slicer

Texts = str | Sequence[str | None] | None


def _listed(value: Any, count: int) -> list:
    return [value] * count if value is None or isinstance(value, (str, bool)) else list(value)


@dataclass(frozen=True, init=False)
class SampleDataSource:
    """One data set: one file or several, each with an address, a name and a node name."""

    sampleName: str | None
    sampleDescription: str | None
    uris: list[str]
    fileNames: list
    nodeNames: list
    checksums: list
    loadFiles: list
    loadFileType: list
    loadFileProperties: dict
    thumbnailFileName: str | None
    customDownloader: Callable[[SampleDataSource], object] | None

    def __init__(
        self,
        sampleName: str | None = None,
        sampleDescription: str | None = None,
        uris: Texts = None,
        fileNames: Texts = None,
        nodeNames: Texts = None,
        checksums: Texts = None,
        loadFiles: Any = None,
        customDownloader: Callable[[SampleDataSource], object] | None = None,
        thumbnailFileName: str | None = None,
        loadFileType: Texts = None,
        loadFileProperties: dict | None = None,
    ) -> None:
        """Describe a data set.

        :raises TypeError: without addresses; the application needs them even if a downloader of
            one's own does the work
        :raises ValueError: the lists differ in length
        """
        if uris is None:
            raise TypeError("a data set needs uris, also one with a customDownloader")
        single = isinstance(uris, str)
        addresses = [uris] if single else list(uris)
        values = {
            "sampleName": sampleName,
            "sampleDescription": sampleName if sampleDescription is None else sampleDescription,
            "uris": addresses,
            "thumbnailFileName": thumbnailFileName,
            "customDownloader": customDownloader,
            "loadFileProperties": dict(loadFileProperties or {}),
        }
        lists = {
            "fileNames": fileNames,
            "nodeNames": nodeNames,
            "checksums": checksums,
            "loadFiles": loadFiles,
            "loadFileType": loadFileType,
        }
        for name, value in lists.items():
            values[name] = [value] if single else _listed(value, len(addresses))
            if len(values[name]) != len(addresses):
                raise ValueError(f"{name} must have as many entries as uris: {value!r}")
        for name, value in values.items():
            object.__setattr__(self, name, value)


class SampleDataLogic:
    """Keeps the list of data sets, `slicer.modules.sampleDataSources`, by category."""

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom",
        sampleName: str | None = None,
        uris: Texts = None,
        fileNames: Texts = None,
        nodeNames: Texts = None,
        customDownloader: Callable[[SampleDataSource], object] | None = None,
        thumbnailFileName: str | None = None,
        loadFileType: Texts = "VolumeFile",
        loadFiles: Any = None,
        loadFileProperties: dict | None = None,
        checksums: Texts = None,
    ) -> None:
        """Offer a data set; one that is offered already is not added again."""
        source = SampleDataSource(
            sampleName=sampleName,
            uris=uris,
            fileNames=fileNames,
            nodeNames=nodeNames,
            thumbnailFileName=thumbnailFileName,
            loadFileType=loadFileType,
            loadFiles=loadFiles,
            loadFileProperties=loadFileProperties,
            checksums=checksums,
            customDownloader=customDownloader,
        )
        offered = SampleDataLogic.sampleDataSourcesByCategory().setdefault(category, [])
        if source not in offered:
            offered.append(source)

    @staticmethod
    def sampleDataSourcesByCategory(category: str | None = None) -> Any:
        """Return the data sets of a category, or all by category."""
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        sources = slicer.modules.sampleDataSources
        return sources if category is None else sources.get(category, [])


def module() -> types.ModuleType:
    """Return the module to be entered as `SampleData`."""
    made = types.ModuleType("SampleData")
    made.SampleDataSource = SampleDataSource
    made.SampleDataLogic = SampleDataLogic
    return made


def forget() -> None:
    """Forget all data sets."""
    slicer.modules.__dict__.pop("sampleDataSources", None)


def download(name: str) -> object:
    """Do what a click on a data set does, and return what its own downloader returned.

    :raises LookupError: none has this name, or it would be fetched from the network
    """
    by_category = SampleDataLogic.sampleDataSourcesByCategory()
    every = (source for sources in by_category.values() for source in sources)
    source = next((source for source in every if source.sampleName == name), None)
    if source is None:
        raise LookupError(f"no module offers sample data of the name {name}")
    if source.customDownloader is None:
        raise LookupError(f"the host does not fetch {source.uris} from the network")
    return source.customDownloader(source)
