"""The policy file: found, read and shown; `linting` and `writing` are for the verbs that need them."""

from .files import PolicyFile, PolicyFiles, file_to_write, find_policy_files, open_site
from .layers import tighten_fail_on
from .reading import load_policy, load_table
from .showing import show_policy
from .waiving import parse_expires

__all__ = [
    "PolicyFile",
    "PolicyFiles",
    "file_to_write",
    "find_policy_files",
    "load_policy",
    "load_table",
    "open_site",
    "parse_expires",
    "show_policy",
    "tighten_fail_on",
]
