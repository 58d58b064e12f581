"""What the command line runs beside labeling and learning.

bench.py, bench_gpu.py           against the loop, FAISS and trees
demo.py, demo_generation.py      the tour of ``gtn-fast demo``
doctor.py                        what works here, and a self-test
"""
