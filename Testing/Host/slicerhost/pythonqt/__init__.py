"""PythonQt conventions over PySide6: what `import qt` and `import ctk` give inside Slicer."""
