# What CI runs, word for word. `make` alone says what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
RIG := tests/cluster

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

# Causes are declared by a macro, where cargo's own formatter does not look for files.
CAUSES = src/causes/*/*.rs

fmt: ## Format the code
	cargo fmt
	rustfmt --edition 2024 $(CAUSES)

fmt-check: ## Fail where the code is not formatted
	cargo fmt --check
	rustfmt --edition 2024 --check $(CAUSES)

lint: ## Clippy, warnings denied
	cargo clippy --all-targets --locked -- -D warnings

unit: ## Unit tests, fixtures, registry and command line
	cargo test --locked

e2e: ## End-to-end tests on a real cluster (root)
	tests/run e2e

test: ## All tests, with one summary (root)
	tests/run all

generate: ## Write crds/, deploy/culprit*.yaml and docs/causes/ anew
	tests/generate

check-generated: ## Fail where a generated file is not what the code gives
	tests/generate --check

deny: ## Licences, bans and sources of dependencies
	tests/deny

bench: ## Benchmarks of analysis, events, prober and agent (docs/benchmarks.md; the last two as root)
	cargo bench --locked --bench analysis --bench event --bench prober --bench inside --bench agent

bench-docker: ## The same against a Docker engine with many containers (root)
	benches/docker

bench-real: ## The same against a real API server with 5,000 routes (root)
	benches/real

image: ## The image as an archive, made without an engine
	$(RIG)/image

build-rig: ## Binaries and images of the test cluster, cached by version (6 to 15 minutes once)
	$(RIG)/build

demo: ## A cluster with Culprit and a shop full of faults (root; CLUSTER=current uses your own kubeconfig)
	demo/run

demo-docker: ## A Docker engine with a shop of broken gateways (root)
	demo/docker

docker-test: ## End-to-end tests on a real Docker engine (root)
	tests/run docker

down: ## End the clusters of demo and tests
	INSTANCE=demo $(RIG)/down
	INSTANCE=test $(RIG)/down

.PHONY: help fmt fmt-check lint unit e2e test docker-test generate check-generated deny bench bench-docker bench-real image build-rig demo demo-docker down
