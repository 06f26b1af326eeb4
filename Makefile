# Two commands do everything, on a fresh machine: `make lessons` and `make test`. Both create .venv by themselves.
#
#   make lessons [PORT=8888]   build, install, open the lessons in JupyterLab; prints the address where no browser is
#   make test                  build, install, run all tests
#   make check                 linters, types and the core tests on all builds
#   make check-dist            sdist and wheel, built and installed outside the checkout
#   make bench                 benchmarks with their rivals; writes tests/bench/results.json and the tables of the docs

PYTHON ?= python3
CC ?= cc
PORT ?= 8888
bin := .venv/bin
# What an installed copy was made from; the package is installed in place, so Python files need no new installation.
sources := pyproject.toml setup.py $(wildcard accrual/core/*.pyx accrual/core/*.pxd accrual/core/*.h)

.PHONY: lessons test check check-core check-no-clones check-sanitized dist check-dist bench system clean
.DELETE_ON_ERROR:

# JupyterLab would ask the network for news and newer versions of itself; a lesson asks the network for nothing.
lessons: .venv/lessons
	$(bin)/jupyter lab --notebook-dir=lessons --port=$(PORT) $(if $(shell id -u | grep -x 0),--allow-root) \
	    --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate --LabApp.news_url=None

test: .venv/test
	$(bin)/pytest $(PYTEST)

check: .venv/check
	$(bin)/ruff check .
	$(bin)/ruff format --check --exclude lessons .
	$(bin)/mypy
	$(bin)/python -m mypy.stubtest accrual.core.engine --mypy-config-file pyproject.toml \
	    --allowlist tests/core/stubtest-allowlist.txt
	PATH="$(CURDIR)/$(bin):$$PATH" cython-lint accrual/core  # it calls pycodestyle by name
	$(bin)/python lessons/build.py --check
	$(MAKE) check-core

# The core tests on the baseline alone and under the sanitizers, both at once; `make test` runs them on the normal build.
# LeakSanitizer stays off: CPython frees little at exit. The bank's tests ask for more memory than there is, and want the
# usual answer.
check-core: build/no-clones build/sanitized
	$(MAKE) --jobs=2 --output-sync check-no-clones check-sanitized

check-no-clones: build/no-clones
	PYTHONPATH=build/no-clones ACCRUAL_BUILD=build/no-clones $(bin)/pytest tests/core

check-sanitized: build/sanitized
	PYTHONPATH=build/sanitized ACCRUAL_BUILD=build/sanitized ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
	    LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
	    $(bin)/pytest tests/core tests/test_monitor.py tests/test_bank.py

build/no-clones: export ACCRUAL_NO_CLONES = 1
build/sanitized: export ACCRUAL_SANITIZE = 1
build/no-clones build/sanitized: $(sources) .venv/check
	rm -rf $@ $@.source && mkdir -p $@.source
	tar --create --exclude=__pycache__ --exclude='*.so' --exclude=engine.c \
	    pyproject.toml setup.py README.md LICENSE accrual lessons data | tar --extract --directory=$@.source
	$(bin)/pip install --quiet --no-deps --target $@ ./$@.source
	rm -rf $@.source

# What an index would get: the sdist from the checkout, the wheel from the sdist.
dist: .venv/check
	rm -rf dist
	$(bin)/python -m build --outdir dist .

check-dist: dist
	ACCRUAL_DIST=dist $(bin)/pytest tests/packaging

bench: .venv/bench
	$(bin)/python tests/bench/run.py

.venv/lessons .venv/test .venv/check .venv/bench: $(sources) | system
	test -x $(bin)/pip || $(PYTHON) -m venv .venv
	$(bin)/pip install --quiet --editable '.[$(@F)]'
	touch $@

needs = { echo "accrual needs $(1)" >&2; echo "on Debian: sudo apt install python3 python3-venv python3-dev gcc make" >&2; exit 1; }
system:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || $(call needs,Python 3.11 or newer as $(PYTHON))
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(call needs,the venv module of $(PYTHON))
	@test -f "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" \
	    || $(call needs,the headers of $(PYTHON): Python.h)
	@command -v $(firstword $(CC)) >/dev/null || $(call needs,a C compiler: $(CC))

clean:
	rm -rf .venv build dist artefacts accrual.egg-info accrual/core/engine.c accrual/core/*.so accrual/core/*.html
