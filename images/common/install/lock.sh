#!/bin/sh
# Install a hashed lock into /opt/env so that the layer has the same bits every time. Runs at build time only.
. /run/common/install/env.sh
export UV_LINK_MODE=hardlink

# With the system's packages, of which there are none, come a user's own (PYTHONUSERBASE), which Python looks for last.
[ -d /opt/env ] || uv venv --system-site-packages --python /usr/bin/python3 /opt/env
uv pip sync --python /opt/env/bin/python --require-hashes --only-binary :all: \
  /run/requirements.lock

byte_compile /opt/env/lib
set_times /opt
