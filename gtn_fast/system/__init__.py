"""What the operating system and the interpreter have to say: limits, forks, the end.

cgroups.py  the limits of a container
cpus.py     how many CPUs this process may use, and how many threads to take
workers.py  threads of Python: work in order, and what to say where one is refused
forks.py    what does not survive a fork
openmp.py   threads of torch and FAISS, in the calling thread alone
ending.py   long calls in background threads when the interpreter ends
"""
