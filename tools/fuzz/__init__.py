"""Fuzzing: bytes that a fuzzer makes up, and what must hold whatever they are.

    python -m tools.fuzz [--seconds 600] [--only TEXT] [--jobs N]     (make fuzz)
    python -m tools.fuzz.one TARGET FILE                              (one input again)

choices.py    bytes to decisions
rules.py      what is wrong, whatever was read: not refused in one line, or other numbers
stored.py     labels files, checkpoints of a labeling
models.py     GTN, flow, autoencoder, VAE, classifier, DDPM, checkpoint of a training
arrays.py     .npy and .npz, down to the bytes of their headers
files.py      Arrow, Parquet, HDF5, tars, vectors, shards
pictures.py   images of all kinds
commands.py   command lines on matrices of any shape and type
targets.py    all of these by name
one.py        one target, under atheris
__main__.py   all targets, each for its share of the time; the match itself (csrc/fuzz/) is one

A target is a class: it makes its files in the folder that it is given, ``seeds()`` are inputs to
begin with, and ``check(data)`` raises anything at all if something is wrong.
"""
