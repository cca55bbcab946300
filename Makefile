# make demo     install into .venv-demo, index the sample frames, show the crystals
# make test     install into .venv-test, then ruff, mypy and pytest
# make test-haswell  repeat the numerical tests with kernels compiled for a processor without AVX-512
# make floors   run tests with the oldest packages allowed, on each Python of the classifiers that is here
# make sdist-test  unpack the sdist and run all tests in it
# make lint     run ruff and mypy only (make style, make types: one of them)
# make docs     build the documentation as a site, and the manual pages, in docs-site/
# make quality  measure the indexing quality
# make speed    measure the speed
# make cells    measure how many unknown cells are found
# make calibration  compare the number of false crystals found with the number expected; test that wrong runs are doubted,
#                   and that wrong distances, wavelengths and units are found
# make real     measure how well crystals of the real frames in ../shared/data predict spots that their fit has not seen
# make geometry measure the refinement of misplaced panels: frames indexed, panel positions, errors, the gate
# make live     measure the delays of a live server at steady rates; send many messages to a server that is killed
# make soak     measure memory, open files and the speed of reading and writing in a long run without the computation
# make gpu-test, make gpu-bench  test and measure the GPU with $(PYTHON) as it is; they install nothing
# make clean    remove everything that the other targets made

PYTHON ?= python3
PIP := -m pip install -qq --disable-pip-version-check --no-input
SOURCES := $(shell find ffbidx ffbidx_core ffbidx_cli -type f -not -path '*/__pycache__/*')

.PHONY: demo docs test tests test-haswell floors sdist-test lint style types quality calibration real speed geometry gpu-test gpu-bench clean live soak
.DELETE_ON_ERROR:

demo: .venv-demo/installed
	@mkdir -p demo-output
	.venv-demo/bin/ffbidx index sample_data/lysozyme.h5 --cell sample_data/lysozyme.cell \
		--method ifssr -o demo-output/lysozyme.h5 --overwrite
	.venv-demo/bin/ffbidx table demo-output/lysozyme.h5 --max-rows 12
	@echo
	@echo "Next, in this shell:"
	@echo "    . .venv-demo/bin/activate"
	@echo "    ffbidx report demo-output/lysozyme.h5     # one page about the run: lysozyme.report.html"
	@echo "    ffbidx show demo-output/lysozyme.h5 0     # the first frame as a picture: lysozyme.frame0.png"
	@echo "    ffbidx index YOUR_SPOTS.h5 --cell 'a b c alpha beta gamma'"

# Tests run in one process per core; the tests of a file share their fixtures, so they stay in one process.
# In the order of the folders the last files are short, and those of a folder share what is made once for it.
# A second thread of linear algebra in each process would only wait for a core.
PYTEST := .venv-test/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 10

test tests test-haswell sdist-test: export OPENBLAS_NUM_THREADS = 1

# Without bytecode each of the many processes that the tests start would compile its modules again.
unexport PYTHONDONTWRITEBYTECODE

# The type checker takes one core and fills the pauses of the tests.
test: style
	$(MAKE) -j2 types tests

tests: .venv-test/installed
	$(PYTEST)

# The features are empty because Numba would otherwise add those of this machine's processor.
HASWELL := tests/parity/test_steps.py tests/parity/test_fit_steps.py tests/parity/test_whitened_fit.py tests/properties \
	tests/published tests/learn/test_multiples.py tests/diagnose/test_sample.py \
	tests/diagnose/test_diagnosis.py::test_a_wrong_cell_that_the_run_did_not_learn
test-haswell: .venv-test/installed
	NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES= $(PYTEST) $(HASWELL)

sdist-test: .venv-test/installed
	rm -rf build/sdist && mkdir -p build/sdist
	.venv-test/bin/python -m build --sdist --no-isolation --outdir build . > build/sdist.log
	tar -xzf build/ffbidx-*.tar.gz -C build/sdist --strip-components=1
	cd build/sdist && $(CURDIR)/$(PYTEST)

# ARGS='--python /opt/python3.14/bin' for Pythons that are neither on the path nor pyenv's
floors: .venv-floors/installed
	.venv-floors/bin/python -m tests.floors $(ARGS)

docs: .venv-test/installed
	NO_MKDOCS_2_WARNING=1 .venv-test/bin/mkdocs build --strict --quiet
	.venv-test/bin/python docs/make_man_pages.py docs-site/man

lint: style types

style: .venv-test/installed
	.venv-test/bin/ruff check
	.venv-test/bin/ruff format --check --quiet

types: .venv-test/installed
	.venv-test/bin/mypy

quality: .venv-test/installed
	.venv-test/bin/python -m tests.bench.quality

# ARGS='--jobs 2'
calibration: .venv-test/installed
	.venv-test/bin/python -m tests.bench.calibration
	.venv-test/bin/python -m tests.bench.claims.wrong $(ARGS)
	.venv-test/bin/python -m tests.bench.claims.few $(ARGS)
	.venv-test/bin/python -m tests.bench.claims.scales $(ARGS)
	.venv-test/bin/python -m tests.bench.claims.distorted $(ARGS)

real: .venv-test/installed
	.venv-test/bin/python -m tests.bench.real

speed: .venv-test/installed
	.venv-test/bin/python -m tests.bench.speed
	.venv-test/bin/python -m tests.bench.cpu.limit

geometry: .venv-test/installed
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv-test/bin/python -m tests.bench.geometry --jobs $$(nproc)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv-test/bin/python -m tests.bench.panels.errors --jobs $$(nproc)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv-test/bin/python -m tests.bench.panels.speed

# ARGS='--jobs 16 --cases 40 --json docs/measured/cells.json'; all rows and 300 runs of random spots on a GPU, in parts of
# 9 minutes until the exit status is 0: ARGS='--backend cuda --jobs 16 --alone --cases 10 --blank-cases 28
# --seconds 480 --keep cells.jsonl --json docs/measured/cells.json'
cells: .venv-test/installed
	.venv-test/bin/python -m tests.bench.cells $(ARGS)

live: .venv-test/installed
	.venv-test/bin/python -m tests.bench.live --cores 2 --soak 1000000

soak: .venv-test/installed
	.venv-test/bin/python -m tests.bench.soak

gpu-test:
	PYTHONPATH=. $(PYTHON) -m pytest tests/parity tests/gpu -k "cuda or gpu" -rs

gpu-bench:
	PYTHONPATH=. $(PYTHON) -m tests.bench.gpu
	PYTHONPATH=. $(PYTHON) -m tests.bench.files

.venv-demo/installed: pyproject.toml $(SOURCES)
	$(PYTHON) -m venv --clear .venv-demo
	.venv-demo/bin/python $(PIP) '.[report]'
	@rm -rf build
	@touch $@

# pip would compile the modules of all packages on one core.
.venv-test/installed: pyproject.toml
	$(PYTHON) -m venv --clear .venv-test
	.venv-test/bin/python $(PIP) --no-compile --editable '.[test,docs]'
	.venv-test/bin/python -m compileall -qq -j 0 .venv-test/lib || true
	@touch $@

.venv-floors/installed:
	$(PYTHON) -m venv --clear .venv-floors
	.venv-floors/bin/python $(PIP) uv
	@touch $@

clean:
	rm -rf .venv-demo .venv-test .venv-floors demo-output docs-site build ffbidx.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
