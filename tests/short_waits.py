"""The waits that the engine makes by itself, made short: between attempts at what fails, and between pages of a site.

How often something is tried, in which order and what is said meanwhile stay the same.
"""

from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from typing import Any

QUICK_S = 0.01
"""The first wait, in place of a quarter of a second or more."""
_WAITS: dict[str, dict[str, object]] = {
    "actors.loading_limits": {"FIRST_S": QUICK_S, "MOST_S": 0.1},
    "actors.document_reading": {"_AFTER_OTHERS_S": QUICK_S},
    "actors.embedding_retries": {"_QUICK_WAIT_S": QUICK_S},
    "actors.indexing": {"FIRST_WAIT_S": QUICK_S, "LONGEST_WAIT_S": 0.1},
    "components.sources.web.start_urls": {"_WAITS_S": (QUICK_S, QUICK_S)},
    "components.embedders.throttle": {"FIRST_S": QUICK_S, "MOST_S": 0.1},
}
_DEFAULTS: dict[str, dict[str, object]] = {
    "domain.policy:RetryPolicy": {"first_s": 0.001},
    "components.sources.web.limits:Limits": {"per_second": 100_000},
}
"""Those of a component or a job for which a test says nothing else."""


def wait_shortly(set_to: Callable[[Any, str, object], None] = setattr) -> None:
    """From now on, or until ``set_to`` undoes it. What a test sets by itself, longer or shorter, is as it says."""
    for name, waits in _WAITS.items():
        module = import_module(f"phaseflow.{name}")
        for constant, value in waits.items():
            assert hasattr(module, constant), f"{name} has no {constant} any more"
            set_to(module, constant, value)
    for path, values in _DEFAULTS.items():
        name, _, kind = path.partition(":")
        made = getattr(import_module(f"phaseflow.{name}"), kind)
        assert values.keys() <= {field.name for field in fields(made)}, f"{kind} has other fields now"
        set_to(made.__init__, "__defaults__", tuple(values.get(field.name, field.default) for field in fields(made)))
