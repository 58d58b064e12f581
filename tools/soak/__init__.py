"""Soaking shows whether anything grows, gets lost, or stays half-written.

    python -m tools.soak [--calls 1000] [--kills 50] [--only calls,kills,disk] [--seed 0]

calls.py      small calls from threads, forks and spawned processes; what the process holds
kills.py      label, train and torchrun, killed at random moments and resumed
disk.py       every writer on a disk that is full, or fills up
running.py    commands in processes of their own
__main__.py   all of them; exit code 1 if anything was lost

``make soak`` runs it; docs/reliability.md has what was seen.
"""
