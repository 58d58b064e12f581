"""The loop of Algorithm 1 on a GPU, in CUDA C++ (csrc/cuda/): no step waits for the host.

cubins.py    the compiled kernels, by GPU
packing.py   rows, their order by norm, and their codes, as the kernels take them
loop.py      one matching: memory, the run, the pairs that come back
"""
