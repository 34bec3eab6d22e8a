"""The folder workflow: DICOM series in, a folder for each with its segmentations out.

It keeps MHub's contract: modules, ``config.yml``, queries and targets (:mod:`.configuration`,
:mod:`.queries`, :mod:`.targets`). What is to be done is planned for all series first
(:mod:`.planning`), then carried out (:mod:`.workflow`), and written down (:mod:`.record`).
"""
