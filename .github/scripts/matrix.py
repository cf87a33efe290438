"""Print the framework images as a JSON list, for the matrix of a job: assay images --json | python3 matrix.py"""

import json
import sys

print(json.dumps([image["name"] for image in json.load(sys.stdin) if image["framework"]]))
