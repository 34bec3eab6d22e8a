"""Parts of the panel and of Slicer's own windows: what speaks Qt besides the module file."""
