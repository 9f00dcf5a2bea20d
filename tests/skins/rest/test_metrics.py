"""The page that Prometheus reads."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from served import Served

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.req("S3-107")
async def test_the_metrics_are_those_of_the_database(server: Served) -> None:
    await server.request("GET", "/api/v1/projects")
    answer = await server.request("GET", "/metrics")
    assert answer.status == 200
    assert answer.content_type == "text/plain"
    families = {item.name: item for item in text_string_to_metric_families(await answer.text())}
    sizes = {
        sample.labels["pool"]: sample.value for sample in families["autovibe_db_pool_size"].samples
    }
    assert sizes == {"read": 8, "write": 1}
    counts = [
        sample.value
        for sample in families["autovibe_db_query_seconds"].samples
        if sample.name.endswith("_count") and sample.labels["verb"] == "select"
    ]
    assert counts[0] >= 1


async def test_the_metrics_need_a_token(server: Served) -> None:
    answer = await server.request("GET", "/metrics", headers={"authorization": None})
    assert answer.status == 401
