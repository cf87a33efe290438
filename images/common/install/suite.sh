#!/bin/sh
# Put the smoke suite, its plan and the entrypoint into /opt/assay, the same bits every time. Runs at build time only.
. /run/common/install/env.sh
: "${PLAN:?}"

install --directory /opt/assay/bin
install --mode=755 /run/common/bin/* /opt/assay/bin
printf '%s\n' "$PLAN" > /opt/assay/plan.json

# Of the suite, what an image of this framework carries: no other framework's file. What runs is the source: byte code
# that lies in the checkout is nobody's to read (-X pycache_prefix), and no digest covers it.
carried=$(PYTHONPATH=/run /opt/env/bin/python -B -S -X pycache_prefix=/nowhere -m smoke.suite /opt/assay/plan.json)
for name in $carried; do
  install -D --mode=644 "/run/smoke/$name" "/opt/assay/smoke/$name"
done
find /opt/assay/smoke -type d -exec chmod 755 {} +

# Packages of ours that the plan names ([beside] of image.toml): unpacked wheels, with a RECORD as all others have.
site=$(/opt/env/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
for wheel in /run/common/beside/*; do
  case $PLAN in *"\"${wheel##*/}\":"*) ;; *) continue ;; esac
  (cd "$wheel" && find . -name __pycache__ -prune -o -type f -print) | while read -r name; do
    install -D --mode=644 "$wheel/$name" "$site/$name"
  done
  for part in "$wheel"/*; do
    byte_compile "$site/${part##*/}"
  done
done

byte_compile /opt/assay/smoke

# pip and uv keep what is certified at its version; a package's own build may use another.
/opt/env/bin/python -S -c 'import json
for name, version in json.load(open("/opt/assay/plan.json"))["packages"].items():
    print(f"{name}=={version}")' > /opt/assay/constraints.txt
printf '[install]\nconstraint = /opt/assay/constraints.txt\nuse-feature = build-constraint\n' > /opt/env/pip.conf
# Names what is installed, for the packages that a user adds to it.
sha256sum /opt/assay/constraints.txt | cut -c 1-16 > /opt/assay/environment

# Seconds here, so that preflight need not take them: which GPUs the framework has code for.
PYTHONPATH=/opt/assay PYTHONDONTWRITEBYTECODE=1 /opt/env/bin/python -m smoke.installed.coverage /opt/env \
  > /opt/assay/coverage.json

set_times /opt /home
