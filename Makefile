# `make run`, `make imagenet` and `make test` need Python 3.11 or newer and nothing else: they install what is
# pinned in envs/ into .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: run imagenet test check docs slurm clean

run: .venv/run
	$(BIN)/snakemake --cores all

# The same study of EfficientNet-Lite0 with its ImageNet weights: about half an hour on two cores.
imagenet: .venv/imagenet
	$(BIN)/snakemake --cores all --configfile config/imagenet.yaml

test: .venv/test check
	$(BIN)/python -m pytest -n 2

check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# The documents as a site, docs/_build/html/index.html. A link that leads nowhere fails it.
docs: .venv/docs
	$(BIN)/python -m sphinx -W --keep-going --quiet --fresh-env --jobs 2 -c docs -d docs/_build/doctrees . docs/_build/html

# Starts and stops a Slurm on this machine: as root, after tests/slurm/one_machine.sh install.
slurm: .venv/slurm
	$(BIN)/python -m pytest -rs -m 'slurm and not slow' tests/slurm

.venv/run: envs/requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r envs/requirements.txt
	$(BIN)/pip install --quiet --no-deps -e .
	touch $@

.venv/imagenet: .venv/run envs/requirements-imagenet.txt
	$(BIN)/pip install --quiet -r envs/requirements-imagenet.txt
	touch $@

.venv/test: .venv/run envs/requirements-test.txt envs/requirements-imagenet.txt envs/requirements-ultrasound.txt
	$(BIN)/pip install --quiet -r envs/requirements-test.txt
	touch $@

.venv/docs: .venv/run envs/requirements-docs.txt
	$(BIN)/pip install --quiet -r envs/requirements-docs.txt
	touch $@

.venv/slurm: .venv/test envs/requirements-slurm.txt
	$(BIN)/pip install --quiet -r envs/requirements-slurm.txt
	touch $@

clean:
	rm -rf .venv .snakemake results docs/_build docs/reference
