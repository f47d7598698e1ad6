# Two commands do everything: `make profile` runs the main job on this host, `make test` the tests.
ROOT := $(patsubst %/,%,$(dir $(realpath $(lastword $(MAKEFILE_LIST)))))
PYTHON ?= python3
VENV := $(ROOT)/.venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PROFILE_ARGS ?=
REPORT ?= $(ROOT)/report.html
# The tests mostly wait for processes, so five run on two CPUs; those of one file run one after the other.
TEST_JOBS ?= $(shell echo $$(( 5 * $$(nproc) / 2 )))
# COVERAGE=1 measures branch coverage as well, and fails unless the modules that make numbers have full coverage.
COVERAGE ?=
# Seconds between two signs of life of a long step.
TICK_SECONDS ?= 10
BENCH ?= accuracy deriving time_to_answer live overhead timing storage interference startup gpu_counter harmless client repricing mix report fleet
BENCH_ARGS ?=
PROOF_ARGS ?=
# The modules that make numbers.
NUMBERS := probes/counter.py,probes/plausibility.py,agent/energy/*,agent/cost/*,agent/profiling/analysis/*,agent/profiling/validation/*,agent/profiling/plan.py,agent/profiling/points.py,agent/profiling/modeled_wall.py,agent/profiling/work.py,agent/profiling/ceiling.py,agent/profiling/roofline.py,agent/profiling/pricing.py,agent/profiling/cost*.py,agent/profiling/offer_*.py,agent/profiling/contention.py,agent/profiling/rate_search.py,agent/profiling/production.py,agent/sampling/downsampling.py,agent/sampling/remote/clock.py,agent/host/gpu_activity.py,agent/attribution/*,agent/comparison/*

PYTEST_ARGS := -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder

# Runs a step that takes long: $(1) names it, $(2) does it; a line every TICK_SECONDS shows that it is running.
define step
@began=$$(date +%s); echo "$(1) ..." >&2; \
( while sleep $(TICK_SECONDS) >/dev/null 2>&1; do echo "  $(1): $$(( $$(date +%s) - began )) s so far" >&2; done ) & ticking=$$!; \
trap 'kill $$ticking 2>/dev/null' EXIT; trap 'exit 130' INT; trap 'exit 143' TERM; \
$(2) && echo "  $(1): done in $$(( $$(date +%s) - began )) s" >&2
endef

.PHONY: help profile test test-unit check format bench proof-servers proof-aiperf proof-planners proof-engines proof-airgap proof-campaigns proof-fleet wheelhouse docs schema settings lock clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(realpath $(lastword $(MAKEFILE_LIST)))

profile: $(VENV)/.profile  ## profile a transformer on this host, print the cost of an inference, write a report (PROFILE_ARGS="...")
	@cd $(ROOT) && $(BIN)/inferometer profile transformer --report $(REPORT) $(PROFILE_ARGS)

test: $(VENV)/.test  ## run the tests (TEST_ARGS="...", COVERAGE=1)
ifeq ($(COVERAGE),)
	@cd $(ROOT) && PYTHONDONTWRITEBYTECODE= $(BIN)/pytest $(PYTEST_ARGS) $(TEST_ARGS)
else
	@cd $(ROOT) && $(BIN)/coverage erase; \
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest $(PYTEST_ARGS) --cov --cov-report= $(TEST_ARGS); status=$$?; \
	$(BIN)/coverage report --skip-covered || status=1; \
	$(BIN)/coverage report --include='$(NUMBERS)' --fail-under=100 >/dev/null || \
	  { echo "the modules that make numbers must have full coverage: $(NUMBERS)" >&2; status=1; }; exit $$status
endif

# The tests beside the folders are those of the pages and of the package.
test-unit: $(VENV)/.test  ## run the tests of modules that start no process and take no seconds
	@cd $(ROOT) && PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n $(shell echo $$(( (3 * $$(nproc) + 1) / 2 ))) --dist worksteal -m 'not system' --ignore-glob 'tests/test_*.py' $(TEST_ARGS)

check: $(VENV)/.test  ## lint, format, types, the import contract and the words
	@cd $(ROOT) && $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports && \
	  $(BIN)/python docs/check_words.py

format: $(VENV)/.test  ## apply the formatter and the lint fixes that are safe
	@cd $(ROOT) && $(BIN)/ruff check --fix-only . ; $(BIN)/ruff format .

bench: $(VENV)/.test  ## run the benchmarks, each of which prints a table and writes JSON (BENCH="accuracy storage")
	@cd $(ROOT) && failed=; for name in $(BENCH); do echo "== $$name"; \
	  $(BIN)/python benchmarks/$$name.py $(BENCH_ARGS) || failed="$$failed $$name"; done; \
	[ -z "$$failed" ] || { echo "benchmarks that did not run to their end:$$failed" >&2; exit 1; }

proof-servers: $(VENV)/.test  ## compare `profile endpoint` with AIPerf on llama-server (PROOF_ARGS="--server vllm" or --quick)
	@cd $(ROOT) && PYTHONPATH=benchmarks:tests:. $(BIN)/python proofs/servers.py $(PROOF_ARGS)

proof-aiperf: $(VENV)/.test  ## let AIPerf read the energy of accelerators from the service (installs AIPerf once)
	@cd $(ROOT) && PYTHONPATH=benchmarks:tests:. $(BIN)/python proofs/aiperf_energy.py

proof-planners: $(VENV)/.test  ## let planners read exports of measured profiles, and check their answers (PROOF_ARGS=--quick)
	@cd $(ROOT) && PYTHONPATH=benchmarks:tests:. $(BIN)/python proofs/planners.py $(PROOF_ARGS)

proof-engines: $(VENV)/.test  ## compare profiles with plain loops of the engines (PROOF_ARGS="torch llama --quick"; all by default)
	@cd $(ROOT) && PYTHONPATH=benchmarks:tests:. $(BIN)/python proofs/engines.py $(PROOF_ARGS)

proof-airgap: wheelhouse  ## install from the wheelhouse, profile and report without a network
	@cd $(ROOT) && PYTHONPATH=benchmarks:tests:. $(BIN)/python proofs/airgap.py

proof-campaigns: $(VENV)/.test  ## run campaigns through Ansible, Slurm and Kubernetes (PROOF_ARGS="slurm --quick"; all by default; as root)
	@cd $(ROOT) && PYTHONPATH=benchmarks:tests:. $(BIN)/python proofs/campaigns.py $(PROOF_ARGS)

proof-fleet: $(VENV)/.test  ## let Prometheus and VictoriaMetrics scrape a fleet: an outage, 10,000 hosts, a day on disk (PROOF_ARGS="outage" or --quick)
	@cd $(ROOT) && PYTHONPATH=benchmarks:tests:. $(BIN)/python proofs/fleet_samples.py $(PROOF_ARGS)

wheelhouse: $(VENV)/.release  ## write dist/wheelhouse: wheels with hashes for hosts without a network, and their SBOM
	@cd $(ROOT) && rm -rf dist/wheelhouse && mkdir -p dist/wheelhouse
	$(call step,Downloading the wheels,$(PIP) download --require-hashes --only-binary :all: -r $(ROOT)/requirements/wheelhouse.txt -d $(ROOT)/dist/wheelhouse)
	@cd $(ROOT) && $(BIN)/python -m hatchling build -t wheel -d dist/wheelhouse >/dev/null && \
	  $(BIN)/python requirements/wheelhouse.py dist/wheelhouse
	@echo "Copy $(ROOT)/dist/wheelhouse, and install there: pip install --no-index --find-links . --require-hashes -r requirements.txt" >&2

docs: $(VENV)/.docs  ## build the site and the man pages in docs/_build, and check every link within them
	@cd $(ROOT)/docs && rm -rf _build && $(BIN)/python make_site.py _build/source && \
	for builder in html man; do \
	  $(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --builder $$builder _build/source _build/$$builder || exit 1; \
	done; echo "The site: docs/_build/html/index.html. The man pages: man docs/_build/man/inferometer.1" >&2

schema: $(VENV)/.test  ## write docs/profile.schema.json and docs/tariff.schema.json from the records they describe
	@cd $(ROOT) && $(BIN)/python docs/make_schema.py && $(BIN)/python docs/profile_fields.py

settings: $(VENV)/.test  ## write docs/settings.md and systemd/config.toml from the table of settings
	@cd $(ROOT) && $(BIN)/python docs/make_settings.py

lock:  ## pin the newest versions that pyproject.toml allows (needs uv)
	cd $(ROOT)/requirements && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-strip-extras \
	  --no-annotate --extra onnx --extra endpoint --extra import --extra planning --extra report ../pyproject.toml build.in -o profile.txt --upgrade
	cd $(ROOT)/requirements && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-strip-extras \
	  --no-annotate --extra onnx --extra endpoint --extra import --extra planning --extra report --extra parquet --extra duckdb --extra meters --extra scpi --extra tpu --extra web --extra otlp --extra dev -c profile.txt ../pyproject.toml build.in -o test.txt --upgrade
	cd $(ROOT)/requirements && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-strip-extras \
	  --no-annotate --extra onnx --extra report -c profile.txt ../pyproject.toml -o wheelhouse.txt --upgrade
	cd $(ROOT)/requirements && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-strip-extras \
	  --no-annotate --extra release -c test.txt ../pyproject.toml -o release.txt --upgrade
	cd $(ROOT)/requirements && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-strip-extras \
	  --no-annotate --extra docs -c test.txt ../pyproject.toml -o docs.txt --upgrade

clean:  ## remove the environment and every cache
	rm -rf $(VENV) $(ROOT)/.mypy_cache $(ROOT)/.ruff_cache $(ROOT)/.pytest_cache $(ROOT)/.hypothesis $(ROOT)/.coverage* \
	  $(ROOT)/benchmarks/.venvs $(ROOT)/benchmarks/.compiled $(ROOT)/docs/_build

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $(PYTHON) is older: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Making the environment $(VENV) ..." >&2
	@$(PYTHON) -m venv $(VENV) || { echo "python3-venv is needed: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.profile: $(BIN)/python $(ROOT)/pyproject.toml $(ROOT)/requirements/profile.txt
	$(call step,Installing libraries into $(VENV),$(PIP) install --require-hashes -r $(ROOT)/requirements/profile.txt)
	$(call step,Installing Inferometer,$(PIP) install --no-deps --no-build-isolation -e $(ROOT))
	@touch $@

$(VENV)/.test: $(VENV)/.profile $(ROOT)/requirements/test.txt
	$(call step,Installing the test tools,$(PIP) install --require-hashes -r $(ROOT)/requirements/test.txt)
	@touch $@

$(VENV)/.release: $(VENV)/.test $(ROOT)/requirements/release.txt
	$(call step,Installing the tools of a release,$(PIP) install --require-hashes -r $(ROOT)/requirements/release.txt)
	@touch $@

$(VENV)/.docs: $(VENV)/.profile $(ROOT)/requirements/docs.txt
	$(call step,Installing Sphinx,$(PIP) install --require-hashes -r $(ROOT)/requirements/docs.txt)
	@touch $@
