"""Candidates from an index of FAISS: approximate.

backend.py  on the CPU: the index while it is cheaper, the exact engine for the rest
gpu.py      the same with the index on a GPU
index.py    an index over the free x's, rebuilt as they go
cost.py     seconds and bytes; decides what is cheaper
"""
