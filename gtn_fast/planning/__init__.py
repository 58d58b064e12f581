"""Which strategy, how long, how much memory: before anything is allocated.

planner.py      plan(), and what label() follows
choice.py       the strategy that "auto" takes
look.py         a look at a sample of X
costs.py        seconds and bytes: formulas over constants.py
constants.py    measured; benchmarks/measure_thresholds.py writes it
calibration.py  how fast this machine is beside the one of constants.py
memory.py       what is available, and what was used
"""
