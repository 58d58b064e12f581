"""What a caller passes, checked once: below this room the code trusts its input.

arrays.py      X and Y: described without a copy, then converted to what the engine reads
arguments.py   numbers
device.py      devices
groups.py      labels of groups, and the rows of each group
matrices.py    matrices that are not one array: several files, a tensor on a GPU
files.py       paths, keys and patterns; regular files alone
"""
