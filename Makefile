# Everything is built and installed under .build/; nothing outside this tree is touched.
# `make help` lists the targets and what can be chosen.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SECONDARY:
# One thing at a time, in the order written: cargo and the comparison use the processors themselves.
.NOTPARALLEL:

comma := ,
B := .build
# What the tools may be: ruff is pinned to a minor version because its formatting changes with it.
TOOLS := "maturin>=1.7,<2" "pytest>=8" "ipython>=8" "nbformat>=5.1" "numpy>=2" \
         "pytest-xdist>=3.5" "prometheus-client>=0.20" "opentelemetry-sdk>=1.20" \
         "pandas>=2.2" "sqlalchemy>=2" "greenlet>=3"
LINT_TOOLS := "ruff==0.17.*" "mypy>=2,<3"
HOST_CRATES := --workspace --exclude wrasse-python
HOST_FEATURES := wrasse/hashbrown,wrasse/indexmap,wrasse/smallvec,wrasse/serde
# With LEAN=1 what a compiler left behind goes as soon as no later target reads it.
spent = $(if $(LEAN),rm -rf $1)

# --- What is there, and what was chosen -------------------------------------------------------

GOALS := $(or $(MAKECMDGOALS),help)
ifneq ($(filter-out help clean,$(GOALS)),)
  missing := $(shell command -v cargo >/dev/null || { echo "no Rust toolchain (cargo): install it with rustup" >&2; echo cargo; }; \
                     command -v cc >/dev/null || { echo "no C compiler (cc): install gcc or clang" >&2; echo cc; })
  ifneq ($(strip $(missing)),)
    $(error missing: $(strip $(missing)))
  endif
  FOUND := $(shell PYTHON='$(PYTHON)' tools/interpreters.sh 2>$(if $(filter all,$(PYTHONS)),&2,/dev/null))
  ifeq ($(FOUND),)
    $(error $(if $(PYTHON),$(PYTHON) is not a CPython 3.11$(comma) 3.12 or 3.13 with the GIL,no CPython 3.11$(comma) 3.12 or 3.13 found: install one or say PYTHON=/path/to/python))
  endif
  # KEY=PATH words become PY_KEY variables; the first is the newest.
  $(foreach f,$(FOUND),$(eval PY_$(firstword $(subst =, ,$f)) := $(lastword $(subst =, ,$f))))
  ALL_KEYS := $(foreach f,$(FOUND),$(firstword $(subst =, ,$f)))
  KEYS := $(if $(filter all,$(PYTHONS)),$(ALL_KEYS),$(or $(PYTHONS),$(firstword $(ALL_KEYS))))
  unknown := $(filter-out $(ALL_KEYS),$(KEYS))
  ifneq ($(unknown),)
    $(error no such interpreter: $(unknown). Found: $(ALL_KEYS))
  endif
  DEFAULT := $(firstword $(KEYS))
  # clippy sees other code for each minor version, so one interpreter of each is enough for it.
  minor = $(word 1,$(subst ., ,$(lastword $(subst -, ,$1)))).$(word 2,$(subst ., ,$1))
  LINT_KEYS := $(foreach m,3.13 3.12 3.11,$(firstword $(foreach k,$(ALL_KEYS),$(if $(filter $m,$(call minor,$k)),$k))))
endif

# --- Environments and wheels ------------------------------------------------------------------

# One virtual environment for each interpreter. An environment made from another executable of the
# same name is thrown away.
$(B)/venv-%/.stamp-tools: Makefile
	@python='$(PY_$*)'; venv='$(B)/venv-$*'; \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$$python cannot make virtual environments: install its venv package (on Debian: apt install python3-venv)." >&2; exit 1; }; \
	if [ -e "$$venv" ] && ! grep -qxF "executable = $$python" "$$venv/pyvenv.cfg" 2>/dev/null; then rm -rf "$$venv"; fi; \
	if [ ! -x "$$venv/bin/python" ]; then echo "Making $$venv from $$python"; "$$python" -m venv "$$venv"; fi; \
	"$$venv/bin/python" -m pip install --quiet --disable-pip-version-check $(TOOLS)
	@touch $@

$(B)/venv-%/.stamp-lint: $(B)/venv-%/.stamp-tools
	@$(B)/venv-$*/bin/python -m pip install --quiet --disable-pip-version-check $(LINT_TOOLS)
	@touch $@

# The list of source files changes when one is added or removed, their dates when one is edited.
SOURCES := $(shell find crates python wrasse.data -type f ! -name '*.pyc' ! -name '*.so' 2>/dev/null) \
           $(wildcard Cargo.toml pyproject.toml README.md)
$(B)/sources.list: FORCE
	@mkdir -p $(B); printf '%s\n' $(SOURCES) | sort > $@.$$$$; \
	if cmp -s $@.$$$$ $@; then rm $@.$$$$; else mv $@.$$$$ $@; fi

# A target directory for each interpreter, so that going from one to the other rebuilds nothing.
$(B)/venv-%/.stamp-wheel: $(B)/venv-%/.stamp-tools $(B)/sources.list $(SOURCES)
	@echo "Building wrasse for Python $* (about a minute the first time)"
	@rm -rf $(B)/wheels/$*
	@CARGO_TARGET_DIR='$(CURDIR)/$(B)/target-$*' $(B)/venv-$*/bin/maturin build --quiet --release \
	    --interpreter $(B)/venv-$*/bin/python --out $(B)/wheels/$*
	@$(B)/venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall $(B)/wheels/$*/*.whl
	@$(call spent,$(B)/target-$*)
	@touch $@

lints := lint-format lint-clippy lint-doc lint-ruff lint-types
.PHONY: FORCE help build demo test test-start test-rust test-units test-examples test-sanitizers test-end fuzz stress soak bench bench-python bench-rust lint $(lints) clean
FORCE:

build: $(KEYS:%=$(B)/venv-%/.stamp-wheel) ## build the wheel and install it in .build/venv-*

# --- Demo --------------------------------------------------------------------------------------

WRASSE = $(B)/venv-$(DEFAULT)/bin/wrasse
demo: $(B)/venv-$(DEFAULT)/.stamp-wheel ## a notebook and a program on wrasse's memory manager
	@echo; echo "== wrasse run examples/memory.ipynb (Python $(DEFAULT))"
	@$(WRASSE) run examples/memory.ipynb
	@for script in examples/*.py; do \
	    echo; echo "== wrasse run --trace $$script (Python $(DEFAULT))"; \
	    $(WRASSE) run --trace "$$script"; \
	done
	@mkdir -p $(B)/demo; echo; echo "== wrasse doctor examples/search.py (Python $(DEFAULT))"
	@$(WRASSE) doctor --exit-zero -o $(B)/demo/search.wrasse examples/search.py
	@$(WRASSE) report $(B)/demo/search.wrasse -o $(B)/demo/search.html; echo; echo "The same for a browser: $(B)/demo/search.html"

# --- Tests -------------------------------------------------------------------------------------

R := $(B)/results
test: test-end ## cargo test, pytest, and CPython's own tests against stock

# A stage that fails does not stop the others: it leaves its numbers in a tally file, which counts as
# one failure until the stage has written it, and test-end adds them up and says what became of it.
stages := test-rust test-units test-examples test-sanitizers $(foreach k,$(KEYS),test-python-$k test-doctor-$k test-cpython-$k test-profiled-$k)

test-start:
	@rm -rf $(R); mkdir -p $(R); for stage in $(stages); do echo "0 1" > $(R)/$${stage#test-}.tally; done

# A stage that ended badly without a test that failed counts as one failure.
count_end = if [ $$status != 0 ]; then grep -q ' 0$$' $(R)/$1.tally && echo "0 1" > $(R)/$1.tally || true; fi
tally_cargo = $(PY_$(DEFAULT)) tools/tally.py cargo $(R)/$1.log $(R)/$1.tally; $(call count_end,$1)

test-rust:
	@echo "== cargo test"
	@status=0; RUST_BACKTRACE=0 CARGO_TARGET_DIR='$(CURDIR)/$(B)/target-rust' cargo test --quiet --no-fail-fast $(HOST_CRATES) --features $(HOST_FEATURES) 2>&1 | tee $(R)/rust.log || status=$$?; \
	$(call tally_cargo,rust)

# The CPython host's tests are programs that call the interpreter: they are linked with its shared library.
LIBRARY_DIRECTORY := import os, sysconfig; get = sysconfig.get_config_var; where = get("LIBDIR") or ""; print(where if get("Py_ENABLE_SHARED") and os.path.exists(os.path.join(where, get("LDLIBRARY"))) else "")
test-units:
	@echo "== cargo test of the CPython host (Python $(DEFAULT))"
	@directory=$$($(PY_$(DEFAULT)) -c '$(LIBRARY_DIRECTORY)'); \
	if [ -z "$$directory" ]; then echo "skipped: Python $(DEFAULT) has no shared library to link them with"; echo "0 0" > $(R)/units.tally; exit 0; fi; \
	status=0; RUST_BACKTRACE=0 CARGO_TARGET_DIR='$(CURDIR)/$(B)/target-rust' PYO3_PYTHON='$(PY_$(DEFAULT))' \
	    LD_LIBRARY_PATH="$$directory$${LD_LIBRARY_PATH:+:$$LD_LIBRARY_PATH}" \
	    cargo test --quiet --no-fail-fast -p wrasse-python --lib 2>&1 | tee $(R)/units.log || status=$$?; \
	$(call tally_cargo,units)

# Each example asserts what it claims; one that ends well counts as a passed test.
EXAMPLES := $(basename $(notdir $(wildcard crates/wrasse/examples/*.rs)))
test-examples:
	@echo "== examples of the Rust host"; passed=0; failed=0; \
	for example in $(EXAMPLES); do \
	    if CARGO_TARGET_DIR='$(CURDIR)/$(B)/target-rust' cargo run --quiet -p wrasse --example $$example > $(R)/$$example.log 2>&1; \
	    then passed=$$((passed + 1)); else failed=$$((failed + 1)); echo "example $$example failed:"; cat $(R)/$$example.log; fi; \
	done; echo "$$passed passed; $$failed failed"; echo "$$passed $$failed" > $(R)/examples.tally
	@$(call spent,$(B)/target-rust)

test-sanitizers:
	@status=0; tools/sanitize.sh $(R) || status=$$?; \
	cat $(R)/asan.log $(R)/valgrind.log > $(R)/sanitizers.log 2>/dev/null || true; \
	$(call tally_cargo,sanitizers)
	@$(call spent,$(B)/target-asan $(B)/target-valgrind)

# A background job may come with SIGINT ignored, which children would inherit.
pytest = cd tests/python && env -u WRASSE --default-signal=INT,QUIT,HUP '$(CURDIR)'/$(B)/venv-$*/bin/python -m pytest -q -p no:cacheprovider
tally_pytest = if [ -e $(R)/$1.xml ]; then $(PY_$*) tools/tally.py pytest $(R)/$1.xml $(R)/$1.tally; fi; $(call count_end,$1)

# Most tests wait for a process of theirs, so two files run beside each other.
test-python-%: $(B)/venv-%/.stamp-wheel
	@echo "== pytest (Python $*)"
	@status=0; $(pytest) -n 2 --dist loadfile --junit-xml ../../$(R)/python-$*.xml . || status=$$?; cd ../..; \
	$(call tally_pytest,python-$*)

test-doctor-%: $(B)/venv-%/.stamp-wheel
	@echo "== the doctor's corpus (Python $*)"
	@status=0; $(pytest) --junit-xml ../../$(R)/doctor-$*.xml ../doctor || status=$$?; cd ../..; \
	$(call tally_pytest,doctor-$*)

compare = $(B)/venv-$*/bin/python tests/cpython/compare.py --key $* --python $(B)/venv-$*/bin/python $(if $(FRESH),--fresh)
test-cpython-%: $(B)/venv-%/.stamp-wheel
	@echo "== CPython's own tests (Python $*)"
	@$(compare) --tally $(R)/cpython-$*.tally $(if $(FULL),--full) $(CPYTHON_TESTS) || true

# The same with wrasse's own profile recorded from the start: the quick subset, unless files are named.
test-profiled-%: $(B)/venv-%/.stamp-wheel
	@echo "== CPython's own tests, profiled (Python $*)"
	@$(compare) --tally $(R)/profiled-$*.tally --settings $(or $(SETTINGS),gc$(comma)alloc$(comma)trace=25) $(CPYTHON_TESTS) || true

test-end: test-start $(stages)
	@echo "== total"
	@$(PY_$(DEFAULT)) tools/tally.py total $(R)

# --- Longer searches for mistakes ----------------------------------------------------------------

fuzz: ## random operations, guided by coverage, under AddressSanitizer (SECONDS=60 for each target)
	@SECONDS_EACH=$(or $(SECONDS),60) tools/fuzz.sh $(TARGETS)

stress: $(KEYS:%=$(B)/venv-%/.stamp-wheel) ## threads, subinterpreters, forks, limits at once; under valgrind too
	@for key in $(KEYS); do tools/stress.sh $$key $(B)/venv-$$key/bin/python; done

soak: $(KEYS:%=$(B)/venv-%/.stamp-wheel) ## an hour of threads, finalizers, weak references and forks (MINUTES=60)
	@for key in $(KEYS); do \
	    env -u WRASSE WRASSE_SOAK=$(or $(MINUTES),60) $(B)/venv-$$key/bin/python -m pytest -q -p no:cacheprovider tests/python/test_soak.py || exit 1; \
	done

# --- Lint --------------------------------------------------------------------------------------

lint: $(lints) ## rustfmt, clippy, rustdoc, ruff, mypy

lint-format:
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check

lint-clippy: $(LINT_KEYS:%=$(B)/venv-%/.stamp-tools)
	@for key in $(LINT_KEYS); do \
	    echo "cargo clippy for Python $$key"; \
	    CARGO_TARGET_DIR=$(B)/lint-$$key PYO3_PYTHON='$(CURDIR)'/$(B)/venv-$$key/bin/python \
	        cargo clippy --quiet --workspace --all-targets -- -D warnings; \
	done
	@for features in "--no-default-features" "--features hashbrown" "--features indexmap" "--features smallvec" \
	    "--features serde" "--features system-blocks" "--all-features"; do \
	    echo "cargo clippy for wrasse $$features"; \
	    CARGO_TARGET_DIR=$(B)/lint-features cargo clippy --quiet -p wrasse --lib $$features -- -D warnings; \
	done
	@$(call spent,$(LINT_KEYS:%=$(B)/lint-%) $(B)/lint-features)

lint-doc:
	CARGO_TARGET_DIR=$(B)/target-rust RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps $(HOST_CRATES)

V = $(B)/venv-$(DEFAULT)/bin
lint-ruff: $(B)/venv-$(DEFAULT)/.stamp-lint
	$(V)/ruff check .
	$(V)/ruff format --check .

# The stubs are also compared with the extension as it was built.
lint-types: $(B)/venv-$(DEFAULT)/.stamp-lint $(B)/venv-$(DEFAULT)/.stamp-wheel
	$(V)/mypy python/wrasse tests/cpython
	MYPYPATH=benches $(V)/mypy benches/*.py benches/tables tools
	$(if $(wildcard python/wrasse/_core.pyi),cd $(B) && venv-$(DEFAULT)/bin/stubtest --concise wrasse._core)

# --- Benchmarks --------------------------------------------------------------------------------

WORKLOADS ?= $(firstword $(wildcard ../shared/workloads) benches/programs)
bench: bench-python bench-rust ## stock against wrasse, and Gc<T> against its peers

bench-python: $(KEYS:%=bench-python-%)

bench-python-%: $(B)/venv-%/.stamp-wheel
	@$(B)/venv-$*/bin/python benches/bench.py --python $(B)/venv-$*/bin/python --wheels $(B)/wheels/$* --write docs/benchmarks.md \
	    --directory $(WORKLOADS) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SCALE),--scale $(SCALE)) $(BENCH)

# The peers are a package of their own: cargo fetches them the first time. ROWS names single rows.
bench-rust:
	@echo; echo "== Gc<T> and its peers"
	@CARGO_TARGET_DIR=$(B)/peers cargo build --quiet --release --manifest-path crates/wrasse/peers/Cargo.toml
	@$(B)/peers/release/peers $(ROUNDS) $(ROWS)

# --- The rest ----------------------------------------------------------------------------------

clean: ## remove everything that was built
	rm -rf $(B) target

help:
	@echo "wrasse: Python's memory management, built in Rust"; echo
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 18
	@echo; echo "Choices (after the target):"
	@echo "  PYTHON=/path/to/python   that interpreter; the default is the newest CPython 3.11-3.13 found"
	@echo "  PYTHONS=all              every supported interpreter found (or names such as \"3.12.1 3.11.7\")"
	@echo "  FULL=1                   test: all of CPython's test files instead of a quick subset"
	@echo "  LEAN=1                   test, lint: keep little on the disk: what was built goes when it has been used"
	@echo "  FRESH=1                  test: run CPython's tests on stock again instead of recalling them"
	@echo "  CPYTHON_TESTS=\"test_gc\"  test: only these of CPython's test files"
	@echo "  ROUNDS=7 SCALE=1         bench: pairs of processes for each figure, and how much work each does"
	@echo "  SECONDS=60 TARGETS=gc_heap  fuzz: how long each target, and which"
	@echo "  ROWS='\"live 1e6\" trees'   bench-rust: only these rows of the table of Gc<T>"
	@echo "  WORKLOADS=DIR BENCH=NAME bench: another directory of programs, and which of them"
