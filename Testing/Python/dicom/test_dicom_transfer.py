"""What is read and written survives DICOM's network: storescu sends it, storescp keeps it."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from made_orders import content, made_labels, made_order
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from SampleData.dicom_series import SHAPE, made_slices, save, truth
from SampleData.dicom_variants import compressed
from support.programs import needed

from TotalSegmentatorLib.dicom.reading import read_volume, source_of
from TotalSegmentatorLib.dicom.series import find_series
from TotalSegmentatorLib.dicom.volumes import DicomVolume
from TotalSegmentatorLib.dicom.writing.writing import write
from TotalSegmentatorLib.jobs import JobContext

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Archive:
    """A storescp that listens.

    :param folder: what it has received.
    """

    port: int
    folder: Path

    def receive(self, paths: list[Path], program: str, *options: str) -> list[Path]:
        """Send files to it.

        :param program: of DCMTK, with its options.
        :return: what has arrived.
        """
        command = [needed(program), *options, "127.0.0.1", str(self.port), *map(str, paths)]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return sorted(self.folder.iterdir())


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    folder = tmp_path / "archive"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [needed("storescp"), "--promiscuous", "--accept-all", "-od", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield Archive(port, folder)
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_for(port: int, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("storescp does not listen")


def deflated(ds: pydicom.Dataset) -> None:
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


@pytest.mark.parametrize(
    ("encode", "option"),
    [
        (lambda ds: None, "--propose-uncompr"),
        (compressed(RLELossless), "--propose-rle"),
        (compressed(JPEG2000Lossless), "--propose-j2k-lossless"),
        (compressed(JPEGLSLossless), "--propose-jls-lossless"),
        (deflated, "--propose-deflated"),
    ],
    ids=["explicit", "RLE", "JPEG 2000", "JPEG-LS", "deflated"],
)
def test_series_is_read_as_before(encode, option: str, archive: Archive, tmp_path: Path) -> None:
    slices = made_slices()
    array, _ = truth(slices)
    for ds in slices:
        encode(ds)
    arrived = archive.receive(save(slices, tmp_path / "sent"), "storescu", option)
    assert len(arrived) == len(slices)
    before, after = volume_in(tmp_path / "sent"), volume_in(archive.folder)
    assert np.array_equal(read_volume(after)[0].array, array)
    assert np.array_equal(after.ijk_to_ras, before.ijk_to_ras)
    assert after.series == before.series
    assert instances(after) == instances(before)


def volume_in(folder: Path) -> DicomVolume:
    (series,) = find_series(folder).series
    (volume,) = series.volumes
    return volume


def instances(volume: DicomVolume) -> list[str]:
    return [one.sop_instance for one in volume.slices]


# The storescu of Debian knows no labelmaps and refuses them; dcmsend sends what it is given.
SENDERS = {
    "bitmaps, contours and measurements": (
        {"structure_set": True, "measurements": True},
        ("storescu", "--required", "--propose-uncompr"),
    ),
    "deflated bitmaps": ({"deflate": True}, ("storescu", "--required", "--propose-deflated")),
    "labelmap": ({"labelmap": True}, ("dcmsend", "--no-uid-checks", "--decompress-never")),
}


@pytest.mark.parametrize(("options", "sender"), SENDERS.values(), ids=SENDERS)
def test_results_arrive_whole(
    options: dict[str, bool], sender: tuple[str, ...], archive: Archive, tmp_path: Path
) -> None:
    save(made_slices(), tmp_path / "series")
    volume = volume_in(tmp_path / "series")
    measured = {"volume_ml": 1.5, "mean": 40.0, "sd": 9.0, "median": 38.0}
    contents = [content(label, **measured) for label in (1, 2, 3)]
    labels, folder = [made_labels(SHAPE)], tmp_path / "sent"
    order = made_order(source_of(volume), labels, folder, contents, **options)
    sent = write(order, JobContext(lambda event: None)).files
    assert len(sent) == 1 + options.get("structure_set", 0) + options.get("measurements", 0)
    arrived = archive.receive(list(sent.values()), *sender)
    by_uid = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, arrived)}
    assert len(by_uid) == len(sent)
    for path in sent.values():
        ds = pydicom.dcmread(path)
        assert by_uid[ds.SOPInstanceUID] == ds
