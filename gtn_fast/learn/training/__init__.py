"""The one loop that trains everything, and what a run leaves on disk.

loop.py        train()
run.py         epochs, best weights, early stopping
optimizer.py   Adam: groups, schedules
checkpoint.py  the file that a killed run goes on from
store.py       tensors and settings in one .safetensors file
logs.py        CSV, JSON, TensorBoard
guards.py      checks of the data, Ctrl-C between steps, threads for the size of the network
generators.py  random numbers that no other thread disturbs
seeds.py       a seed for each purpose, from one
"""
