"""A stand-in for the 3D Slicer application, on slicer-core and PySide6.

It lets a scripted module and its .ui file run in a plain Python process, without a display:
`qt` and `ctk` follow the conventions of PythonQt as they were measured in the application,
`slicer.app`, `slicer.modules` and the base classes of scripted modules are here, and the MRML
scene, the logics and ``slicer.util`` are Slicer's own, from the slicer-core package.

Ask :func:`slicerhost.libraries.missing_libraries` first, then start a
:class:`slicerhost.host.Host`. Names in camelCase stand in for names of Slicer, Qt or CTK.
"""
