"""What the planner knows about cost: measured constants, nothing else.

Written by benchmarks/measure_thresholds.py. Seconds are those of one thread of the
machine named in MEASURED_ON (of all threads for LINEAR_S_PER_ROW). planner.py holds the
formulas; the engine's rates (``_native.calibrate``) say how much faster or slower
another machine is.
"""

MEASURED_ON = "Intel(R) Xeon(R) Processor family 6 model 207, avx512vnni, 2 cores"

MEASURED_AT = "2026-11-26, commit d2ce4a2"

# Seconds of one screened pair, by dimension: 1 / calibrate's pairs_per_s.
KERNEL_S_PER_PAIR = {
    1: 3.82e-11,
    2: 3.66e-11,
    4: 3.75e-11,
    8: 5.28e-11,
    16: 7.87e-11,
    32: 1.36e-10,
    64: 2.44e-10,
    100: 4.83e-10,
    128: 5.81e-10,
    256: 1.1e-09,
    512: 2.02e-09,
    1024: 3.26e-09,
}

# Seconds of one exact cosine, by dimension: 1 / calibrate's cosines_per_s.
COSINE_S = {
    1: 1.6e-08,
    2: 1.69e-08,
    4: 1.67e-08,
    8: 1.28e-08,
    16: 2.5e-08,
    32: 4.99e-08,
    64: 1.02e-07,
    100: 1.67e-07,
    128: 1.97e-07,
    256: 3.96e-07,
    512: 7.95e-07,
    1024: 1.64e-06,
}

# Seconds for one row of X or Y.
LINEAR_S_PER_ROW = {
    "ray": 1.51e-07,
    "circle": 2.63e-07,
    "rank": 2.11e-07,
}

# By dimension: (seconds for one row at n_x = 1e5, exponent of n_x / 1e5).
TREE = {
    2: (1.44e-06, 0.17),
    3: (1.8e-06, 0.155),
    4: (2.39e-06, 0.0692),
    5: (2.67e-06, 0.177),
    6: (3.67e-06, 0.152),
    8: (7.56e-06, 0.198),
    10: (1.82e-05, 0.378),
    12: (4.74e-05, 0.559),
    16: (0.00025, 1.04),
}

# Exponent of Spread.crowding in the tree's time.
TREE_CROWDING = 0.784

# The screen's passes over the pairs, against the bare kernel.
SCREEN_LOAD = 1.41

# Exact scores and lists for one row of Y.
SCREEN_S_PER_ROW = 2.89e-06

# Reading, normalising, quantising one value of X or Y.
SCREEN_S_PER_VALUE = 2.18e-08

# Exponent of Spread.decay in the screen's time.
SCREEN_DECAY = 0.0597

# NumPy: seconds for one pair and coordinate.
REFERENCE_S_PER_VALUE = 3.11e-09

# NumPy: seconds for one row of Y.
REFERENCE_S_PER_ROW = 2.94e-05

# Start of a call, threads included.
CALL_S = 0.000934

# Speed-up of t threads: t ** THREAD_EXPONENT. Kept from the AMD machine of 2026-11-21: the
# second core of the present one is shared with others (0.73).
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
