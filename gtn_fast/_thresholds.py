"""What the planner knows about cost: measured constants, nothing else.

Written by benchmarks/measure_thresholds.py. Seconds are those of one thread of the
machine named in MEASURED_ON (of all threads for LINEAR_S_PER_ROW). planner.py holds the
formulas; the engine's rates (``_native.calibrate``) say how much faster or slower
another machine is.
"""

MEASURED_ON = "AMD EPYC family 26 model 2, avx512vnni, 2 cores"

MEASURED_AT = "2026-11-21, commit 60c62e2, on a busy machine"

# Seconds of one screened pair, by dimension: 1 / calibrate's pairs_per_s.
KERNEL_S_PER_PAIR = {
    1: 3.81e-11,
    2: 3.78e-11,
    4: 3.79e-11,
    8: 4.13e-11,
    16: 5.61e-11,
    32: 9.14e-11,
    64: 1.51e-10,
    100: 2.31e-10,
    128: 2.89e-10,
    256: 5.62e-10,
    512: 1.1e-09,
    1024: 2.19e-09,
}

# Seconds of one exact cosine, by dimension: 1 / calibrate's cosines_per_s.
COSINE_S = {
    1: 8.98e-09,
    2: 9.94e-09,
    4: 9.87e-09,
    8: 4.53e-09,
    16: 8.47e-09,
    32: 1.7e-08,
    64: 3.41e-08,
    100: 5.56e-08,
    128: 6.83e-08,
    256: 1.37e-07,
    512: 2.77e-07,
    1024: 5.49e-07,
}

# Seconds for one row of X or Y.
LINEAR_S_PER_ROW = {
    "ray": 8.25e-08,
    "circle": 2.17e-07,
    "rank": 1.35e-07,
}

# By dimension: (seconds for one row at n_x = 1e5, exponent of n_x / 1e5).
TREE = {
    2: (1.05e-06, 0.0),
    3: (1.15e-06, 0.107),
    4: (1.27e-06, 0.228),
    5: (1.64e-06, 0.181),
    6: (2.26e-06, 0.0815),
    8: (4.22e-06, 0.381),
    10: (1.09e-05, 0.307),
    12: (2.74e-05, 0.539),
    16: (9.46e-05, 0.818),
}

# Exponent of Spread.crowding in the tree's time.
TREE_CROWDING = 0.653

# The screen's passes over the pairs, against the bare kernel.
SCREEN_LOAD = 1.73

# Exact scores and lists for one row of Y.
SCREEN_S_PER_ROW = 3.85e-06

# Reading, normalising, quantising one value of X or Y.
SCREEN_S_PER_VALUE = 3.06e-08

# Exponent of Spread.decay in the screen's time.
SCREEN_DECAY = 0.0951

# NumPy: seconds for one pair and coordinate.
REFERENCE_S_PER_VALUE = 1.64e-09

# NumPy: seconds for one row of Y.
REFERENCE_S_PER_ROW = 1e-09

# Start of a call, threads included.
CALL_S = 0.000506

# Speed-up of t threads: t ** THREAD_EXPONENT.
THREAD_EXPONENT = 0.9

# Bytes beyond the inputs and the results (28 a row of Y): (per row of X, per row of
# Y, per value of X, per value of Y). From growths of the peak resident set.
BYTES = {
    "ray": (32.0, 32.0, 0.0, 0.0),
    "circle": (68.0, 68.0, 0.0, 0.0),
    "tree": (40.0, 32.0, 19.0, 0.0),
    "screen": (68.0, 56.0, 3.2, 0.2),
    "rank": (20.0, 20.0, 0.0, 0.0),
    "reference": (160.0, 160.0, 22.0, 16.0),
}

# Buffers that do not grow with the problem.
FIXED_BYTES = 4000000.0
