"""Fail unless an image was built with a digest: assay images --json | python3 digest.py IMAGE sha256:…"""

import json
import sys

name, wanted = sys.argv[1:]
built = {image["name"]: image["digest"] for image in json.load(sys.stdin)}
if built.get(name) != wanted:
    print(f"error: {name} came out as {built.get(name)}, and {wanted} is published", file=sys.stderr)
    print("  Run this at the commit that the image was published from: its provenance names it.", file=sys.stderr)
    sys.exit(5)
