"""What can run a matching. One signature, the same answer from each exact one, bit for bit.

    registry.py   the list: names, strategies, devices, needs; why one cannot run here
    native.py     the C++ engine: ray, circle, tree, screen
    reference.py  NumPy: the oracle (method "reference") and the 1-D rank labeling
    faiss.py      candidates from an index of FAISS: approximate; faiss_gpu.py: on a GPU
    triton.py     a GPU: screen
    distributed.py  X in shards on several processes: screen; ranks.py, shards.py
    _blocks.py    blocks, lists and turns, for those who find candidates outside the engine
    _rest.py      the engine for the last stretch of what another has begun

A backend is an entry of ``registry.BACKENDS`` and a module with

    match(x, y, *, strategy, threads, block, list_length, progress, **options) -> Matched
                    options: those that its entry in the registry names, if they were given
                    and, if the entry says ``hands_over``, settled and settled_every
                    (seconds); if it says ``in_place``, x_rows, y_rows (the rows that take
                    part, int64, ascending), out_of_core (x is in files larger than memory)
                    and scratch (a folder for what does not fit beside it); if it computes
                    elsewhere than on the CPU, device ("cuda:1"); if it ``holds``, x and y
                    may be inputs.matrices.Held, rows that lie on a device
    require()       ImportError with reason and remedy, in one line, if it cannot run here
    instructions()  what it computes with, for the report
    predict(n_x, n_y, d, threads) -> (seconds, bytes beyond X and Y)
                    only for strategies of which planner.py has no formula
    check(options) -> options
                    as plain values; TypeError or ValueError for those that make no sense;
                    only where the entry names options

The arrays have been through gtn_fast.inputs; a backend checks nothing again.
``for_strategy`` gives the ``match`` that runs a strategy.
"""
