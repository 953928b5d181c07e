"""The whole answer of an application to a request, for middleware that looks at it before it sends it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope


async def answer_of(app: ASGIApp, scope: Scope, receive: Receive) -> list[Message]:
    """All messages of an answer: its start, then the parts of its body."""
    answer: list[Message] = []

    async def collect(message: Message) -> None:
        answer.append(message)

    await app(scope, receive, collect)
    return answer


def body_of(answer: list[Message]) -> bytes:
    """The body of an answer."""
    return b"".join(message.get("body", b"") for message in answer[1:])
