"""/phones/status/stream: the status of phones as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from pydantic import Field

from ztp_server.api.answers import EVENTS, encoded
from ztp_server.api.operation import Call, Raw, Routes
from ztp_server.api.shapes import Query
from ztp_server.services.status_changes import News

routes = Routes("phone status", "Whether phones came up with their configuration and are registered, as it changes.")

# After how long a browser that was hung up on comes back, in milliseconds.
_RETRY = b"retry: 1000\n\n"


class StreamQuery(Query):
    after: str = Field("", max_length=128, description="The `id` of the last event seen, as `Last-Event-ID` says it.")


@routes.get("/phones/status/stream", answer=EVENTS, permission="phones:view", refusals=(429,))
async def follow_phone_status(call: Call, query: StreamQuery) -> Any:
    """Follow the status of phones.

    Server-sent events (`text/event-stream`), of the phones at the sites one may see, each with an `id`. `ready`: from
    here on changes are told; whoever has no list yet reads it now. `phones`: a JSON array of `id`, `hardware_id`,
    `name`, `site` and `status` (as in a list) of phones whose status may be another. `refresh`: too much changed to be
    told, its `reason` says what; read the list anew. A comment every 15 seconds shows that the connection is alive. A
    stream ends after five minutes, and when its reader is too slow: browsers come back by themselves with
    `Last-Event-ID`, and are told what they missed."""
    following = await call.services.status_feed.follow(call.who, call.last_event or query.after)
    return Raw(_events(following), EVENTS)


async def _events(following: AsyncGenerator[News | None, None]) -> AsyncIterator[bytes]:
    try:
        yield _RETRY
        async for news in following:
            yield _written(news) if news else b": nothing new\n\n"
    finally:
        await following.aclose()


def _written(news: News) -> bytes:
    kind: str = "ready"
    value: Any = {}
    if news.refresh:
        kind, value = "refresh", {"reason": news.refresh}
    elif news.phones:
        kind, value = "phones", news.phones
    # JSON has no line breaks of its own but as \n, so that it is one line of an event.
    return b"event: %s\nid: %s\ndata: %s\n\n" % (kind.encode(), str(news.position).encode(), encoded(value))
