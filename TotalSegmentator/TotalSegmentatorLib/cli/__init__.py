"""The command line ``slicer-totalsegmentator``: one file per command."""
