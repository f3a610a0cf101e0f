"""Write envelope.mjs into examples/clients/encrypt.html: a page that is opened as a file may import no module."""

import base64
import hashlib
import re
from pathlib import Path

CLIENTS = Path(__file__).parents[1] / "examples" / "clients"
PAGE = CLIENTS / "encrypt.html"
_MODULE = re.compile(
    r"(?<=// envelope\.mjs, as written by docs/write_client_page\.py\n).*?(?=// The page\n)", re.DOTALL
)
_SCRIPT = re.compile(r"<script type=\"module\">(.*?)</script>", re.DOTALL)
_HASH = re.compile(r"(?<=script-src 'sha256-)[^']*")


def written() -> str:
    """Return the page with the module as it is now, and the hash of its script in its Content-Security-Policy."""
    module = (CLIENTS / "envelope.mjs").read_text(encoding="utf-8").replace("export async", "async")
    page = _MODULE.sub(lambda _: module, PAGE.read_text(encoding="utf-8"))
    [script] = _SCRIPT.findall(page)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _HASH.sub(lambda _: digest, page)


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
