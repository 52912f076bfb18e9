"""A client of a running ``phaseflow serve``: the verbs, the lists, and the live feed that misses nothing.

```python
async with Client("http://127.0.0.1:8000") as service:
    await service.start("waf", FolderSource("docs"))
    async for status in service.watch("waf"):
        print(status.phase, status.progress)
```

``SyncClient`` is the same without ``async`` and ``await``. ``tracker`` of both reports the phases of a pipeline of your
own.
"""

from phaseflow.client.clients import Client, SyncClient
from phaseflow.client.errors import ForeignAnswer, HistoryLost, ServiceError, ServiceUnreachable

__all__ = ["Client", "ForeignAnswer", "HistoryLost", "ServiceError", "ServiceUnreachable", "SyncClient"]
