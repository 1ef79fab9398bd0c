# The commands of the README. What they need is made on the first call and again only when its list changes:
#
#   play, run ── requirements/run.txt ──┐
#                                       ├── .venv ── the project itself, editable
#   test, check, bench ── dev.txt ──────┘        test also: node_modules, a real Restate server where npm is at hand
#
# PYTHON=…  names the interpreter to make .venv from. REQUIRE_REAL_ENGINES=1 turns skipped real engines into failures.

PORT ?= 3000
PLAY_OPEN ?= 1
REQUIRE_REAL_ENGINES ?=
export PORT PLAY_OPEN REQUIRE_REAL_ENGINES

VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check -q
RESTATE := @restatedev/restate-server@1.7.12
CHECKED := $(wildcard bot tests bench)

.PHONY: play test check bench docs lock clean setup-run setup-dev setup-engines

play: setup-run
	@exec $(VENV)/bin/resumebot play

test: setup-dev setup-engines
	@exec $(VENV)/bin/python -m pytest -q

check: setup-dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy --explicit-package-bases $(CHECKED)
	$(VENV)/bin/lint-imports --no-cache

bench: setup-dev setup-engines
	@exec $(VENV)/bin/python -m bench

# The tables of docs/engines.md, from what the engines declare.
docs: setup-dev
	@exec $(VENV)/bin/python -m tests.feature_tables

# Newest versions within pyproject.toml and the .in files, for every platform, with hashes.
lock:
	python3 -m venv build/lock
	build/lock/bin/python -m pip --disable-pip-version-check -q install 'uv>=0.9'
	for list in run dev; do \
	  build/lock/bin/uv pip compile -q --upgrade --universal --generate-hashes --no-header --no-annotate --extra play \
	    pyproject.toml requirements/$$list.in -o requirements/$$list.txt || exit 1; \
	done

clean:
	rm -rf $(VENV) node_modules build dist .mypy_cache .ruff_cache .import_linter_cache .coverage

# A stamp holds what was installed: the place, pyproject.toml and the list. The list for dev contains the one for run.
WANTED = { echo "$(CURDIR)"; cat pyproject.toml requirements/$(1).txt; }
CURRENT = $(VENV)/bin/python -c '' 2>/dev/null && $(call WANTED,$(1)) | cmp -s - $(VENV)/$(1).stamp

setup-run:
	@{ $(call CURRENT,run); } || { $(call CURRENT,dev); } || { $(call INSTALL,run); }

setup-dev:
	@{ $(call CURRENT,dev); } || { $(call INSTALL,dev); }

define INSTALL
set -e; \
$(VENV)/bin/python -c '' 2>/dev/null || { $(MAKE_VENV); }; \
rm -f $(VENV)/*.stamp; \
echo "Installing requirements/$(1).txt into $(VENV) (about a minute, once)…"; \
$(PIP) install --require-hashes -r requirements/$(1).txt; \
$(PIP) install --no-deps --no-build-isolation -e .; \
$(call WANTED,$(1)) > $(VENV)/$(1).stamp
endef

define MAKE_VENV
found=; \
for name in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found="$$name"; break; fi; \
done; \
[ -n "$$found" ] || { echo "Python 3.11 or newer is needed and none was found: install it, or say where it is with PYTHON=…" >&2; exit 1; }; \
"$$found" -c 'import venv, ensurepip' 2>/dev/null || { \
  echo "$$found lacks the modules venv and ensurepip: install them (on Debian and Ubuntu the package python3-venv)" >&2; exit 1; }; \
rm -rf $(VENV); \
"$$found" -m venv $(VENV)
endef

# Optional: without it the tests on the real server are skipped, and say so.
setup-engines:
	@[ "$$(cat node_modules/.restate.stamp 2>/dev/null)" = "$(RESTATE)" ] || \
	  { $(FETCH_RESTATE) && echo "$(RESTATE)" > node_modules/.restate.stamp; } || { $(WITHOUT_RESTATE); }

FETCH_RESTATE = command -v npm >/dev/null && npm install --prefix . --no-save --ignore-scripts --no-audit --no-fund \
  --fetch-retries=1 --fetch-timeout=120000 --loglevel=error $(RESTATE) >/dev/null

WITHOUT_RESTATE = echo "npm could not bring $(RESTATE)." >&2; \
  if [ "$(REQUIRE_REAL_ENGINES)" = 1 ]; then exit 1; else echo "Tests on a real server are skipped." >&2; fi
