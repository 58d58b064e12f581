#!/usr/bin/env bash
# From nothing to the first labels: what docs/getting-started.md says it takes.
#
#     bash tools/first_contact.sh dist/gtn_fast-*.whl
set -euo pipefail
wheel=$(realpath "$1")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
first() {
  python3 -m venv fresh
  fresh/bin/python -m pip --disable-pip-version-check install -q "$wheel"
  fresh/bin/python -c 'import numpy as np
np.save("latents.npy", np.random.default_rng(0).normal(size=(20000, 16)).astype("float32"))'
  fresh/bin/gtn-fast label latents.npy --out labels.npz --verify 1000
}
time first
