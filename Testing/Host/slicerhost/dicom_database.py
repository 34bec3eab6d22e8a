"""`slicer.dicomDatabase` and DICOMLib: DICOM files by patient, study, series and instance."""

from __future__ import annotations

import shutil
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import slicer


@dataclass(frozen=True)
class _Instance:
    """A file in the database.

    :ivar patient: what makes a patient one: ID, name and birth date
    """

    uid: str
    series: str
    study: str
    patient: tuple[str, ...]
    path: Path


_ATTRIBUTES = (
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "PatientName",
    "PatientBirthDate",
)


class ctkDICOMDatabase:
    """Knows where the files of instances are. Paths and UIDs are texts; what is unknown is ''."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._instances: dict[str, _Instance] = {}

    @property
    def isOpen(self) -> bool:
        """Whether there is a folder for it."""
        return self._folder is not None

    def openDatabase(self, databaseFile: str) -> bool:
        """Open a new database, whose file need not be there; its folder must be."""
        self.closeDatabase()
        folder = Path(databaseFile).parent
        if folder.is_dir():
            self._folder = folder
        return self.isOpen

    def closeDatabase(self) -> None:
        """Forget everything; the files stay."""
        self._folder = None
        self._instances.clear()

    def insert(self, filePath: str, storeFile: bool = True, generateThumbnail: bool = True) -> None:
        """Add a file, or a copy of it; one that is no DICOM file with UIDs is passed over."""
        from pydicom import dcmread  # here, as few modules need it
        from pydicom.errors import InvalidDicomError

        try:
            dataset = dcmread(filePath, stop_before_pixels=True)
        except InvalidDicomError:
            return
        values = [str(dataset.get(keyword, "")) for keyword in _ATTRIBUTES]
        uid, series, study, *patient = values
        if self._folder is None or not all((uid, series, study)):
            return
        path = Path(filePath)
        if storeFile:
            folder = self._folder / "dicom" / study / series
            folder.mkdir(parents=True, exist_ok=True)
            path = Path(shutil.copy(path, folder / uid))
        self._instances[uid] = _Instance(uid, series, study, tuple(patient), path)

    def patients(self) -> list[str]:
        """Return the numbers of the patients."""
        return [str(number) for number, _ in enumerate(self._distinct("patient"), 1)]

    def studiesForPatient(self, patientUID: str) -> list[str]:
        """Return the UIDs of the studies of a patient."""
        patient = self._distinct("patient")[int(patientUID) - 1]
        return self._distinct("study", patient=patient)

    def seriesForStudy(self, studyUID: str) -> list[str]:
        """Return the UIDs of the series of a study."""
        return self._distinct("series", study=studyUID)

    def filesForSeries(self, seriesUID: str) -> list[str]:
        """Return the paths of the files of a series."""
        return [str(path) for path in self._distinct("path", series=seriesUID)]

    def fileForInstance(self, sopInstanceUID: str) -> str:
        """Return the path of the file of an instance, whether it is there still or not."""
        found = self._instances.get(sopInstanceUID)
        return str(found.path) if found else ""

    def _distinct(self, name: str, **wanted: object) -> list:
        found = (
            getattr(one, name)
            for one in self._instances.values()
            if all(getattr(one, key) == value for key, value in wanted.items())
        )
        return list(dict.fromkeys(found))


def importDicom(
    dicomDataDir: str, dicomDatabase: ctkDICOMDatabase | None = None, copyFiles: bool = False
) -> bool:
    """Add the files of a folder to a database, by default the application's."""
    database = dicomDatabase or slicer.dicomDatabase
    for path in sorted(Path(dicomDataDir).rglob("*")):
        if path.is_file():
            database.insert(str(path), copyFiles, False)
    return True


def install() -> ctkDICOMDatabase:
    """Make a closed database `slicer.dicomDatabase`, and `DICOMLib.DICOMUtils` what fills it."""
    library = types.ModuleType("DICOMLib")
    library.DICOMUtils = types.ModuleType("DICOMLib.DICOMUtils")
    library.DICOMUtils.importDicom = importDicom
    for module in (library, library.DICOMUtils):
        sys.modules[module.__name__] = module
    slicer.dicomDatabase = ctkDICOMDatabase()
    return slicer.dicomDatabase
