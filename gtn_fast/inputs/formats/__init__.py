"""Files that a matrix may lie in, a module for each kind; ``registry.FORMATS`` is their table.

registry.py      suffix to module, and which extra brings what it needs
keys.py          which array of a file that holds several
packed.py        rows that a library unpacks, block by block, when they are asked for
numpy_files.py   .npy, also on standard input; .npz
torch_files.py   .pt, .pth: a tensor, or tensors in nested dicts and lists
safetensors_files.py
tables.py        Parquet; Arrow and Feather, folders of Hugging Face datasets included
columns.py       lists of numbers in a column, as rows
hdf5_files.py    HDF5
zarr_files.py    Zarr
tars.py          WebDataset: a sample for each row
vectors.py       .fvecs, .bvecs; .fbin, .u8bin, .i8bin

A module has ``read(path, key, ndim)``: the array that ``key`` names, of any shape, or the only one
of ``ndim`` dimensions, as an array (mapped, where the file allows), a tensor, or a ``RowMatrix``.
It raises FileError, or whatever its library raises: ``inputs/reading.py`` names the file. Nothing
here unpickles.
"""
