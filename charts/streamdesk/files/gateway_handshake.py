"""`helm test`: the gateway accepts a client with a token and, if required, refuses one without."""

import asyncio
import json
import os
import sys
import time

import jwt
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

NO_TOKEN = 4500  # the gateway's close code
TOKEN_SECONDS = 60


async def greeting(url: str, headers: dict[str, str]) -> str:
    """`hello` from the gateway, or the code with which it closes."""
    async with connect(url, additional_headers=headers) as socket:
        try:
            while json.loads(await socket.recv())["type"] != "hello":
                pass  # before it closes, it sends the reason
        except ConnectionClosed:
            return str(socket.close_code)
        return "hello"


async def main() -> None:
    """Connect with a token, and without one."""
    url = os.environ["GATEWAY_URL"]
    secret = os.environ.get("GATEWAY_JWT_SECRET", "")
    headers = {}
    if secret:
        claims = {"sub": "helm-test", "exp": int(time.time()) + TOKEN_SECONDS}
        headers["Authorization"] = f"Bearer {jwt.encode(claims, secret, algorithm='HS256')}"
    first = await greeting(url, headers)
    sys.stdout.write(f"{url} answers {first}\n")
    if first != "hello":
        sys.exit(f"expected hello from the gateway, got {first}")
    stranger = await greeting(url, {})
    if secret and stranger != str(NO_TOKEN):
        sys.exit(f"expected close code {NO_TOKEN} without a token, got {stranger}")


if __name__ == "__main__":
    asyncio.run(main())
