"""Writes FILE as this action's one comment on a pull request: updates the comment if there is one, else makes it.

comment.py FILE; the environment has GITHUB_API_URL, GITHUB_REPOSITORY, GH_TOKEN and NUMBER. Nothing but the standard
library is needed. Exit codes: 0, the comment stands, or the token may not read or write comments (a pull request from a
fork; the report is in the job's summary); 2, an error, such as GitHub's rate limit.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

MARKER = "<!-- kms-patterns access -->"
"""First line of the comment. What a stranger writes with it is not taken for ours: our comments are those of a bot."""
LIMIT = 65_536
"""Characters of a comment that GitHub takes; the report keeps to fewer."""
_PAGE, _FORBIDDEN = 100, 403


def call(method: str, path: str, content: dict[str, str] | None = None) -> Any:
    """Return the JSON of one request to GitHub's API."""
    request = urllib.request.Request(  # noqa: S310 - the address is the runner's own setting
        f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/{path}",
        method=method,
        data=None if content is None else json.dumps(content).encode(),
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ['GH_TOKEN']}",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return json.load(response)


def ours(number: str) -> int | None:
    """Return the id of this action's comment, None if there is none yet."""
    page = 1
    while True:
        comments = call("GET", f"issues/{number}/comments?per_page={_PAGE}&page={page}")
        for comment in comments:
            if comment["user"]["type"] == "Bot" and comment["body"].startswith(MARKER):
                return int(comment["id"])
        if len(comments) < _PAGE:
            return None
        page += 1


def main(file: Path) -> str:
    """Write the comment, and return what was done."""
    body = f"{MARKER}\n{file.read_text(encoding='utf-8')}"
    if len(body) > LIMIT:
        raise ValueError(f"{file} and its marker have {len(body)} characters; a comment takes {LIMIT}")
    number = os.environ["NUMBER"]
    try:
        known = ours(number)
        if known is None:
            call("POST", f"issues/{number}/comments", {"body": body})
        else:
            call("PATCH", f"issues/comments/{known}", {"body": body})
    except urllib.error.HTTPError as error:
        # GitHub answers 403 to requests over a rate limit also: then the comment is still to be made.
        if error.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in error.headers:
            raise OSError(f"GitHub's rate limit is reached ({error}): run this job again later") from error
        if error.code != _FORBIDDEN:
            raise
        return "the token may not comment, as in a pull request from a fork: the report is in the job's summary"
    return "comment made" if known is None else "comment updated"


if __name__ == "__main__":
    try:
        print(main(Path(sys.argv[1])))
    except (OSError, ValueError, KeyError) as failed:
        print(f"the comment could not be written: {failed}", file=sys.stderr)
        sys.exit(2)
