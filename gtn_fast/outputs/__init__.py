"""What a run leaves behind: nothing half-written, nothing destroyed, nothing lost.

files.py     one file: where its name leads, whether it can be written, whole or not at all
targets.py   all files of a command, checked together before the work: inputs, older files, room
tables.py    labels as a table of pandas or Arrow, and as Parquet
kinds.py     what a file that is there holds, and whether it is ours to replace
streams.py   standard output and error, which may be missing, closed or full

Every file that the package writes goes through ``files.write_file`` or ``files.replacing``.
"""
