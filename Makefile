# Every target starts from a bare machine: it installs what it needs (as root,
# on Debian and Ubuntu), fetches the pinned engine, builds and runs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL: # the binary needs the libraries; ninja and go are parallel inside

# NVIDIA's header declares what it deprecates, and go-nvml binds all of it.
export CGO_CFLAGS = -O2 -g -Wno-deprecated-declarations
# It leaves NVML's symbols open until they are called, which a linker that binds
# everything at the start would turn into a program that does not start.
export CGO_LDFLAGS = -O2 -g -Wl,-z,lazy

GO = $(firstword $(wildcard toolchain/go/bin/go) go)
BUILD := build/cmake
LIBS := build/lib
ENGINE_SOURCES := $(wildcard llama/*.h llama/shim/*) CMakeLists.txt third_party/llama.cpp.lock
MODULE := github.com/phasebench/phasebench
# A bundle for hosts without network has no git; it brings its commit along.
VERSION := $(shell cat COMMIT 2>/dev/null || git describe --always --dirty --tags 2>/dev/null || echo unknown)
GO_BUILD = GOTOOLCHAIN=local $(GO) build -trimpath -ldflags "-X main.version=$(VERSION) -X $(MODULE)/internal/environ.revision=$(VERSION)"

.PHONY: help
help: ## this text
	@echo "phasebench: what a million tokens costs on your own hardware"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  CUDA_ARCH=90 make cuda           build for one GPU architecture instead of this host's"
	@echo "  FA_QUANTS=q8_0-f16 make cuda     with CUDA kernels for these types of a K and V cache, too"
	@echo "  PORTABLE=1 make cpu              build every CPU variant instead of this host's"

.PHONY: cpu
cpu: $(LIBS)/.cpu bench ## build ./bench for the CPU

.PHONY: cuda
cuda: $(LIBS)/.cuda bench ## build ./bench for the CPU and NVIDIA GPUs

.PHONY: demo
demo: cpu ## run configs/demo.yaml on synthetic weights; about 30 s, after a first build of minutes
	./bench -matrix configs/demo.yaml --synthetic

.PHONY: test
test: cpu ## all tests
	CGO_ENABLED=0 GOTOOLCHAIN=local $(GO) test ./econ
	GOTOOLCHAIN=local $(GO) test -count=1 -p 1 ./... # anew, since go does not see the engine change; one at a time, since both use every core

# What can go wrong, tried in full: docs/reliability.md has a line for each test
# that makes a promise, of what go test said in these logs.
LOGS := build/reliability
FUZZTIME ?= 20s
SOAK ?=

.PHONY: test-faults
test-faults: cpu ## all tests and every fault in full, best as root; writes docs/reliability.md; FUZZTIME=10m SOAK=45m for all of it
	rm -rf $(LOGS)
	for log in all fuzz $(if $(SOAK),soak); do $(MAKE) --no-print-directory $(LOGS)/$$log.jsonl & done; wait # none of them measures speed
	@$(MAKE) --no-print-directory reliability

# No log fails a build: the table says what failed.
$(LOGS)/all.jsonl:
	mkdir -p $(LOGS)
	SOAK= FAULTS=all GOTOOLCHAIN=local $(GO) test -count=1 -p 1 -timeout 4h -json ./... > $@ || true

$(LOGS)/fuzz.jsonl:
	mkdir -p $(LOGS)
	scripts/fuzz.sh --time $(FUZZTIME) --json > $@ || true

$(LOGS)/soak.jsonl:
	mkdir -p $(LOGS)
	SOAK=$(SOAK) GOTOOLCHAIN=local $(GO) test -count=1 -timeout 4h -run '^TestSoak$$' -json ./cmd/bench > $@ || true

.PHONY: reliability
reliability: # the table anew, of the logs there are
	GOTOOLCHAIN=local $(GO) run ./scripts/reliability docs/reliability.md $(sort $(wildcard $(LOGS)/*.jsonl))

.PHONY: fuzz
fuzz: cpu ## every fuzz target for FUZZTIME=20s
	scripts/fuzz.sh --time $(FUZZTIME)

.PHONY: soak
soak: cpu ## 45 minutes (SOAK=45m) of measuring beside something that kills; updates docs/reliability.md
	rm -f $(LOGS)/soak.jsonl
	@$(MAKE) --no-print-directory SOAK=$(or $(SOAK),45m) $(LOGS)/soak.jsonl
	@$(MAKE) --no-print-directory reliability

.PHONY: test-race
test-race: cpu ## tests under Go's race detector and with checked cgo pointers
	GOTOOLCHAIN=local $(GO) test -count=1 -p 1 -timeout 40m -race ./econ ./internal/... ./llama ./scripts/...
	GOFLAGS=-race GOTOOLCHAIN=local $(GO) test -count=1 -run '$(RACED)' ./cmd/bench
	GOEXPERIMENT=cgocheck2 GOTOOLCHAIN=local $(GO) test -count=1 -p 1 ./llama ./internal/measure ./internal/power

# Of the tests that run the program those with signals, deaths and resuming; it is built with the race detector too.
RACED := ^Test(Run|WorkerKilled|ParentKilled|Interrupt|SecondInterrupt|TwoRunsIntoOneFolder)$$

.PHONY: test-asan
test-asan: cpu ## tests with the shim under AddressSanitizer and UndefinedBehaviorSanitizer
	cmake --build $(BUILD) --parallel --target phasebench_shim_sanitized
	ln -sf $(CURDIR)/$(LIBS)/libggml-cpu*.so build/asan/ # modules are looked for beside the shim
	LD_LIBRARY_PATH=$(CURDIR)/build/asan UBSAN_OPTIONS=print_stacktrace=1 LSAN_OPTIONS=suppressions=$(CURDIR)/llama/testdata/lsan.supp GOTOOLCHAIN=local $(GO) test -count=1 -p 1 -timeout 40m -asan -skip "^TestOutOfMemory$$" ./llama ./internal/measure # which limits memory below what the sanitizer maps

.PHONY: test-slurm
test-slurm: cpu ## a matrix on a real Slurm cluster on this machine, from Debian's packages; about 2 minutes
	scripts/slurm/test-cluster.sh install
	PHASEBENCH_SLURM=1 GOTOOLCHAIN=local $(GO) test -count=1 -v -run TestCluster ./scripts/slurm

.PHONY: lint
lint: $(LIBS)/.cpu ## formatting, vet, shell scripts
	scripts/bootstrap.sh --lint
	test -z "$$($(GO) env GOROOT >/dev/null; gofmt -l $$(git ls-files '*.go') | tee /dev/stderr)"
	GOTOOLCHAIN=local $(GO) vet ./...
	shellcheck -x $$(git ls-files '*.sh') .ci/run

.PHONY: vuln
vuln: ## known weaknesses of what is linked; needs network
	GOTOOLCHAIN=local $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

.PHONY: clean
clean: ## remove everything that was built; keeps models, results and the engine's source
	rm -rf build bench

# The engine. The stamps hold what the libraries were built from, so that an
# unchanged tree costs one look at a few files.
.PHONY: bootstrap
bootstrap:
	@scripts/bootstrap.sh
	@scripts/fetch-llama.sh

CMAKE = cmake -S . -B $(BUILD) $$(command -v ninja >/dev/null && echo -G Ninja) -Wno-dev --log-level=WARNING \
	-DCMAKE_C_COMPILER_LAUNCHER=$$(command -v ccache) \
	-DCMAKE_CXX_COMPILER_LAUNCHER=$$(command -v ccache) \
	-DPHASEBENCH_PORTABLE=$(if $(PORTABLE),ON,OFF)

# What was asked for beyond the usual. Without a wish, libraries stay what they are.
ASKED = $(strip $(PORTABLE:%=PORTABLE=%) $(CUDA_ARCH:%=CUDA_ARCH=%) $(FA_QUANTS:%=FA_QUANTS=%))
.PHONY: ask
ask:
$(LIBS)/.asked: ask
	@mkdir -p $(@D)
	@[ -e $@ ] && { [ -z "$(ASKED)" ] || [ "$$(cat $@)" = "$(ASKED)" ]; } || echo "$(ASKED)" > $@

$(LIBS)/.cpu: $(ENGINE_SOURCES) $(LIBS)/.asked
	@$(MAKE) --no-print-directory bootstrap
	$(CMAKE)
	cmake --build $(BUILD) --parallel --target phasebench_shim
	@touch $@

$(LIBS)/.cuda: $(ENGINE_SOURCES) $(LIBS)/.asked
	@scripts/check-cuda.sh
	@$(MAKE) --no-print-directory bootstrap
	$(CMAKE) -DGGML_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=$(or $(CUDA_ARCH),native) \
		-DCMAKE_CUDA_COMPILER_LAUNCHER=$$(command -v ccache) \
		-DCMAKE_CUDA_COMPILER=$$(scripts/check-cuda.sh) \
		-DGGML_CUDA_FA_QUANTS="q4_0-q4_0;q8_0-q8_0;f16-f16;bf16-bf16$(FA_QUANTS:%=;%)"
	cmake --build $(BUILD) --parallel --target phasebench_shim
	@touch $@ $(LIBS)/.cpu

# Go knows best what changed; it relinks in about a second when nothing did.
.PHONY: bench
bench:
	@$(GO_BUILD) -o bench ./cmd/bench
