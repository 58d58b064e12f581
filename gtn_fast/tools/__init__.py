"""What ``gtn-fast bench``, ``demo`` and ``doctor`` run: part of the installed package.

bench.py, bench_gpu.py           against the loop, FAISS and trees
demo.py, demo_generation.py      the tour of ``gtn-fast demo``; demo_page.py: the page it ends with
doctor.py                        what works here, and a self-test

The folder tools/ at the top of the repository is another thing: scripts for those who change
the code, which write figures and tables of the documents.
"""
