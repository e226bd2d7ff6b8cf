# SPDX-License-Identifier: GPL-2.0-or-later
# The user's interface. 'make' prints what there is.

-include config.mk

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
QEMU_SOURCE ?=
EXTRA_CONFIGURE ?=
JOBS ?= $(shell nproc)

override BUILD := $(abspath $(BUILD))
export BUILD PREFIX DESTDIR QEMU_SOURCE EXTRA_CONFIGURE JOBS P DROP V

OVERLAY := scripts/overlay

help:
	@sed -n 's/^## //p; s/^\([a-z-]*\):.*## /  \1|/p' $(MAKEFILE_LIST) | \
	    awk -F'|' 'NF > 1 { printf "%-18s %s\n", $$1, $$2; next } { print }'
	@echo
	@echo "Variables: BUILD=DIR ($(BUILD)), PREFIX=DIR, DESTDIR=DIR, JOBS=N, V=1,"
	@echo "QEMU_SOURCE=DIR|TARBALL|DSC instead of Debian's package, EXTRA_CONFIGURE=WORDS."

##
## Build

deps: ## install the packages that are missing (root or sudo)
	@$(OVERLAY)/deps.sh build run

fetch: ## fetch and verify the base with apt, without touching the system
	@$(OVERLAY)/deps.sh build
	@$(OVERLAY)/fetch.sh --download-only

patch: ## unpack the base, link the overlay, apply patches/series
	@$(OVERLAY)/deps.sh build
	@$(OVERLAY)/fetch.sh
	@$(OVERLAY)/link.py
	@$(OVERLAY)/series.py apply

build: patch ## everything up to a working qemu-system-x86_64
	@$(OVERLAY)/deps.sh run
	@$(OVERLAY)/build.sh
	@echo "  ready      $(BUILD)/obj/qemu-system-x86_64"

.DEFAULT_GOAL := help
.PHONY: help deps fetch patch build
