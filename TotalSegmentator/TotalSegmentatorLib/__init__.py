"""Automatic segmentation of CT and MR volumes: the library behind the Slicer module.

Importing it needs neither Slicer, Qt nor torch. The rooms, from the floor up: ``errors``,
``images``, ``catalog``, ``jobs``, ``engines``, ``environment``, ``scene``, ``segment``, ``cli``.
"""

__version__ = "0.1.0"
