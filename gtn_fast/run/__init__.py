"""One labeling from its checked description to its result.

job.py         the description of the work: made once, handed down
local.py       in this process: whole, in groups, or what a checkpoint left
sharded.py     on the ranks of a process group
groups.py      many small matchings, few large ones
checkpoint.py  what is settled, in a file that a killed run goes on from
report.py      what ran, for people and for programs
progress.py    bars and callables
"""
