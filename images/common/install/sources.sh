#!/bin/sh
# Build what comes as source and install it into /opt/env, the same bits every time. Runs at build time only.
# Its build tools are there already, from the same lock; /run/sources.lock has the hash of each sdist.
. /run/common/install/env.sh

export PYTHONHASHSEED=0
uv pip install --python /opt/env/bin/python --require-hashes --no-deps --no-build-isolation \
  --no-binary :all: --requirements /run/sources.lock

# The folders of packages that are newer than anything that was there before.
find /opt/env/lib/python3*/site-packages -mindepth 1 -maxdepth 1 -type d -newermt "@$SOURCE_DATE_EPOCH" |
  sort | while read -r folder; do byte_compile "$folder"; done
set_times /opt
