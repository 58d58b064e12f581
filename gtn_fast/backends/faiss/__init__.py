"""Lists around centres of FAISS: approximate.

backend.py  lists while they are quicker, the exact engine for the rest
centres.py  centres by k-means; how many there are, how many are probed
gpu.py      the same with centres from a GPU
cost.py     seconds and bytes; decides what is quicker
"""
