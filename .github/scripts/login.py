"""Write docker's configuration with a login, as Assay reads it: REGISTRY (HOST/PATH), LOGIN_USER, LOGIN_TOKEN."""

import base64
import json
import os
from pathlib import Path

host = os.environ["REGISTRY"].partition("/")[0]
login = f"{os.environ['LOGIN_USER']}:{os.environ['LOGIN_TOKEN']}"
path = Path(os.environ["DOCKER_CONFIG"], "config.json")
path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
path.touch(mode=0o600)
path.write_text(json.dumps({"auths": {host: {"auth": base64.b64encode(login.encode()).decode()}}}), encoding="utf-8")
