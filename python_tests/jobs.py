"""Jobs as ``label`` makes them, for tests of what stands between its call and a backend."""

from __future__ import annotations

from gtn_fast.run.job import Arguments, Job
from gtn_fast.run.schedule import Schedule


def arguments(X, **others):
    """What a call of ``label`` with these arguments passes on."""
    named = {
        "X": X, "Y": None, "seed": 0, "method": "auto", "groups": None, "partial": False,
        "min_cosine": None, "threads": 1,
        "progress": None, "memory": None, "scratch": None, "checkpoint": None, "resume": False,
        "checkpoint_every": 30.0, "block": 0, "list_length": 0, "device": None, "options": {},
    }  # fmt: skip
    return Arguments(**(named | others))


def scheduled(X, **others):
    """Return the schedule of that call."""
    job = Job.of(arguments(X, **others))
    return Schedule.of(job, None if job.groups is None else job.groups.parts, job.x.value)
