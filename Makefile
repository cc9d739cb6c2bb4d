# Needs Python 3.12 and make; everything else is installed into .venv and .ratchet.
# A version manager's shim may be there and not work: take the first that runs.
PYTHON ?= $(shell for each in python3.12 python3 $(HOME)/.pyenv/versions/3.12.*/bin/python3.12; do \
	$$each -c "import sys; sys.exit(sys.version_info[:2] != (3, 12))" 2>/dev/null && command -v $$each && break; done)
VENV := .venv/bin
INSTALLED := .venv/installed
TOOLED := .venv/tooled
PIP := PYTHONWARNINGS=ignore $(VENV)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install run test check build faults bench quality images clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Install the command into .venv

$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.12 is missing: install it, or name it with make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade 'pip>=25.1'
	$(PIP) --editable .
	@touch $@

# What tests, checks and benchmarks need on top: every third party of the layers.
$(TOOLED): $(INSTALLED)
	$(PIP) --group dev
	@touch $@

run: $(INSTALLED) ## Train, judge, promote and score on this machine: the deployed application, no Docker, no account
	$(VENV)/ratchet up
	$(VENV)/ratchet seed returns --yes
	@echo "A first champion, as it would have been trained four weeks ago:"
	$(VENV)/ratchet run returns --at "$$(date -u -d '27 days ago' +%FT%H:00:00Z)"
	@echo "Today's challenger, judged against it on rows that neither has seen:"
	$(VENV)/ratchet run returns
	$(VENV)/ratchet history returns
	$(VENV)/ratchet score returns
	@echo "The report card, to open in a browser:"
	@$(VENV)/ratchet card returns

test: check ## Run the whole suite
	$(VENV)/python -m local.install
	$(VENV)/pytest --ignore tests/contract --numprocesses 2 --dist loadfile

check: $(TOOLED) build ## Lint, types, import rules, the template, the state machines, package budgets
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy layers functions local cli
	$(VENV)/pytest tests/contract

build: $(INSTALLED) ## Build the application as sam deploy ships it, and validate the template
	$(VENV)/python -m local.build

# Interleavings of `make faults`.
N ?= 100000
faults: $(TOOLED) ## Interleave runs, promotions, rollbacks and scorers with faults: make faults N=100000
	$(VENV)/python -m tests.faults.simulator --interleavings $(N)

bench: $(TOOLED) ## Measure us beside the alternatives; tables and bench/results
	$(VENV)/python -m local.install
	$(VENV)/python -m bench

quality: $(TOOLED) ## Measure the models on real data, by published protocols; absent data is skipped
	$(VENV)/python -m quality

images: $(INSTALLED) ## Write the training images per region into the template
	$(VENV)/python -m tools.images

clean: ## Stop the laptop target and remove what was installed and built
	-$(VENV)/ratchet destroy --yes
	rm -rf .venv .ratchet .aws-sam
