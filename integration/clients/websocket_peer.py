"""A WebSocket server and client on websockets, for tests.

serve                 prints its port, then sends every message back until it is stopped
call URL [TIMEOUT]    sends five messages one after the other, waits for each to come back, closes, prints what came of it
"""

import asyncio
import json
import sys
import time

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve as serve_at

MESSAGES = 5


async def mirror(connection):
    async for message in connection:
        await connection.send(message)


async def serve():
    async with serve_at(mirror, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


async def call(url, timeout="5"):
    began, received, error = time.monotonic(), [], ""
    try:
        async with asyncio.timeout(float(timeout)):
            async with connect(url, proxy=None, compression=None, close_timeout=1) as connection:
                for number in range(MESSAGES):
                    await connection.send(f"message {number}")
                    received.append(await connection.recv())
    except Exception as failure:
        error = type(failure).__name__
        status = getattr(getattr(failure, "response", None), "status_code", None)
        error += f" {status}" if status else ""
    intact = received == [f"message {number}" for number in range(len(received))]
    print(json.dumps({
        "error": error,
        "messages": len(received),
        "intact": intact,
        "seconds": time.monotonic() - began,
    }))


if __name__ == "__main__":
    asyncio.run({"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:]))
