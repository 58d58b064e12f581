"""What a caller passes, checked once: below this room the code trusts its input.

arrays.py      X and Y: opened, described without a copy, then converted to what the engine reads
opening.py     paths, keys and patterns, to arrays and the files they come from
patterns.py    what a user writes for files
reading.py     arrays in files, each by its kind
npy.py         .npy and .npz: what a header promises, before anything is allocated
sources.py     files that are read while the work goes on, and that they stay as they were
refusals.py    what is no matrix, and the way out
wording.py     lists, paths and what a file holds in messages
arguments.py   numbers
device.py      devices
room.py        where a copy goes: memory, or a scratch file
groups.py      labels of groups, and the rows of each group
matrices.py    matrices that are not one array: several files, a tensor on a GPU
files.py       the error of every file, and what is no regular file
"""
