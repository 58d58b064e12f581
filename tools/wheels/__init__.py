"""The wheels that strangers install: built from the sdist, accepted by auditwheel, tried.

- ``__main__``: ``python -m tools.wheels``, which ``make wheel``, ``make wheel-aarch64`` and
  ``make wheel-check`` call
- ``pythons``: the Pythons of this machine that a wheel can be built for
- ``attempt``: what a wheel must do in an empty environment
- ``zig.cmake``: the compiler
"""
