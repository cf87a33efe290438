#!/bin/sh
# Install a hashed lock into /opt/env so that the layer has the same bits every time. Runs at build time only.
#   lock.sh                 all of it, on top of what is there
#   lock.sh --only NAME...  these alone, for a layer of their own
. /run/common/install/env.sh
export UV_LINK_MODE=hardlink

# With the system's packages, of which there are none, come a user's own (PYTHONUSERBASE), which Python looks for last.
[ -d /opt/env ] || uv venv --system-site-packages --python /usr/bin/python3 /opt/env
if [ "${1:-}" = --only ]; then
  shift
  python3 /run/common/install/split_lock.py /run/requirements.lock /run/split "$@"
  uv pip install --python /opt/env/bin/python --require-hashes --only-binary :all: --no-deps \
    --requirements /run/split/named.lock
else
  uv pip sync --python /opt/env/bin/python --require-hashes --only-binary :all: \
    /run/requirements.lock
fi

byte_compile /opt/env/lib
set_times /opt
