"""A client of a running ``phaseflow serve``: the verbs, the lists, and the live feed that misses nothing.

```python
async with Client("http://127.0.0.1:8000") as service:
    await service.start("waf", FolderSource("docs"))
    async for status in service.watch("waf"):
        print(status.phase, status.progress)
```
"""

from phaseflow.client.client import Client
from phaseflow.client.errors import HistoryLost, ServiceError, ServiceUnreachable

__all__ = ["Client", "HistoryLost", "ServiceError", "ServiceUnreachable"]
