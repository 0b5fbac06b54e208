"""Text as people read it: HTML tags and entities that a shop's export left in its titles are taken out.

The one rule for text, whether it comes from raw files, from files of one's own or from a data set that is stored.
Another rule is another version of every conversion in ``sources.toml``.
"""

from __future__ import annotations

import html
import re

# Elements of HTML that occur in product text. Any other word in angle brackets, as in the title "<Untitled>", is text.
_ELEMENTS = (
    "a|abbr|address|article|aside|b|big|blockquote|body|br|button|caption|center|cite|code|col|dd|del|div|dl|dt|em|"
    "embed|fieldset|figcaption|figure|font|footer|form|h1|h2|h3|h4|h5|h6|head|header|hr|html|i|iframe|img|input|ins|"
    "kbd|label|legend|li|link|main|map|mark|menu|meta|nav|noscript|object|ol|option|p|param|picture|pre|q|s|samp|"
    "section|select|small|source|span|strike|strong|style|sub|sup|svg|table|tbody|td|textarea|tfoot|th|thead|title|"
    "tr|tt|u|ul|var|video"
)
_TAG = re.compile(rf"</?(?:{_ELEMENTS})(?:\s[^<>]*)?/?>|<!--.*?-->|<!doctype[^>]*>", re.IGNORECASE | re.DOTALL)
_HIDDEN = re.compile(r"<(script|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TWICE = re.compile(r"&amp;(?:#?\w+;)", re.IGNORECASE)
_INLINE = re.compile(r"</?(?:a|abbr|b|big|cite|code|em|font|i|mark|s|small|span|strong|sub|sup|tt|u)\b", re.IGNORECASE)
# Only entities that end in a semicolon: HTML also knows "&copy" without, and would find one in "R&copyright".
_ENTITY = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")
_WRITTEN_OUT = re.compile(r"\\[nrt]")  # a line break or tab as two characters
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff]")
_SUSPECT = re.compile(r"[<&\\\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff]")  # most texts have none of these
_ESCAPED_AT_MOST = 4  # times


def is_marked_up(text: str) -> bool:
    """Whether a text holds a tag or an entity that was escaped twice. One entity alone is an ordinary spelling."""
    if "<" not in text and "&" not in text:
        return False
    return bool(_TWICE.search(text)) or _has_tag(text) or _has_tag(unescaped(text))


def plain(text: str) -> str:
    """Without tags, entities, control characters and line breaks that are written out, in one line; what is clean
    already comes back as it is but for white space.
    """
    if _SUSPECT.search(text):
        text = _without_tags(unescaped(_without_tags(_WRITTEN_OUT.sub(" ", text))))
        text = _CONTROL.sub(" ", text)
    return " ".join(text.split())


def unescaped(text: str) -> str:
    """Entities undone as often as they were made: ``&amp;amp;`` is one sign."""
    for _ in range(_ESCAPED_AT_MOST):
        before, text = text, _ENTITY.sub(lambda found: html.unescape(found[0]), text)
        if text == before:
            break
    return text


def _has_tag(text: str) -> bool:
    return bool(_TAG.search(text) or _HIDDEN.search(text))


def _without_tags(text: str) -> str:
    """A tag within a line leaves nothing; one that begins a block leaves a space, for it parts words."""
    text = _HIDDEN.sub(" ", text)
    return _TAG.sub(lambda tag: "" if _INLINE.match(tag[0]) else " ", text)
