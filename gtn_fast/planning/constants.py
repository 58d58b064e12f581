"""What the planner knows about cost: measured constants, nothing else.

Written by benchmarks/measure_thresholds.py. Seconds are those of one thread of the
machine named in MEASURED_ON (of all threads for LINEAR_S_PER_ROW). costs.py holds the
formulas; calibration.py says how much faster or slower another machine is.
"""

MEASURED_ON = "AMD EPYC family 26 model 2, avx512vnni, 2 cores"

MEASURED_AT = (
    "2026-11-27, commit af1fb38+; trees and cones by what they made of it on an AMD EPYC family 25"
    " model 17, 2026-11-28"
)

# Seconds of one screened pair, by dimension: 1 / screening_rate.
KERNEL_S_PER_PAIR = {
    1: 1.87e-11,
    2: 1.87e-11,
    4: 1.87e-11,
    8: 2.29e-11,
    16: 3.48e-11,
    32: 6.49e-11,
    64: 1.27e-10,
    100: 1.96e-10,
    128: 2.54e-10,
    256: 5.01e-10,
    512: 9.81e-10,
    1024: 1.97e-09,
}

# Seconds of calibration.trial(), by strategy and dimension.
TRIAL_S = {
    "ray": {
        1: 0.00111,
    },
    "circle": {
        2: 0.00174,
    },
    "tree": {
        2: 0.00171,
        3: 0.00216,
        4: 0.00238,
        5: 0.00274,
        6: 0.0032,
        8: 0.00462,
        10: 0.00678,
        12: 0.00884,
        16: 0.012,
    },
    "screen": {
        1: 0.000356,
        2: 0.00207,
        4: 0.00123,
        8: 0.00117,
        16: 0.00129,
        32: 0.00162,
        64: 0.00222,
        100: 0.00304,
        128: 0.00351,
        256: 0.00627,
        512: 0.0114,
        1024: 0.0227,
    },
}

# Seconds for one row of X or Y.
LINEAR_S_PER_ROW = {
    "ray": 9.36e-08,
    "circle": 1.27e-07,
    "rank": 9.68e-08,
}

# By dimension: (seconds for one row at n_x = 1e5, exponent of n_x / 1e5).
TREE = {
    2: (4.7e-07, 0.116),
    3: (6.37e-07, 0.143),
    4: (7.29e-07, 0.192),
    5: (9e-07, 0.176),
    6: (1.16e-06, 0.154),
    8: (2.37e-06, 0.293),
    10: (6.06e-06, 0.398),
    12: (1.3e-05, 0.453),
    16: (4.43e-05, 0.702),
}

# Exponent of Spread.crowding in the tree's time.
TREE_CROWDING = 0.869

# The screen's passes over the pairs, against the bare kernel.
SCREEN_LOAD = 1.1

# What a pair costs beside the kernel: survivors, thresholds.
SCREEN_S_PER_PAIR = 1.97e-11

# Exact scores and lists for one row of Y.
SCREEN_S_PER_ROW = 9.73e-07

# Reading, normalising, quantising one value of X or Y.
SCREEN_S_PER_VALUE = 1.12e-08

# What cones leave of the pairs of a y with 1e6 free normals takes as long as so many pairs
# without, by dimension.
CONES = {
    9: 0.195,
    10: 0.2,
    12: 0.29,
    16: 0.53,
}

# With a minus, of free x's / 1e6 in that: from labelings of 2e5 to 1e6 rows.
CONES_EXPONENT = 0.4

# And as long as so many pairs: a y's part of the layouts.
CONES_PAIRS_PER_ROW = 45000.0

# Kernels::sift_cost of that machine.
SIFT_COST = 1.4

# Exponent of Spread.decay in the screen's time.
SCREEN_DECAY = 0.0646

# NumPy: seconds for one pair and coordinate.
REFERENCE_S_PER_VALUE = 9.29e-10

# NumPy: seconds for one row of Y.
REFERENCE_S_PER_ROW = 2.09e-05

# Start of a call, threads included.
CALL_S = 0.000745

# Speed-up of t threads: t ** THREAD_EXPONENT.
THREAD_EXPONENT = 0.871

# Bytes beyond the inputs and the results (28 per row of Y): (per row of X, per row of
# Y, per value of X, per value of Y). From growths of the peak resident set.
BYTES = {
    "ray": (32.0, 32.0, 0.0, 0.0),
    "circle": (68.0, 68.0, 0.0, 0.0),
    "tree": (40.0, 32.0, 26.0, 0.0),
    "screen": (68.0, 56.0, 1.6, 0.0),
    "rank": (20.0, 20.0, 0.0, 0.0),
    "reference": (160.0, 160.0, 22.0, 16.0),
}

# Buffers that do not grow with the problem.
FIXED_BYTES = 4000000.0

# Of a thread of the screen, per dimension: directions of a frame and of a tile of y's.
SCREEN_BYTES_PER_DIMENSION = 40000.0
