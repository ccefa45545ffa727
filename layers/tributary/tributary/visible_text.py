"""Text in which no character hides or moves another one, for messages and logs.

Names come from sources, where many people may create tables. A name with a newline could forge a line of a
message, and one with bidirectional marks could show another name.
"""

from __future__ import annotations

import re

# Control characters, line and paragraph separators, and format characters: zero width, bidirectional, tags.
HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""Return the text with each hidden character written as its escape: `\n`, `\u202e`."""
    return HIDDEN.sub(_escape, text)


def shortened(text: str, most: int = 100) -> str:
    """Return the visible text, of at most that many characters of the original."""
    return visible(text[:most]) + ("..." if len(text) > most else "")


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
