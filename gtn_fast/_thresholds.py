"""What the planner knows about cost: measured constants, nothing else.

To be written by benchmarks/measure_thresholds.py. Seconds are those of one thread of
the machine named in MEASURED_ON. planner.py holds the formulas; the engine's rates
(``_native.calibrate``) say how much faster or slower another machine is.
"""

MEASURED_ON = "provisional: a busy 2-core machine with AVX-512 VNNI"

# What calibrate(d) measured there, as 1 / (constant + slope * d).
KERNEL_S_PER_PAIR = (2.4e-11, 2.1e-12)  # pairs_per_s
COSINE_S = (1.0e-9, 5.4e-10)  # cosines_per_s

# Ray, circle, rank: seconds for one row of X or Y.
RAY_S_PER_ROW = 1.2e-7
CIRCLE_S_PER_ROW = 3.0e-7
RANK_S_PER_ROW = 4.0e-7

# Tree, by dimension: (seconds for one row of Y at n_x = 1e5, exponent of n_x / 1e5).
TREE = {
    2: (1.9e-6, 0.15),
    3: (2.2e-6, 0.20),
    4: (3.0e-6, 0.25),
    5: (4.0e-6, 0.30),
    6: (5.2e-6, 0.38),
    8: (9.6e-6, 0.45),
    10: (2.2e-5, 0.62),
    16: (1.0e-4, 0.90),
}

# Screen: its passes over pairs against the bare kernel; then for one row of Y what
# survives the screen costs SCREEN_S_PER_ROW + SCREEN_S_PER_ROW_N * n_x / d.
SCREEN_LOAD = 2.0
SCREEN_S_PER_ROW = 2.0e-6
SCREEN_S_PER_ROW_N = 1.0e-9
SCREEN_S_PER_VALUE = 8.0e-9  # reading, normalising, quantising: one value of X or Y

# Data whose directions have effective dimension e < d crowd together: what survives the
# screen, and the nodes a tree opens, grow like (d / e) ** CROWDING.
CROWDING = 0.8

# Reference (NumPy): seconds for one pair and coordinate, and for one row of Y.
REFERENCE_S_PER_VALUE = 2.0e-9
REFERENCE_S_PER_ROW = 4.0e-5

CALL_S = 2.0e-4  # start of a call, threads included
THREAD_EXPONENT = 0.9  # speed-up of t threads: t ** THREAD_EXPONENT

# Bytes beyond the inputs, results (28 a row of Y) apart: (per row of X, per row of Y,
# per value of X, per value of Y). Measured as the growth of the peak resident set.
BYTES = {
    "ray": (32.0, 32.0, 0.0, 0.0),
    "circle": (68.0, 68.0, 0.0, 0.0),
    "tree": (40.0, 32.0, 19.0, 0.0),
    "screen": (68.0, 56.0, 3.2, 0.2),
    "rank": (20.0, 20.0, 0.0, 0.0),
    "reference": (160.0, 160.0, 22.0, 16.0),
}
FIXED_BYTES = 4e6
