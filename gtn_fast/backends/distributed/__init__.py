"""The screen over shards of X in several processes, of one machine or many (torch.distributed).

backend.py  the entry: require, match, predict
options.py  ``group``
shards.py   the matching
ranks.py    what the processes tell each other
pulse.py    signs of life: a rank that is gone is noticed
"""
