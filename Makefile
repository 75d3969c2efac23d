# The short commands. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
CARGO := cargo
BUILDER := target/debug/image-builder
RECIPES := image-builder/recipes
VERSION := 1.0.0
OUT := out

.PHONY: help setup demo cluster-demo run programs image images test test-full museum power-cut check bench clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

setup: ## install what is missing on this machine (says what)
	@scripts/setup.sh

demo: setup ## build the image, boot it, run a container in it, and say how to log in
	@scripts/demo.sh

cluster-demo: ## three machines become a cluster, one loses its power, and all are updated one after the other
	@scripts/setup.sh test
	@scripts/cluster-demo.sh

programs: setup ## compile what goes into the image into target/programs/bin
	@scripts/programs.sh

image: setup $(BUILDER) ## build the image for virtual machines into out/vm
	@scripts/image.sh vm $(VERSION) $(OUT)

images: setup $(BUILDER) ## build every recipe
	@scripts/image.sh vm $(VERSION) $(OUT)
	@scripts/image.sh metal $(VERSION) $(OUT)

run: image ## boot the image with its console on this terminal
	@$(BUILDER) run $(OUT)/vm/slipway-vm-$(VERSION).raw

test: ## every promise once: unit tests, images, VM tests
	@scripts/setup.sh test
	@scripts/test.sh

test-full: ## the long explorations as well
	@scripts/setup.sh test
	@SLIPWAY_TEST_FULL=1 scripts/test.sh

museum: ## plant known defects one by one, and see that a test notices each
	@$(CARGO) run --locked --quiet --package qemu-tests --bin museum -- run

power-cut: ## what a power cut can leave, explored in full on the images of the last `make test`; target/power-cut/
	@$(CARGO) build --locked --quiet --package update-server
	@SLIPWAY_TEST_FULL=1 SLIPWAY_TEST_IMAGES=$(CURDIR)/target/test-images SLIPWAY_POWER_CUT_DIR=$(CURDIR)/target/power-cut/recordings \
	    $(CARGO) test --locked --package qemu-tests --test scenarios -- power_cuts

check: ## formatting, lints, documentation, dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --workspace --no-deps --document-private-items --locked
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --offline check bans licenses sources; \
	else echo 'cargo-deny is not installed, dependencies were not checked: cargo install --locked cargo-deny'; fi

bench: setup $(BUILDER) ## measure speed and size, beside mkosi
	@scripts/bench.sh

clean: ## remove what was built here; the package cache stays
	rm -rf $(OUT) target

$(BUILDER): FORCE
	@$(CARGO) build --locked --quiet --package image-builder
FORCE:
