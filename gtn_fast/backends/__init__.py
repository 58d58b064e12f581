"""What can run a matching: one signature, and from each exact backend the same answer.

    registry.py   the list: names, strategies, devices, needs, flags; why one cannot run here
    selection.py  which backend runs a strategy, on which device, with which options
    methods.py    what ``label(method=)`` takes, and the dimensions that each method takes
    options.py    how a backend declares its options: type, limits, meaning
    interface.py  the types that go into ``match`` and come out of it
    native.py     the C++ engine: ray, circle, tree, screen
    reference.py  NumPy: the oracle (method "reference") and the 1-D rank labeling
    faiss/        the engine among the lists nearest to a y, centres by FAISS: approximate
    triton/       the screen on a GPU: the backend, and its kernels in Triton
    cuda/         the same with kernels of our own, csrc/cuda: what triton.backend tries first
    distributed/  the screen with X in shards on several processes
    lists/        blocks and short lists, for backends that find candidates themselves

Who calls whom, from ``label`` down to the compiled engine:

    api.label
      |-- run.local, in one process
      |     run.schedule
      |       |-- planning.planner           which strategy
      |       `-- selection.for_strategy     which backend, from the registry
      |             |
      |             +-- native.match ----------------------------------> _native (C++)
      |             +-- reference.match --------> gtn_fast.reference
      |             +-- faiss.backend.match --.-------------------------> _native.ListMatcher
      |             +-- faiss.gpu.match ------+
      |             `-- triton.backend.match -+-> lists.rest ----------> native.match
      |                         `-- cuda.loop ----------------------------> _native.DeviceLoop
      |
      `-- run.sharded, in each of several processes
            distributed.shards -----------------> lists.blocks --------> _native

A backend is an entry of ``registry.BACKENDS`` and a module with these functions:

    match(x, y, *, strategy, threads, block, list_length, progress, ...) -> Matched
                    min_cosine, where the caller of ``label`` gives one: then n_y may exceed n_x
    require()       ImportError with reason and remedy, in one line, if it cannot run here
    instructions()  what it computes with, for the report
    predict(n_x, n_y, d, threads) -> (seconds, bytes beyond X and Y)
                    only for strategies of which planning/costs.py has no formula
    why(n_x, n_y, d, threads) -> str
                    beside ``predict``: what a plan says, where there is more to say than who asked
    check(options) -> options
                    as plain values; TypeError or ValueError for those that make no sense;
                    only where the entry names options that run.schedule passes on (those of
                    "distributed" go to run.sharded)

What ``match`` gets beside the arguments above depends on the entry:

    the entry says           ``match`` gets
    ----------------------   ----------------------------------------------------------------
    options                  those of its options that were given
    euclidean                metric, where it is not "cosine"
    devices beside "cpu"     device: a ``Device``, "cuda:1" say
    takes_row_subsets        x_rows, y_rows: the rows that take part (int64, ascending)
    streams_pairs            settled: is to be called with pairs as they become final;
                             settled_every: the seconds between two calls
    takes_device_tensors     x and y may be ``inputs.matrices.Held``: rows that lie on a device
    strategy "screen", cpu   under a limit of memory: out_of_core (x is in files larger than
                             memory) and scratch (a folder for what does not fit beside it)

The arrays have been through gtn_fast.inputs; a backend checks nothing again.
"""
