"""Reporters: a verdict as text for people, or as data for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..model import Reporter, Run
from .json import json_report
from .text import text_report

REPORTERS: Mapping[str, Callable[[Run], Reporter]] = {"text": text_report, "json": json_report}
"""The formats of `--format`, each with the function that makes its reporter for a run."""

__all__ = ["REPORTERS", "json_report", "text_report"]
