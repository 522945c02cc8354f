"""Texts that would do something, or break something, if they were taken for more than texts."""

from __future__ import annotations

__all__ = ["HOSTILE"]

HOSTILE = [
    "<script>document.title='owned'</script>",
    "</pre></details><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "]]><svg onload=alert(1)>",
    "<!-- --!> <style>*{display:none}</style>",
    "javascript:alert(1)",
    "{{ 7 * 7 }} {% for %}",
    "nul \x00 and half a pair \ud800 and \uffff",
    "to the left \u202etxt.exe",
    "\u2066\u2067 never closed",
    "&lt;b&gt; &amp;amp;",
    "Z" + "\u0336" * 300 + "algo",
    "x" * 4000,
    "\r\n\r\n\t",
    "</title></style></svg></table>",
]
