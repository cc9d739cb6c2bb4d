# How every layer is built: pinned wheels for Lambda (python3.12, x86_64, Amazon Linux 2023), trimmed, with bytecode.
# `sam build` calls `make build-<LogicalId>` with ARTIFACTS_DIR set, from a copy of the layer's folder: paths below are
# the original Makefile's. `sam build --cached` watches the layer's folder alone: after a change here, build without it.

.SILENT:

LAYER := $(abspath $(dir $(firstword $(MAKEFILE_LIST))))
# Wheels are kept, so that a second build needs no network.
WHEELS ?= $(abspath $(LAYER)/../..)/.ratchet/wheels
PYTHON ?= python3.12
SITE = $(ARTIFACTS_DIR)/python
PIP = $(PYTHON) -m pip --quiet --disable-pip-version-check --no-input
# Requirements are complete lists: resolving them per layer would ship numpy three times.
TARGET = --no-deps --only-binary=:all: --implementation cp --python-version 3.12 \
  --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64
INSTALL = $(PIP) install $(TARGET) --no-compile --no-warn-conflicts --no-index --find-links "$(WHEELS)" \
  --target "$(SITE)" --requirement "$(LAYER)/requirements.txt"
# Below SITE, removed from every layer; a layer's Makefile adds its own.
TRIM = bin share

define wheels
rm -rf "$(SITE)" && mkdir -p "$(SITE)" "$(WHEELS)"
$(INSTALL) 2>/dev/null || { rm -rf "$(SITE)" && \
  $(PIP) download $(TARGET) --dest "$(WHEELS)" --requirement "$(LAYER)/requirements.txt" && $(INSTALL); }
cd "$(SITE)" && rm -rf $(TRIM)
find "$(SITE)" -depth -type d \( -name tests -o -name test -o -name include -o -name __pycache__ \) -exec rm -rf {} +
find "$(SITE)" -type f \( -name '*.py[ixd]' -o -name '*.pxi' -o -name '*.a' -o -name '*.[hc]' -o -name '*.[hc]pp' \) -delete
endef

# Lambda's archives carry no times, so bytecode that names its source's time is ignored there.
define bytecode
$(PYTHON) -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$(ARTIFACTS_DIR)" -p /opt "$(SITE)"
endef
