"""What ``--workers``, PHASEFLOW_WORKERS and ``workers=`` may say."""

import re

import pytest

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.workers import RayCluster, parse_workers
from tests.matrices import together


@together(
    ("given", "chosen"),
    [
        (1, 1), ("1", 1), (" 8 ", 8), (1024, 1024), ("ray", RayCluster()), (" ray ", RayCluster()),
        ("ray://head:10001", RayCluster("ray://head:10001")), ("ray://10.0.0.5:1", RayCluster("ray://10.0.0.5:1")),
        ("ray://[::1]:65535", RayCluster("ray://[::1]:65535")),
    ],
)  # fmt: skip
def test_what_can_be_chosen(given: int | str, chosen: int | RayCluster) -> None:
    assert parse_workers(given) == chosen


@together(
    "given",
    [
        0, -1, 1025, "0", "", "1.5", "many", "RAY", "ray:", "ray://", "ray://head", "ray://head:0", "ray://head:65536",
        "ray://head:10001/x", "ray://user@head:10001", "ray://a b:1", "rays", "99999999999", True, "dask://head:1", "²",
    ],
)  # fmt: skip
def test_anything_else_is_refused_by_name(given: int | str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape("--workers")):
        parse_workers(given, "--workers")
