"""DICOM: series in, segmentations, structure sets and measurements out.

Places are in LPS mm here, as DICOM gives them, until they become an image's matrix (RAS). Reading
needs pydicom, which Slicer ships. What is written needs highdicom, and is written in the engine
environment (``writing``).
"""
