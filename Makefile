# make quickstart   see a LangChain chain and a LlamaIndex pipeline answer
# make test         run the tests, except the slow ones
# make slow         run those
# make successor    run the transport's tests and the cassettes on httpx2, httpx's successor
# make lowest       run the tests with the lowest versions that pyproject.toml allows
# make newest       run the tests with the newest versions, pre-releases of both frameworks included
# make coverage     run the tests and show which lines and branches none of them reaches
# make mutants      break the pure modules in small ways and show which changes no test notices
# make docs         build the documentation as a site
# make ray          run the tests of Ray Data, on a Ray of two workers
# make browser      click through the cookbook's web page in a headless Chromium
# make check        lint, types, layers and workflow files
# make bench        compare speed and memory with other clients
# make bench-ray    measure batches in one process and on Ray Data
# make notebooks    run the cookbook's notebooks and store what they print
# make record       record the adapters' cassettes again from DATACRUNCH_BASE_URL
#
# Each sets up what it needs in .venv, once, with uv where it is installed. PYTHON names another
# Python, VENV another folder, UV another uv (UV= for pip).

SHELL = bash
.SHELLFLAGS = -o pipefail -c

PYTHON ?= python3
VENV ?= .venv
UV ?= $(shell command -v uv)
BIN = $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
RUN = $(BIN)/python$(if $(filter Windows_NT,$(OS)),.exe)
PARALLEL = --numprocesses auto --dist worksteal
# Copied, not linked: nltk refuses files that have several links.
INSTALL = $(if $(UV),$(UV) pip install --python $(RUN) --link-mode copy,PYTHONUNBUFFERED=1 $(RUN) -m pip install --disable-pip-version-check) $(FLAGS)
# Show that packages arrive: of pip's lines those that name one, of uv's all but the list at the end.
PROGRESS = 2>&1 | awk '/^Collecting / {sub(/[^A-Za-z0-9._-].*/, "", $$2); print "  " $$2; fflush()} \
  /^(Resolved|Prepared|Installed|Downloading) / {print "  " $$0; fflush()} \
  /^(ERROR|error|warning:|WARNING|  *[×╰│├])/ {print; fflush()}'

# Of mutmut's results the survivors, then of each module: name, mutants, run, noticed.
SURVIVORS = awk '$$2 == "survived" || $$2 == "no" {print} {sub(/\.x[^.]*$$/, "", $$1); all[$$1]++} \
  $$2 != "not" {run[$$1]++} $$2 == "killed" || $$2 == "timeout" {noticed[$$1]++} \
  END {for (name in run) print name, all[name], run[name], noticed[name] + 0 | "sort"}'

# Without bytecode every process compiles both frameworks again, which takes longer than most tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart test slow successor lowest newest coverage mutants ray browser check docs bench bench-ray notebooks record

quickstart: $(VENV)/quickstart
	@$(RUN) cookbook/quickstart.py

test: $(VENV)/test
	@$(RUN) -m pytest $(PARALLEL) -m "not slow" $(TESTS)

slow: $(VENV)/test
	@$(RUN) -m pytest $(PARALLEL) -m slow

successor: $(VENV)/test
	@$(RUN) -m pytest $(PARALLEL) -m "not slow" -p tests.transport.httpx2_plugin tests/transport \
	  tests/langchain/test_cassettes.py tests/llamaindex/test_cassettes.py

# What notebooks print is the newest's; instrumentors refuse the lowest versions of frameworks.
lowest: $(VENV)/check
	@$(MAKE) test VENV=.venv-lowest UV=$(BIN)/uv FLAGS='--resolution lowest-direct' \
	  TESTS='--ignore=tests/cookbook/test_notebooks.py --ignore=tests/spans'

# A version with .dev0 admits pre-releases of that package, and of no other.
newest: $(VENV)/check
	@$(MAKE) test VENV=.venv-prerelease UV=$(BIN)/uv TESTS=--ignore=tests/cookbook/test_notebooks.py \
	  FLAGS='--upgrade "langchain-core>=1.6.dev0" "llama-index-core>=0.14.16.dev0"'

coverage: $(VENV)/test
	@$(RUN) -m pytest $(PARALLEL) -m "not slow" --cov --cov-report=term:skip-covered $(TESTS)

# In a copy, where shared/ is src/: mutmut names a module by its path, without src/ alone. The copy keeps
# what is known of functions that have not changed, so that a run can be stopped and continued.
mutants: $(VENV)/check
	@mkdir -p .cache/mutants && cd .cache/mutants && rm -rf src tests mutants/tests
	@cp -Rp shared .cache/mutants/src
	@cp -Rp pyproject.toml README.md tests cookbook langchain_datacrunch llamaindex_datacrunch .cache/mutants
	@cd .cache/mutants && $(CURDIR)/$(BIN)/mutmut run $(MODULES)
	@cd .cache/mutants && $(CURDIR)/$(BIN)/mutmut results --all true | $(SURVIVORS)

ray: $(VENV)/ray
	@$(RUN) -m pytest tests/ray

browser: $(VENV)/browser
	@$(RUN) -m pytest tests/browser

check: $(VENV)/check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(RUN)
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --quiet --pedantic .github

docs: $(VENV)/docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file cookbook/site/mkdocs.yml

notebooks: $(VENV)/test
	@$(RUN) tests/cookbook/execute.py

# These ask for an old huggingface_hub, which is compared too: they work with the new one.
# EARLIER is the commit that goals compare with.
bench: export EARLIER ?= 93f725f
bench: $(VENV)/bench
	@rm -rf .cache/earlier && mkdir -p .cache/earlier && git archive $(EARLIER) shared | tar x -C .cache/earlier
	@$(INSTALL) --no-deps langchain-huggingface text-generation $(PROGRESS)
	@$(RUN) -m tests.benchmarks.run

bench-ray: $(VENV)/ray
	@$(RUN) -m tests.benchmarks.batches

record: $(VENV)/test
	@$(RUN) tests/record.py --live

# A set-up is done when its file is newer than what it was made from.
$(VENV)/quickstart: GROUPS = --group cookbook
$(VENV)/test: GROUPS = --group test
$(VENV)/ray: GROUPS = --group ray
$(VENV)/ray: MORE = ,ray
$(VENV)/browser: GROUPS = --group test --group browser
$(VENV)/check: GROUPS = --group test --group check
$(VENV)/bench: GROUPS = --group bench
$(VENV)/docs: GROUPS = --group docs
$(VENV)/quickstart $(VENV)/test $(VENV)/ray $(VENV)/browser $(VENV)/check $(VENV)/bench $(VENV)/docs: pyproject.toml | $(RUN)
	@echo "Installing packages into $(VENV):"
	@$(INSTALL) --editable '.[langchain,llamaindex,testing,cli$(MORE)]' $(GROUPS) $(PROGRESS)
	@touch $@

$(RUN):
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)
	@$(if $(UV),,$(RUN) -m pip install --quiet --disable-pip-version-check --upgrade pip)
