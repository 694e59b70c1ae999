# make quickstart   see a LangChain chain and a LlamaIndex pipeline answer
# make test         run the tests, except those that take minutes
# make slow         run those
# make lowest       run them with the lowest versions that pyproject.toml allows
# make browser      click through the cookbook's web page in a headless Chromium
# make check        lint, types and layers
# make bench        compare speed and memory with other clients
# make notebooks    run the cookbook's notebooks and store what they print
# make record       record the adapters' cassettes anew from DATACRUNCH_BASE_URL
#
# Each sets up what it needs in .venv, once. PYTHON names another Python, VENV another folder.

PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
PARALLEL = --numprocesses auto --dist worksteal
INSTALL = $(RUN) -m pip install --quiet --disable-pip-version-check

.PHONY: quickstart test slow lowest browser check bench notebooks record

quickstart: $(VENV)/quickstart
	@$(RUN) cookbook/quickstart.py

test: $(VENV)/test
	@$(RUN) -m pytest $(PARALLEL) -m "not slow" $(TESTS)

slow: $(VENV)/test
	@$(RUN) -m pytest $(PARALLEL) -m slow

# Copied, not linked: nltk refuses files that have several links. What notebooks print is the newest's.
lowest: $(VENV)/check
	@$(MAKE) test VENV=.venv-lowest TESTS=--ignore=tests/cookbook/test_notebooks.py INSTALL='$(VENV)/bin/uv pip install --quiet \
	  --python .venv-lowest/bin/python --resolution lowest-direct --link-mode copy'

browser: $(VENV)/browser
	@$(RUN) -m pytest tests/browser

check: $(VENV)/check
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/pyright --pythonpath $(RUN)
	$(VENV)/bin/lint-imports

notebooks: $(VENV)/test
	@$(RUN) tests/cookbook/execute.py

# These ask for an old huggingface_hub, which is compared too: they work with the new one.
bench: $(VENV)/bench
	@$(INSTALL) --no-deps langchain-huggingface text-generation
	@$(RUN) -m tests.benchmarks.run

record: $(VENV)/test
	@$(RUN) tests/record.py --live

# A set-up is done when its file is newer than what it was made from.
$(VENV)/quickstart: GROUPS = --group cookbook
$(VENV)/test: GROUPS = --group test
$(VENV)/browser: GROUPS = --group test --group browser
$(VENV)/check: GROUPS = --group test --group check
$(VENV)/bench: GROUPS = --group bench
$(VENV)/quickstart $(VENV)/test $(VENV)/browser $(VENV)/check $(VENV)/bench: pyproject.toml | $(VENV)/bin/python
	@echo "Setting up $@: about a minute, once."
	@$(INSTALL) --editable '.[langchain,llamaindex,testing,cli]' $(GROUPS)
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --upgrade pip
