"""Short lists of candidates for blocks of y's, for backends that look outside the engine.

blocks.py  blocks, lists and turns
rest.py    the engine for the last stretch of what another backend has begun
"""
