"""The one loop that trains everything, and what a run leaves on disk.

loop.py        train()
run.py         epochs, best weights, early stopping
checkpoint.py  the file that a killed run goes on from
store.py       tensors and settings in one .safetensors file
logs.py        CSV, JSON, TensorBoard
guards.py      generators and thread counts that are given back
seeds.py       a seed for each purpose, from one
"""
