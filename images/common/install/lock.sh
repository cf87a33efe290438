#!/bin/sh
# Install a hashed lock into /opt/env so that the layer has the same bits every time. Runs at build time only.
. /run/common/install/env.sh

[ -d /opt/env ] || /run/uv/uv venv --python /usr/bin/python3 /opt/env
UV_LINK_MODE=hardlink /run/uv/uv pip sync --python /opt/env/bin/python --require-hashes --only-binary :all: \
  /run/requirements.lock

byte_compile /opt/env/lib
set_times /opt
