"""Untrusted text made fit for a terminal: names, reasons and summaries come from strangers."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?<=://)[^/\s?#]*@")


def plain(text: str) -> str:
    """Return *text* without credentials in URLs, and with what a terminal may act upon written as escapes."""
    return printable(redacted(text))


def redacted(text: str) -> str:
    """Return *text* with user and password taken out of every URL in it."""
    return _USERINFO.sub("", text) if "@" in text else text


def printable(text: str) -> str:
    """Return *text* with control characters, line ends, surrogates and direction overrides written as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")
