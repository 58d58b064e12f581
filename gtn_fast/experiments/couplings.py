"""Flows on pairs of several couplings: in the plane, and on latents.

The sets in the plane are torchcfm's (normals to eight Gaussians, eight Gaussians to two moons), by
generators of our own. Latents are principal components of images, standardised, or, without
``--data``, of a mixture that a small random network has bent. One network and one number of steps
of training for all couplings; pairs are drawn anew for each epoch. Every flow is judged as its
velocity leads, and calibrated, as ``Flow`` is. At d = 8 all of MNIST is learned, in as many steps,
and the two couplings that are compared with each other are trained from three seeds: there the
seeds differ by more than the couplings do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtn_fast import plots
from gtn_fast.experiments import image_data, images
from gtn_fast.experiments.report import Notes
from gtn_fast.learn.calibration import Calibration, Moments
from gtn_fast.learn.couplings import Coupling, How, Semidiscrete, check_coupling
from gtn_fast.learn.scaling import Scaling
from gtn_fast.learn.training.loop import train
from gtn_fast.learn.training.seeds import derive
from gtn_fast.learn.velocity import Velocity, integrate, matching_loss
from gtn_fast.metrics import points
from gtn_fast.sample import normal

Array = NDArray[Any]
Source = Callable[[int, int, int, int], Array]  # as gtn_fast.normal: (seed, first row, rows, d)

STEPS = (1, 2, 4, 8, 16, 32)
DIMENSIONS = (8, 32, 64)
NAMES = ("independent", "minibatch", "labels", "euclidean", "semidiscrete")
COMPARED = ("minibatch", "labels")
# By d. Labels and potentials take time as n²: all rows of MNIST where a search is cheap.
ROWS, SEEDS = {8: 57_000, 32: 14_400, 64: 14_400}, {8: 3}
_SCORING = 18_000  # images that the classifier is trained on
_LEARNED = 30 * 14_400  # rows that a flow on latents is trained on, all epochs together
_JUDGED = 3_000
_MEASURED = 10_000  # y's that a calibration measures


@dataclass
class Set:
    """What a flow is to learn: rows x, others held out, and where its y's come from.

    ``seeds``: how often each of ``COMPARED`` is trained.
    """

    name: str
    x: Array
    held_out: Array
    source: Source = normal
    couplings: tuple[str, ...] = NAMES
    seeds: int = 1
    back: Callable[[Array], Array] | None = None  # to uint8 images
    found: dict[str, Any] = field(default_factory=dict)


def eight_gaussians(seed: int, first: int, rows: int, d: int) -> Array:
    """Draw from eight Gaussians of variance 0.1 on a circle of radius 5: float32 (rows, 2)."""
    rng = np.random.default_rng((seed, first))
    angle = rng.integers(8, size=rows) * (np.pi / 4)
    centre = 5 * np.column_stack((np.cos(angle), np.sin(angle)))
    made: Array = (centre + rng.normal(0, 0.1**0.5, (rows, d))).astype(np.float32)
    return made


def moons(seed: int, first: int, rows: int, d: int) -> Array:
    """Draw from two half circles, one in the other, with noise of 0.2, times 3: (rows, 2)."""
    rng = np.random.default_rng((seed, first))
    angle, upper = rng.random(rows) * np.pi, rng.random(rows) < 0.5
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle))
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    noise = rng.normal(0, 0.2, (rows, d))
    made: Array = (3 * (np.column_stack((x, y)) + noise) - (0.5 * 3, 0.25 * 3)).astype(np.float32)
    return made


def bent(n: int, d: int, seed: int) -> Array:
    """Draw from ten Gaussians that a random network of one layer has bent: float32 (n, d)."""
    rng = np.random.default_rng(seed)
    centres, first = rng.normal(0, 1.5, (10, d)), rng.normal(0, d**-0.5, (d, 2 * d))
    z = centres[rng.integers(10, size=n)] + rng.standard_normal((n, d))
    made: Array = (np.tanh(z @ first) @ rng.normal(size=(2 * d, d))).astype(np.float32)
    return made


def experiment(notes: Notes) -> None:
    """Train a flow on every set by every coupling, and judge it after 1 to 32 Euler steps."""
    plane = _plane_sets(notes)
    latents, scorer, real = _latent_sets(notes)
    for each in (*plane, *latents):
        for name in each.couplings:
            with notes.timed(f"{each.name}, {name}"):
                _learn(each, name, notes)
    for each in (*plane, *latents):
        _write(each, notes)
    if scorer is not None:
        for each in latents:
            _one_step(each, scorer, real, notes)
    _judge(latents, notes)
    notes.numbers["sets"] = {each.name: _plain(each.found) for each in (*plane, *latents)}
    _draw(plane, latents, notes)


def _plane_sets(notes: Notes) -> list[Set]:
    n, seeds = (300 if notes.quick else 5_000), range(2)
    names = (*NAMES, "rays")
    train_x, held = (eight_gaussians(derive(notes.seed, f"gaussians {k}"), 0, n, 2) for k in seeds)
    first = Set("normals to 8 gaussians", train_x, held, normal, names)
    train_x, held = (moons(derive(notes.seed, f"moons {k}"), 0, n, 2) for k in seeds)
    return [first, Set("8 gaussians to moons", train_x, held, eight_gaussians, names)]


def _latent_sets(notes: Notes) -> tuple[list[Set], images.Judge | None, Array | None]:
    """Return the sets, who scores images, and real images: None each without data."""
    dimensions = DIMENSIONS[:1] if notes.quick else DIMENSIONS
    if notes.data is None:
        sets = []
        for d in dimensions:
            n, held = (300, 200) if notes.quick else (ROWS[d], _JUDGED)
            n = notes.options.get("limit", n)
            x = bent(n + held, d, derive(notes.seed, "bent"))
            x = Scaling.of(x).apply(x)
            sets.append(Set(f"bent mixture, d = {d}", x[:n], x[n:], seeds=SEEDS.get(d, 1)))
        return sets, None, None
    plan = image_data.resolved("mnist", notes)
    notes.options.setdefault("limit", 500 if notes.quick else max(ROWS.values()) + _JUDGED)
    whole, test = image_data.load(plan, notes)
    some = np.random.default_rng(derive(notes.seed, "scoring")).permutation(len(whole))[:_SCORING]
    scorer = images.judge(plan, image_data.rows(whole, some), test, notes)
    pixels = whole.images.reshape(len(whole), -1).astype(np.float64)
    order = np.random.default_rng(notes.seed).permutation(len(pixels))
    cut = len(order) - min(_JUDGED, len(order) // 5)
    mean = pixels.mean(axis=0)
    pixels -= mean
    axes = np.linalg.eigh(pixels.T @ pixels)[1][:, ::-1]
    sets = []
    for d in (each for each in dimensions if each < len(axes)):
        x = (pixels @ axes[:, :d])[order].astype(np.float32)
        learned = x[:cut][: ROWS[d]]
        scaling = Scaling.of(learned)

        def back(made: Array, scaling: Scaling = scaling, d: int = d) -> Array:
            flat = scaling.undo(made) @ axes[:, :d].T + mean
            pixels: Array = np.clip(np.rint(flat), 0, 255).astype(np.uint8)
            return pixels.reshape(-1, *whole.images.shape[1:])

        name = f"{Path(whole.name).name}, PCA to {d}, {len(learned):,} rows"
        sets.append(Set(name, scaling.apply(learned), scaling.apply(x[cut:]),
                        seeds=SEEDS.get(d, 1), back=back))  # fmt: skip
    return sets, scorer, whole.images[order[cut:]]


def _epochs(rows: int, notes: Notes) -> int:
    """Return how many epochs a flow is trained for: on latents as many steps for any rows."""
    chosen: int = notes.options.get("epochs", 2 if notes.quick else max(1, round(_LEARNED / rows)))
    return chosen


def _train(each: Set, name: str, seed: int, notes: Notes) -> tuple[Velocity, list[float]]:
    """Train one flow; return it, and the CPU seconds for the pairs of every epoch."""
    n, d = each.x.shape
    width, epochs = (32 if notes.quick else 256), _epochs(n, notes)
    if d == 2 and not notes.quick:
        width, epochs = 64, notes.options.get("epochs", 100)
    coupling: Coupling = check_coupling(name, d)
    if name == "semidiscrete":
        coupling = Semidiscrete(rounds=20 if notes.quick else 300, source=each.source)
    centre = each.x.mean(axis=0, dtype=np.float64).astype(np.float32)
    seconds: list[float] = []

    def pairs(epoch: int) -> tuple[Tensor, Tensor]:
        y = each.source(derive(seed, f"y {epoch}"), 0, n, d)
        began = time.process_time()
        how = How(derive(seed, f"pairs {epoch}"), notes.threads, progress=False)
        # Directions are from the origin; no transport minds a shift of all of x, or of all of y.
        rows = coupling(each.x - centre, y - y.mean(axis=0, dtype=np.float32), how)
        seconds.append(time.process_time() - began)
        each.found.setdefault("cost", {})[name] = float(np.square(y - each.x[rows]).sum(1).mean())
        return torch.from_numpy(y), torch.from_numpy(each.x[rows])

    model = Velocity.of(d, 4, width, derive(seed, "weights"))
    train(
        model, matching_loss, pairs(1), epochs=epochs, batch_size=256, lr=1e-3, seed=seed,
        refresh=lambda epoch: pairs(epoch) if epoch > 1 else None, draws=True, progress=False,
    )  # fmt: skip
    return model, seconds


def _learn(each: Set, name: str, notes: Notes) -> None:
    """Train one flow; keep its samples by number of steps, its straightness, its seconds.

    From further seeds there are energy distances, as the velocity leads; ``energy`` is the mean.
    """
    d = each.x.shape[1]
    model, seconds = _train(each, name, notes.seed, notes)
    y = torch.from_numpy(each.source(derive(notes.seed, "new"), 0, len(each.held_out), d))
    fresh = torch.from_numpy(each.source(derive(notes.seed, "calibrate"), 0, _MEASURED, d))
    moments = Moments.of(each.x)
    with torch.no_grad():
        made = {steps: integrate(model, y, steps).numpy() for steps in STEPS}
        maps = {k: Calibration.to(Moments.of(integrate(model, fresh, k).numpy()), moments)
                for k in STEPS}  # fmt: skip
        found: dict[str, Any] = {"bend": _bend(model, y, torch.from_numpy(made[STEPS[-1]]))}
    found["energy"] = {k: points.energy_distance(v, each.held_out) for k, v in made.items()}
    if each.seeds > 1 and name in COMPARED:
        runs = [found["energy"]]
        for number in range(1, each.seeds):
            other, _ = _train(each, name, derive(notes.seed, f"run {number}"), notes)
            with torch.no_grad():
                runs.append({k: points.energy_distance(integrate(other, y, k), each.held_out)
                             for k in STEPS})  # fmt: skip
        found["energy by seed"] = {k: [run[k] for run in runs] for k in STEPS}
        found["energy"] = {k: float(np.mean(v)) for k, v in found["energy by seed"].items()}
    calibrated = {k: maps[k].apply(v) for k, v in made.items()}
    found["calibrated"] = {
        k: points.energy_distance(v, each.held_out) for k, v in calibrated.items()
    }
    found["sliced"] = {k: points.sliced_wasserstein(v, each.held_out) for k, v in made.items()}
    # The first call of semidiscrete learns its potentials: once, whatever the epochs.
    found["seconds of an epoch"] = float(np.median(seconds))
    found["seconds of the first"] = seconds[0]
    found["samples"], found["calibrated samples"] = made, calibrated
    each.found.setdefault("flows", {})[name] = found


def _bend(model: Velocity, y: Tensor, end: Tensor) -> float:
    """Return the mean over t of E|v - (z1 - z0)|² / E|z1 - z0|²: 0 for straight paths."""
    total, z, chord = 0.0, y, end - y
    for step in range(STEPS[-1]):
        v = model(z, torch.full((len(z),), step / STEPS[-1]))
        total += float((v - chord).square().sum(dim=1).mean())
        z = z + v / STEPS[-1]
    return total / STEPS[-1] / float(chord.square().sum(dim=1).mean())


def _write(each: Set, notes: Notes) -> None:
    floor = points.energy_distance(each.x[: len(each.held_out)], each.held_out)
    each.found["floor"] = floor
    notes.line(f"{each.name}: energy distance of training rows to held-out ones", floor, "")
    steps = " / ".join(map(str, STEPS))
    what = (f"energy distance after {steps} steps; calibrated; sliced Wasserstein after 1 / 8;"
            " bend; seconds")  # fmt: skip
    for name, found in each.found["flows"].items():
        parts = [
            *(
                " / ".join(f"{value:.3f}" for value in found[kind].values())
                for kind in ("energy", "calibrated")
            ),
            " / ".join(f"{found['sliced'][k]:.3f}" for k in (1, 8)),
            f"{found['bend']:.3f}",
            f"{found['seconds of an epoch']:.3f} per epoch",
        ]
        if found["seconds of the first"] > 10 * found["seconds of an epoch"] + 1:
            parts[-1] += f" after {found['seconds of the first']:.0f}"
        notes.line(f"{each.name}, {name}: {what}", "; ".join(parts), "")
        what = "the same"
        if "energy by seed" in found:
            spread = (f"{min(v):.3f} to {max(v):.3f}" for v in found["energy by seed"].values())
            notes.line(
                f"{each.name}, {name}: energy distance after {steps} steps, least and most"
                f" of {each.seeds} seeds (above: their mean)",
                " / ".join(spread),
                "",
            )


def _one_step(each: Set, scorer: images.Judge, real: Array | None, notes: Notes) -> None:
    """Compare images of the flow on labels with those of a calibrated GTN."""
    from gtn_fast.learn.gtn import GTN

    assert each.back is not None
    assert real is not None
    with notes.timed(f"{each.name}, GTN"):
        gtn = GTN(each.x.shape[1])
        gtn.fit(each.x, seed=notes.seed, epochs=_epochs(len(each.x), notes), progress=False,
                threads=notes.threads)  # fmt: skip
        made = gtn.sample(len(each.held_out), notes.seed)
        flow = each.found["flows"]["labels"]
        fid = {f"labels, {k} steps{kind}": scorer.distance(real, each.back(flow[samples][k]))
               for kind, samples in (("", "samples"), (", calibrated", "calibrated samples"))
               for k in (1, 8, 32)}  # fmt: skip
        fid["GTN, calibrated, one step"] = scorer.distance(real, each.back(made))
        fid["real latents, decoded"] = scorer.distance(real, each.back(each.held_out))
    each.found["FID"] = fid
    each.found["energy of GTN"] = points.energy_distance(made, each.held_out)
    ahead = fid["labels, 8 steps, calibrated"] < fid["GTN, calibrated, one step"]
    notes.line(f"{each.name}: FID on a classifier's features, " + " / ".join(fid),
               " / ".join(f"{value:.1f}" for value in fid.values()), "",
               "8 steps ahead of one calibrated", ahead)  # fmt: skip
    notes.line(f"{each.name}: energy distance, GTN, calibrated, one step",
               each.found["energy of GTN"], "")  # fmt: skip


def _judge(latents: list[Set], notes: Notes) -> None:
    """Write down what was expected before the run: labels beside minibatch transport."""
    for each in latents:
        flows, d = each.found["flows"], each.x.shape[1]
        labels, batches = flows["labels"], flows["minibatch"]
        ahead = [k for k in STEPS if labels["energy"][k] < batches["energy"][k]]
        wanted = STEPS if d <= 32 else (1,)
        notes.line(f"{each.name}: steps at which labels are ahead of minibatch transport",
                   ", ".join(map(str, ahead)) or "none", "",
                   "all" if d <= 32 else "1", set(wanted) <= set(ahead))  # fmt: skip
        share = labels["seconds of an epoch"] / batches["seconds of an epoch"]
        notes.line(f"{each.name}: seconds for labels, as a share of minibatch transport's",
                   share, "", "<= 0.2", share <= 0.2)  # fmt: skip


def _draw(plane: list[Set], latents: list[Set], notes: Notes) -> None:
    for each in latents:
        series = [
            (name, list(STEPS), list(found["energy"].values()))
            for name, found in each.found["flows"].items()
        ]
        figure = plots.lines_by_x(series, "Euler steps", "energy distance", each.name, log_x=True)
        notes.draw(figure, f"energy_{each.x.shape[1]}")
    for number, each in enumerate(plane):
        panels = [(f"{name}, 2 steps", found["samples"][2])
                  for name, found in each.found["flows"].items()]  # fmt: skip
        notes.draw(plots.training_snapshots(panels, data=each.held_out), f"plane_{number + 1}")


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers without the samples."""
    flows = {
        name: {what: value for what, value in each.items() if not what.endswith("samples")}
        for name, each in found["flows"].items()
    }
    return {**found, "flows": flows}
