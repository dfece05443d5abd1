# `make demo` and `make test` set up everything they need in .venv; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
DOCS_READY := $(VENV)/docs-ready
BENCH := .venv-bench
BENCH_READY := $(BENCH)/ready

COVERAGE_READY := $(VENV)/coverage-ready
COVERED_BY := Testing/engine Testing/training
PUBLISH := .venv-publish
PUBLISH_READY := $(PUBLISH)/ready

.PHONY: help setup demo test coverage course lint bench bench-predict bench-predict-env bench-training gpu-bundle slicer-test torture dist sbom installed-test lint-workflows clean
help:
	@echo "make demo         segment a sample CT with the shipped checkpoint, compare, and leave demo-output/"
	@echo "make test         run all tests that run without 3D Slicer itself"
	@echo "make coverage     which branches of engine and training package the tests take (docs/contributing.md)"
	@echo "make torture      try to break it: damaged and hostile files, killed processes, full disks (docs/robustness.md)"
	@echo "make course       check the course's figures with runs as long as its pages say (some minutes)"
	@echo "make setup        the virtual environment alone"
	@echo "make lint         ruff and mypy"
	@echo "make docs         the documentation as a site, built strictly: build/site/index.html"
	@echo "make pictures     the pictures of README and docs anew, for a new checkpoint or panel (docs/contributing.md)"
	@echo "make links        follow the site's links to other sites (needs the internet)"
	@echo "make bench        speed and memory of prediction"
	@echo "make bench-predict   prediction beside nnU-Net, MONAI, ONNX Runtime and OpenVINO, in an environment of its own (docs/speed.md)"
	@echo "make bench-training  speed of training, and seconds to a Dice, beside loaders with augmentation a sample (docs/speed.md)"
	@echo "make gpu-bundle DATASET=...   what a machine with a GPU and no internet needs for python -m benchmarks.gpu (docs/speed.md)"
	@echo "make dist         wheel and source distribution in dist/, checked (docs/publishing.md)"
	@echo "make sbom         dist, and its bill of materials (CycloneDX) in dist/ (docs/licences.md)"
	@echo "make installed-test [SLICER_SOURCE=... CTK_SOURCE=...]   the panel's tests on an installed tree (docs/publishing.md)"
	@echo "make lint-workflows  the workflows of GitHub, by the schema and by actionlint"
	@echo "make slicer-test SLICER=/path/to/Slicer   the tests inside a real 3D Slicer"

setup: $(READY)

$(READY): constraints.txt pyproject.toml tools/check_system.py tools/fetch_viewer.py
	@$(PYTHON) tools/check_system.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt setuptools wheel
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --editable ".[test]"
	@$(BIN)/python tools/fetch_viewer.py
	@touch $@

demo: $(READY)
	$(BIN)/unetseg demo --fetch --output demo-output

test: $(READY) lint
	QT_QPA_PLATFORM=offscreen PYTHONUTF8=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# The tests of both floors with every process they start: the worker, the ranks, the commands.
coverage: $(COVERAGE_READY)
	rm -rf build/coverage
	mkdir -p build/coverage
	QT_QPA_PLATFORM=offscreen PYTHONUTF8=1 $(BIN)/python -m coverage run -m pytest -n logical --maxprocesses 8 --dist loadfile \
	    --no-loadscope-reorder $(COVERED_BY)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage html --quiet --directory build/coverage/pages
	$(BIN)/python -m coverage json --quiet -o build/coverage/coverage.json
	$(BIN)/python tools/branch_coverage.py build/coverage/coverage.json

$(COVERAGE_READY): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --editable ".[coverage]"
	@touch $@

course: $(READY)
	QT_QPA_PLATFORM=offscreen PYTHONUTF8=1 $(BIN)/python -m pytest Testing/course --full-length

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: docs links pictures
docs: $(DOCS_READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	$(BIN)/python tools/check_site.py build/site

links: docs $(PUBLISH_READY)
	$(PUBLISH)/bin/linkchecker --no-status --check-extern --threads 4 build/site/index.html

$(DOCS_READY): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --editable ".[docs]"
	@touch $@

pictures: $(READY)
	QT_QPA_PLATFORM=offscreen PYTHONUTF8=1 $(BIN)/python -m tools.screenshots $(OPTIONS)

torture: $(READY)
	QT_QPA_PLATFORM=offscreen PYTHONUTF8=1 OMP_NUM_THREADS=1 $(BIN)/python -m Testing.torture $(OPTIONS)

bench: $(READY)
	$(BIN)/unetseg bench

bench-predict: $(BENCH_READY)
	$(BENCH)/bin/python -m benchmarks.prediction_speed $(SCAN) $(OPTIONS)

bench-predict-env: $(BENCH_READY)

$(BENCH_READY): constraints.txt benchmarks/requirements-predict.txt pyproject.toml
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch setuptools wheel
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement benchmarks/requirements-predict.txt
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

bench-training: $(READY)
	$(BIN)/python -m benchmarks.training_speed

gpu-bundle: $(READY)
	@test -n "$(DATASET)" || { echo "say which data set travels: make gpu-bundle DATASET=abdomen8"; exit 2; }
	$(BIN)/python -m benchmarks.gpu.bundle "$(DATASET)" $(OPTIONS)

slicer-test:
	@test -n "$(SLICER)" || { echo "say where Slicer is: make slicer-test SLICER=/path/to/Slicer"; exit 2; }
	"$(SLICER)" --no-splash --testing --additional-module-paths UNetSegmenter --python-script Testing/slicer/run.py

$(PUBLISH_READY): tools/requirements-publish.txt
	@test -x $(PUBLISH)/bin/python || $(PYTHON) -m venv $(PUBLISH)
	@$(PUBLISH)/bin/python -m pip install --quiet --disable-pip-version-check --requirement tools/requirements-publish.txt
	@touch $@

dist: $(READY) $(PUBLISH_READY)
	rm -rf dist
	$(PUBLISH)/bin/python -m build --no-isolation --outdir dist
	$(PUBLISH)/bin/twine check --strict dist/*
	$(BIN)/python tools/check_distribution.py dist

INSTALLED := $(CURDIR)/build/installed/tree

# With SLICER_SOURCE and CTK_SOURCE, source trees of Slicer and CTK, their own macros install and package.
installed-test: $(READY)
	rm -rf build/installed
	$(BIN)/python tools/install_tree.py $(INSTALLED) $(SLICER_SOURCE) $(CTK_SOURCE)
	QT_QPA_PLATFORM=offscreen PYTHONUTF8=1 PYTHONPATH=$(INSTALLED)/lib/Slicer-5.12/qt-scripted-modules:$(CURDIR)/training \
	    $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder Testing/panel

lint-workflows: $(PUBLISH_READY)
	$(PUBLISH)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(PYTHON) tools/lint_workflows.py

# Attached to a release, but no distribution of Python: it goes into dist/sbom/, which is not uploaded to an index.
sbom: dist
	rm -rf build/sbom
	mkdir -p build/sbom dist/sbom
	$(BIN)/python tools/linked_environment.py dist/*.whl build/sbom/environment training scene dicom onnx
	$(PUBLISH)/bin/cyclonedx-py environment build/sbom/environment --pyproject pyproject.toml --output-reproducible \
	    --output-file build/sbom/environment.cdx.json
	$(BIN)/python tools/bill_of_materials.py build/sbom/environment.cdx.json dist/sbom/unetsegmenter.cdx.json
	$(PUBLISH)/bin/python tools/check_bill.py dist/sbom/unetsegmenter.cdx.json

clean:
	rm -rf $(VENV) $(BENCH) $(PUBLISH) demo-output build dist
