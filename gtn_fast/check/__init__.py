"""Independent checks of a matching, by brute force; nothing of the strategies is used here.

verification.py  verify(): is it right, to the last bit
quality.py       how good an approximate one is
measure.py       cosines and distances: exact, and estimated by matrix products
turns.py         the x's that were free at a y's turn
"""
