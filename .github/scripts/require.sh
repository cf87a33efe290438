#!/usr/bin/env bash
# Fail, with what to do, unless each of the variables is set: require.sh NAME...
set -euo pipefail
for name; do
  if [ -z "${!name:-}" ]; then
    echo "error: the secret $name is not set, and nothing is published unsigned" >&2
    echo "  Make a key with \`assay keygen\`; put the .key file and its password into the repository's secrets." >&2
    exit 2
  fi
done
