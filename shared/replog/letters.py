"""What a dead letter says of itself (docs/events.md): the names of the headers behind its own."""

from __future__ import annotations

#: What is wrong with the event, and where it came from.
ERROR, TOPIC, PARTITION, OFFSET = "replog.error", "replog.topic", "replog.partition", "replog.offset"
#: And where the dead-letter topic takes no message of this size: the bytes of the whole value, of which only the
#: first :data:`KEPT_BYTES` were kept.
VALUE_BYTES = "replog.value_bytes"
KEPT_BYTES = 512 * 1024
