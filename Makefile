# SPDX-License-Identifier: GPL-2.0-or-later
# The user's interface; the work is in scripts/. 'make' prints what there is.

-include config.mk

BUILD ?= build
CONFIGURED_PREFIX ?= /usr/local
PREFIX ?= $(CONFIGURED_PREFIX)
PYTHON ?= /usr/bin/python3
JOBS ?= $(shell nproc)

override BUILD := $(abspath $(BUILD))
export BUILD CONFIGURED_PREFIX PREFIX DESTDIR QEMU_SOURCE EXTRA_CONFIGURE
export PYTHON JOBS F DROP V FULL KVM BASE FEATURES

OVERLAY := scripts/overlay
SEV_PSP := tools/sev-psp/sev-psp

help:
	@awk -f $(OVERLAY)/help.awk $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "Variables: BUILD=DIR (now $(BUILD)), JOBS=N, V=1, PREFIX=DIR, DESTDIR=DIR,"
	@echo "QEMU_SOURCE=DIR|TARBALL|DSC for another base, EXTRA_CONFIGURE=WORDS."

## See it work

demo: build ## boot, measure, migrate and clone an encrypted guest
	@$(OVERLAY)/deps.sh test
	@tests/guest/build.sh
	@$(OVERLAY)/as-root.sh $(PYTHON) scripts/demo/run.py --build "$(BUILD)"

bench: build ## every benchmark, one after the other, and plots: BUILD/bench (two hours; QUICK=1, ROUNDS=N, ONLY=NAME,...)
	@$(OVERLAY)/deps.sh build test bench
	@$(OVERLAY)/lib-build.sh scripts/bench/psp/bench-psp scripts/bench/lane/bench-lane lane/sev-lane.bin
	@tests/guest/build.sh
	@tests/functional/build-base.sh
	@$(OVERLAY)/as-root.sh $(PYTHON) scripts/bench/bench_all.py --build "$(BUILD)" \
	    $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only "$(ONLY)")

bench-check: ## ratios of the last bench beside the baseline; fails when one is worse; ACCEPT=1 makes it the baseline
	@$(PYTHON) scripts/bench/bench_all.py --build "$(BUILD)" $(if $(ACCEPT),--accept,--check)

bench-psp: ## how fast packets are, beside OpenSSL and the bare primitives
	@$(OVERLAY)/deps.sh build test
	@$(OVERLAY)/lib-build.sh scripts/bench/psp/bench-psp
	@"$(BUILD)/lib/scripts/bench/psp/bench-psp"

bench-lane: build ## the lane beside OpenSSL under KVM; packets against it with a slow chip (15 minutes)
	@$(OVERLAY)/deps.sh build test
	@$(OVERLAY)/lib-build.sh scripts/bench/lane/bench-lane lane/sev-lane.bin
	@"$(BUILD)/lib/scripts/bench/lane/bench-lane" "$(BUILD)/lib/lane/sev-lane.bin"
	@tests/guest/build.sh
	@$(OVERLAY)/as-root.sh $(PYTHON) scripts/bench/lane/bench-slow-chip.py --build "$(BUILD)"

bench-clone: build ## clones against cold boots and stock templating (10 minutes)
	@$(OVERLAY)/deps.sh test
	@tests/guest/build.sh
	@tests/functional/build-base.sh
	@$(OVERLAY)/as-root.sh $(PYTHON) scripts/bench/clone/bench-clone.py --build "$(BUILD)"

bench-migration: build ## migration of SEV guests beside stock QEMU's (20 minutes)
	@$(OVERLAY)/deps.sh test
	@tests/guest/build.sh
	@tests/functional/build-base.sh
	@$(OVERLAY)/as-root.sh $(PYTHON) scripts/bench/migration/bench-migration.py --build "$(BUILD)"

bench-kernel: build ## migration under KVM with a slow secure processor, Linux' SEV played (13 minutes)
	@$(OVERLAY)/deps.sh test
	@tests/guest/build.sh
	@$(OVERLAY)/as-root.sh $(PYTHON) scripts/bench/kernel/bench-kernel.py --build "$(BUILD)"

bench-tcg: build ## SEV under TCG beside SEV off and the unpatched base (20 minutes)
	@$(OVERLAY)/deps.sh test
	@tests/guest/build.sh
	@tests/functional/build-base.sh
	@$(OVERLAY)/as-root.sh $(PYTHON) scripts/bench/tcg.py --build "$(BUILD)"

## Build

deps: ## install the packages that are missing (root or sudo)
	@$(OVERLAY)/deps.sh build run test

fetch: ## fetch and verify the base with apt; nothing on the system changes
	@$(OVERLAY)/deps.sh build
	@$(OVERLAY)/fetch.sh --download-only

patch: ## unpack the base, link the overlay in, apply patches/series
	@$(OVERLAY)/deps.sh build
	@$(OVERLAY)/fetch.sh
	@$(OVERLAY)/link.py
	@$(OVERLAY)/series.py apply

build: patch ## everything up to a working qemu-system-x86_64 and sev-psp
	@$(OVERLAY)/deps.sh run
	@$(OVERLAY)/build.sh
	@$(OVERLAY)/lib-build.sh $(SEV_PSP)
	@echo "  ready      $(BUILD)/obj/qemu-system-x86_64"
	@echo "             $(BUILD)/lib/$(SEV_PSP)"

guest-tools: ## the programs that go into a guest: BUILD/guest-tools
	@tools/guest/build.sh "$(BUILD)/guest-tools"

install: build ## install QEMU, sev-psp, sev-clone below DESTDIR and PREFIX
	@$(OVERLAY)/lib-build.sh $(SEV_PSP)
	@$(OVERLAY)/install.sh

.PHONY: manual check-docs
manual: patch ## QEMU's manual with our pages, as HTML: BUILD/manual/index.html
	@$(OVERLAY)/deps.sh manual
	@scripts/docs/manual.sh

deb: export FEATURES = distribution
deb: ## Debian packages that sit beside Debian's QEMU, for this Debian: BUILD/deb
	@$(OVERLAY)/deps.sh build run package
	@scripts/packaging/deb.sh

dist: ## a release tarball that builds without git; BASE=1 adds QEMU's source
	@scripts/packaging/dist.sh

## Test

check: build ## all of the following; installs and builds what it needs
	@$(OVERLAY)/deps.sh test
	@$(OVERLAY)/deps.sh libvirt || echo "  deps       without libvirt its tests are skipped"
	@$(OVERLAY)/deps.sh registry || echo "  deps       without a registry its tests are skipped"
	@tests/guest/build.sh
	@tests/guest/build.sh trixie
	@$(OVERLAY)/as-root.sh $(OVERLAY)/check.py lint series lib unit qtest functional

check-lib: ## the chip's library alone, without QEMU, in seconds
	@$(OVERLAY)/deps.sh build test
	@$(OVERLAY)/check.py lib

check-unit: build ## unit tests inside QEMU's build
	@$(OVERLAY)/check.py unit

check-qtest: build ## upstream's migration, boot and QMP tests, and ours
	@$(OVERLAY)/check.py qtest

check-functional: build ## real guests: boot, migrate, clone, tamper
	@$(OVERLAY)/deps.sh test
	@$(OVERLAY)/deps.sh libvirt || echo "  deps       without libvirt its tests are skipped"
	@$(OVERLAY)/deps.sh registry || echo "  deps       without a registry its tests are skipped"
	@tests/guest/build.sh
	@tests/guest/build.sh trixie
	@$(OVERLAY)/as-root.sh $(OVERLAY)/check.py functional

check-matrix: build guest-kernels ## boot guests of every shape, print a table (half an hour on a busy machine)
	@$(OVERLAY)/deps.sh test clean
	@tests/guest/extras.sh
	@tests/guest/build.sh bullseye
	@tests/guest/build.sh unstable
	@$(OVERLAY)/as-root.sh tests/guest/userland.sh
	@$(OVERLAY)/as-root.sh tests/functional/matrix/matrix.py --build "$(BUILD)"
	@$(OVERLAY)/as-root.sh tests/functional/matrix/matrix.py --build "$(BUILD)" --es
	@tests/guest/build.sh trixie generic
	@$(OVERLAY)/as-root.sh $(PYTHON) tests/functional/run.py --build "$(BUILD)" \
	    --all --filter '^(device table|state|disk|es: a Debian)'

BOOTS ?= 50
check-boots: build ## BOOTS=50 boots with four vCPUs in a row, none may be lost; ES=1: of SEV-ES guests
	@$(OVERLAY)/deps.sh test
	@tests/guest/build.sh
	@$(OVERLAY)/as-root.sh tests/functional/matrix/matrix.py --build "$(BUILD)" --repeat $(BOOTS) \
	    $(if $(filter 1,$(ES)),--es)

STRESS ?= 600
CHECKED ?= 1
check-stress: build ## STRESS=600 seconds of load on four vCPUs, then kexec, reboot, sleep; the cache's rules checked unless CHECKED=0
	@$(OVERLAY)/deps.sh test
	@tests/guest/build.sh
	@$(OVERLAY)/as-root.sh tests/functional/matrix/stress.py --build "$(BUILD)" --seconds $(STRESS) \
	    $(if $(filter 0,$(CHECKED)),--unchecked)

guest-kernels:
	@tests/guest/build.sh
	@tests/guest/build.sh trixie

check-docs: build ## the commands of README.md and docs/ do what their page says (7 minutes when measured in parts); DOCS=FILE
	@$(OVERLAY)/deps.sh test
	@tests/guest/build.sh
	@DESTDIR="$(BUILD)/check-docs" PREFIX=/usr $(OVERLAY)/install.sh
	@$(OVERLAY)/as-root.sh $(PYTHON) scripts/docs/check.py --build "$(BUILD)" $(DOCS)

check-faults: build ## every step of a migration fails in every way; a summary, and a table in BUILD/faults
	@$(OVERLAY)/deps.sh test
	@tests/guest/build.sh
	@$(OVERLAY)/as-root.sh $(PYTHON) tests/functional/matrix/faultmatrix.py --build "$(BUILD)"

check-libvirt: build ## an SEV guest under an unmodified libvirt, the system's daemon and a user's; OTHER=DIR: host 2 has another version, unpacked there
	@$(OVERLAY)/deps.sh test libvirt
	@tests/guest/build.sh
	@$(OVERLAY)/as-root.sh $(PYTHON) integration/libvirt/system.py --build "$(BUILD)" \
	    $(if $(OTHER),--other "$(OTHER)")
	@$(OVERLAY)/as-root.sh $(PYTHON) integration/libvirt/try.py --build "$(BUILD)"

check-kata: build ## the Kata runtime's recorded command lines, replayed (3 minutes; VSOCK=1: and in a guest that is the host, half an hour)
	@$(OVERLAY)/deps.sh test
	@tests/guest/build.sh
	@$(OVERLAY)/as-root.sh $(PYTHON) tests/functional/run.py --build "$(BUILD)" \
	    --filter '^kata$(if $(VSOCK),,(?!.*plays a host))'

# Nothing is installed on a host that may be in use: it says what is missing.
check-hardware: export OVERLAY_NO_INSTALL = 1
check-hardware: build ## on an EPYC: does migration work on this host? a table, and JSON to send; CHAIN=FILE
	@$(OVERLAY)/lib-build.sh
	@ninja -C "$(BUILD)/lib" tools/sev-psp/sev-psp > /dev/null
	@tests/guest/build.sh
	@$(PYTHON) scripts/check-hardware --build "$(BUILD)" \
	    $(if $(CHAIN),--chain "$(CHAIN)")

MINUTES ?= 30
soak: build ## a guest moves back and forth for MINUTES=30, with random faults
	@$(OVERLAY)/deps.sh test
	@tests/guest/build.sh
	@$(OVERLAY)/as-root.sh $(PYTHON) tests/functional/matrix/soak.py --build "$(BUILD)" \
	    --minutes $(MINUTES)

check-migration-full: build ## upstream's migration-test in full, here and on the base
	@tests/functional/build-base.sh
	@scripts/overlay/migration-full.py

check-prefixes: build ## every prefix of the patch series compiles; QUICK=1: the last patch of each section
	@$(OVERLAY)/prefixes.py $(if $(QUICK),--quick)

check-export: build export ## each commit of the export is applied with git am and built (long; QUICK=1: compiled)
	@$(OVERLAY)/check-export.py $(if $(QUICK),quick,build)

check-deb: deb ## the packages in a clean Debian: install, use, remove, purge (2 minutes); SUITE=trixie builds them there first (half an hour)
	@command -v debootstrap > /dev/null || $(OVERLAY)/deps.sh clean
	@$(OVERLAY)/deps.sh test
	@$(OVERLAY)/as-root.sh scripts/packaging/check-deb.sh $(SUITE)

check-features: deb ## docs/features.md beside Debian's QEMU; a desktop's domain as virt-install writes it starts (5 minutes)
	@command -v debootstrap > /dev/null || $(OVERLAY)/deps.sh clean
	@$(OVERLAY)/deps.sh test
	@$(OVERLAY)/deps.sh libvirt || echo "  deps       without libvirt no domain is tried"
	@tests/guest/build.sh
	@$(OVERLAY)/as-root.sh scripts/packaging/check-features.sh
	@$(OVERLAY)/as-root.sh $(PYTHON) integration/libvirt/desktop.py --build "$(BUILD)" || [ $$? = 77 ]

check-guides: ## README's first commands, the guides for libvirt and Kata, pasted into a fresh Debian (as long as a build); SUITE=trixie
	@command -v debootstrap > /dev/null || $(OVERLAY)/deps.sh clean
	@$(OVERLAY)/as-root.sh scripts/docs/check-guides.sh $(SUITE)

check-dist: dist ## the release tarball builds without git (as long as a build)
	@scripts/packaging/check-dist.sh

check-builds: patch ## TCG only, KVM only, without SEV, other targets: do they build? (long)
	@$(OVERLAY)/builds.sh $(NAMES)

coverage: ## lines of hw/psp that its tests run; fails below 95 %
	@$(OVERLAY)/deps.sh build test
	@$(OVERLAY)/lib-build.sh
	@MESON="$(BUILD)/lib/meson" tests/unit/psp/coverage.sh "$(BUILD)/coverage"

FUZZ ?= 600
fuzz: ## libFuzzer on chip and lane, FUZZ=600 seconds for each of four targets, or ONLY=lane (needs clang)
	@$(OVERLAY)/deps.sh build test
	@$(OVERLAY)/lib-build.sh
	@MESON="$(BUILD)/lib/meson" tests/fuzz/psp/run.sh "$(BUILD)/fuzz" $(FUZZ) $(ONLY)

lint: ## the house rules that a machine can check
	@scripts/lint/lint.py

lint-hook: ## run lint before every commit in this clone
	@scripts/lint/install-hook.sh

## Patches

refresh: ## rewrite the patches; P=NAME.patch folds your edits of the tree into it
	@$(OVERLAY)/series.py $(if $(P),fold $(P),refresh)

diff: ## your edits of the tree that are in no patch yet
	@$(OVERLAY)/series.py diff

export: patch ## the whole overlay as one upstream-style series, cut by patches/topics
	@$(OVERLAY)/export.py
	@$(OVERLAY)/check-export.py style

try-base: fetch ## which patches apply to the newest QEMU that Debian has; SUITE=unstable, or TRY=DIR|TARBALL|DSC
	@$(OVERLAY)/try-base.py $(if $(TRY),"$(TRY)",--suite $(or $(SUITE),unstable)) \
	    $(if $(WRITE),--write docs/devel/rebase.md)

hooks-report: ## what the series does to upstream; fails above the budget
	@$(OVERLAY)/hooks-report.py $(if $(RAISE),--raise)

## Clean

clean: ## remove objects, keep what was fetched and unpacked
	rm -rf $(foreach part,obj lib stage export logs,"$(BUILD)/$(part)")

distclean: ## remove the build directory and the choices of ./configure
	rm -rf "$(BUILD)" config.mk

.DEFAULT_GOAL := help
.PHONY: check-faults check-hardware check-libvirt check-kata soak check-migration-full help demo bench bench-check bench-psp bench-lane bench-clone bench-migration bench-kernel bench-tcg guest-tools deps fetch patch build install deb dist check check-deb check-features check-guides check-dist check-builds check-lib coverage fuzz \
    check-unit check-qtest check-functional check-matrix check-boots \
    check-stress guest-kernels lint lint-hook refresh diff \
    export check-export check-prefixes try-base hooks-report clean distclean
