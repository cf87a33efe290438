#!/bin/sh
# Install the wheels that an earlier stage built (/run/wheels) into /opt/env, on top of the lock, which has all that
# they need; the same bits every time. The arguments are their Python packages. Runs at build time only.
. /run/common/install/env.sh
export UV_LINK_MODE=copy
: "${1:?}"

uv pip install --python /opt/env/bin/python --offline --no-index --no-deps /run/wheels/*.whl

for package; do
  byte_compile /opt/env/lib/python3*/site-packages/"$package"
done
set_times /opt
