"""What the planner knows about cost: measured constants, nothing else.

Written by benchmarks/measure_thresholds.py; seconds are those of one thread of the
machine named in MEASURED_ON. The screen's rate is measured again on each machine
(``_native.calibrate``); the others scale with it.
"""

MEASURED_ON = "placeholder: not measured yet"

# calibrate(d)["pairs_per_s"] on that machine is about MULTIPLY_ADDS_PER_S / (d + PAIR_OVERHEAD).
MULTIPLY_ADDS_PER_S = 60e9
PAIR_OVERHEAD = 24.0

# Seconds for one row of X or Y.
RAY_S_PER_ROW = 2.0e-7
CIRCLE_S_PER_ROW = 5.0e-7
RANK_S_PER_ROW = 4.0e-7

# Tree: seconds for one row of Y at n_x = 1e6; grows with (n_x / 1e6) ** TREE_GROWTH.
TREE_S_PER_ROW = {2: 2.0e-6, 3: 4.0e-6, 4: 8.0e-6, 5: 1.5e-5, 6: 3.0e-5, 8: 1.2e-4, 16: 2.0e-3}
TREE_GROWTH = 0.2

# Screen: pairs_per_s counts pairs with most ruled out by the screen; SCREEN_LOAD covers
# rescoring and resolving on Gaussian data, SCREEN_S_PER_VALUE the passes over the input.
SCREEN_LOAD = 1.4
SCREEN_S_PER_VALUE = 8.0e-9
# With effective dimension e below d most pairs are ruled out after a prefix of the
# dimensions: the cost of a pair is that of max(e * SCREEN_PREFIX, 1/8 d) dimensions.
SCREEN_PREFIX = 1.5

# Reference (NumPy): seconds for one pair and coordinate, and for one row of Y.
REFERENCE_S_PER_VALUE = 2.0e-9
REFERENCE_S_PER_ROW = 4.0e-5

# NumPy / engine seconds for one normal number (Y=None).
NORMAL_S_PER_VALUE = 1.0e-8

# Start of a call, threads included.
CALL_S = 2.0e-4

# Speed-up of t threads: t ** THREAD_EXPONENT.
THREAD_EXPONENT = 0.9

# Bytes beyond the inputs: (per row of X, per row of Y, per value of X, per value of Y).
BYTES = {
    "ray": (40.0, 48.0, 0.0, 0.0),
    "circle": (64.0, 64.0, 0.0, 0.0),
    "tree": (64.0, 64.0, 10.0, 0.0),
    "screen": (64.0, 64.0, 3.0, 0.0),
    "rank": (24.0, 40.0, 0.0, 0.0),
    "reference": (56.0, 48.0, 32.0, 16.0),
}
FIXED_BYTES = 32e6
