"""Open a pull request, or change the text of the one that is open: pull_request.py BRANCH BASE TITLE BODY-FILE

The forge is that of GITHUB_API_URL and GITHUB_REPOSITORY, with the token in TOKEN.
"""

import json
import os
import sys
import urllib.parse
import urllib.request
from pathlib import Path

LONGEST = 60_000  # characters of a text; the forge takes 65,536


def ask(method, path, data=None):
    request = urllib.request.Request(
        f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/{path}",
        method=method,
        data=json.dumps(data).encode() if data else None,
        headers={"Authorization": f"Bearer {os.environ['TOKEN']}", "Accept": "application/vnd.github+json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def main(branch, base, title, file):
    text = {"title": title, "body": Path(file).read_text(encoding="utf-8")[:LONGEST]}
    owner = os.environ["GITHUB_REPOSITORY"].partition("/")[0]
    query = urllib.parse.urlencode({"head": f"{owner}:{branch}", "state": "open"})
    there = ask("GET", f"pulls?{query}")
    if there:
        made = ask("PATCH", f"pulls/{there[0]['number']}", text)
    else:
        made = ask("POST", "pulls", {**text, "head": branch, "base": base})
    print(made["html_url"])


if __name__ == "__main__":
    main(*sys.argv[1:])
