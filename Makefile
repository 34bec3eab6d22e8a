# The newcomer's two commands are `make demo` and `make test`. PYTHON may be 3.10 to 3.13.
PYTHON ?= python3
RUN = .venv/bin/python
CACHE = .cache
# Each file's tests by one process: they share what they have made.
CORES = -n auto --maxprocesses 4 --dist loadfile
# Where modules may not be kept compiled, each of the many processes would compile them anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help environments demo pictures test test-all test-earlier bench lint data clean

help:
	@echo "make demo       segment a real CT with the demo model; results in demo/"
	@echo "make test       the quick tests"
	@echo "make test-all   all tests"
	@echo "make test-earlier  what speaks to Slicer, on an earlier slicer-core"
	@echo "make bench      measurements; results in Benchmarks/results/"
	@echo "make lint       check the style"
	@echo "make data       make the generated files anew: catalogue, terminology, CMake lists"
	@echo "make pictures   make the pictures of README and catalogue anew"
	@echo "make clean      remove environments, caches and results"

environments:
	@$(PYTHON) Tools/bootstrap.py

demo: environments
	@.venv/bin/slicer-totalsegmentator demo --yes --cache $(CACHE)/sample --output demo

test: environments lint
	@$(RUN) -m pytest $(CORES) -q -m "not slow"

test-all: environments lint
	@$(RUN) -m pytest $(CORES)

# What speaks to Slicer, on the version before the newest.
EARLIER = 5.12.4.0

test-earlier: environments
	@$(PYTHON) Tools/bootstrap.py --slicer-core $(EARLIER)
	@.venv-slicer-$(EARLIER)/bin/python -m pytest $(CORES) -q -m "not slow" Testing/Python/scene \
	    Testing/Python/gui Testing/Python/console

lint:
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

bench: environments
	@mkdir -p Benchmarks/results
	@$(RUN) Benchmarks/segmentation_import.py --json Benchmarks/results/segmentation_import.json
	@$(RUN) Benchmarks/surfaces.py --json Benchmarks/results/surfaces.json
	@$(RUN) Benchmarks/gui_stall.py --output Benchmarks/results/gui_stall.json
	@$(RUN) Benchmarks/against_official.py --stages --json Benchmarks/results/against_official.json
	@$(RUN) Benchmarks/scaling.py --json Benchmarks/results/scaling.json
	@$(RUN) Benchmarks/memory.py --json Benchmarks/results/memory.json
	@$(RUN) Benchmarks/dicom_writing.py --json Benchmarks/results/dicom_writing.json
	@$(RUN) Benchmarks/monai_engines.py --speed fast normal --json Benchmarks/results/monai_engines.json

pictures: demo
	@$(RUN) Tools/make_pictures.py

data: environments
	@.venv-engine/bin/python Tools/build_catalog.py
	@$(RUN) Tools/build_terminology.py
	@$(RUN) Tools/build_task_table.py
	@$(RUN) Tools/build_identity_table.py
	@$(RUN) Tools/build_cmake_lists.py

clean:
	rm -rf .venv .venv-engine .venv-slicer-* $(CACHE) demo .pytest_cache .ruff_cache .hypothesis Testing/Output
