"""Writing DICOM objects: runs in the engine process, whose packages can (highdicom)."""
