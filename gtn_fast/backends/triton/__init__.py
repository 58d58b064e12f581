"""The parts of the Triton backend. Importing one imports torch; triton comes with ``kernels``.

kernels.py   what runs on the device, and nothing else
launch.py    which configuration of a kernel, its grid, its launch
bounds.py    low-precision codes and what their scores can be off by
memory.py    what stays on the device: a pure function of sizes
rows.py      rows of X or Y, on the host or on the device
classes.py   rows of X of one and the same direction
columns.py   the packed free x's: codes, masks, compaction, panels from the host
exact.py     float64 cosines, on the host or on the device
levels.py    lists cut to length, and the levels down to which they are complete
source.py    short lists for blocks of y's (the Source of lists/blocks.py)
session.py   one matching on one device: all of the above put together
ahead.py     the kernels compiled for GPUs that are not here
"""
