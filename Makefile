# The project's commands. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.cache/bin:$(PATH)

.PHONY: help check fmt clippy doc deny test tools traffic soak fuzz bench image demo

help: ## Lists these commands.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | column -t -s '|'

check: fmt clippy doc deny ## Formatting, lints, documentation, licences: everything that needs no run.

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets --locked -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items

deny: ## Licences, bans and sources of all dependencies (cargo-deny), where it is installed or can be.
	tests/tools/ensure cargo-deny
	if command -v cargo-deny >/dev/null; then cargo deny --locked check bans licenses sources; fi

# The same cases every time, so that a change is judged by what it changed; `make soak` looks for new ones.
test: tools ## Everything that is tested. Installs what it needs where it can, else says what to install.
	PROPTEST_RNG_SEED=1 cargo test --workspace --locked
	tests/vm/ipvs

tools: ## What the tests need beside Rust: grpcurl, helm, a Kubernetes API server, namespaces, a virtual machine with IPVS, and what is set against the ingress.
	tests/tools/ensure cc curl script grpcurl helm kube-assets ip nft iptables conntrack ipvsadm ipset setpriv qemu-system-x86_64 busybox cpio modprobe systemd-analyze \
	  nginx haproxy apache2 h2spec slowhttptest sslscan

traffic: tools ## What clients of Services see, on every backend, in namespaces and in a virtual machine; `make test` has it too.
	cargo build --workspace --locked --bin meshlite
	cargo test --locked -p meshlite-tests --test netns

soak: ## Long repetitions; not part of `make test`.
	MESHLITE_SOAK=1 PROPTEST_CASES=20000 cargo test --workspace --locked --release

fuzz: ## Each fuzz target for a minute (nightly Rust and cargo-fuzz).
	cd tests/fuzz && for target in cache commit head ipvs manifests nft path pipeline request response responses router session; do \
	  cargo +nightly fuzz run --fuzz-dir . $$target -- -max_total_time=60 -max_len=4096; done

bench: ## Every benchmark, quickly.
	for bench in tests/bench/*; do if [ -x "$$bench" ] && [ -f "$$bench" ]; then "$$bench" --quick; fi; done

image: ## One static program in an image, by whichever of docker, podman and buildah works here; IMAGE=NAME:TAG names it.
	deploy/image/build $(IMAGE)

demo: ## The main job, on this machine.
	cargo run --release -- demo
