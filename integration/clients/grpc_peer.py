"""A gRPC server and client on grpcio, for tests. Messages are plain bytes, so that no generated code is needed.

serve                                 prints its port, then serves Echo until it is stopped
call TARGET METHOD [TIMEOUT] [SIZE]   calls Unary, Stream (five messages) or Upload once and prints what came of it
"""

import json
import sys
import time
from concurrent import futures

import grpc

SERVICE = "squall.test.Echo"
MESSAGES = 5


def identity(message):
    return message


class Echo(grpc.GenericRpcHandler):
    def __init__(self):
        self.calls = 0

    def service(self, details):
        kinds = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Stream": grpc.unary_stream_rpc_method_handler(self.stream),
            "Upload": grpc.stream_unary_rpc_method_handler(self.upload),
            "Calls": grpc.unary_unary_rpc_method_handler(lambda request, context: str(self.calls).encode()),
        }
        return kinds.get(details.method.rsplit("/", 1)[-1])

    def unary(self, request, context):
        self.calls += 1
        return request

    def stream(self, request, context):
        self.calls += 1
        for _ in range(MESSAGES):
            yield request

    def upload(self, requests, context):
        self.calls += 1
        return b"".join(requests)


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def call(target, method, timeout="5", size="100"):
    message, received = b"x" * int(size), []
    began, code, details = time.monotonic(), "OK", ""
    # Retries would hide what is injected.
    with grpc.insecure_channel(target, options=[("grpc.enable_retries", 0)]) as channel:
        path = f"/{SERVICE}/{method}"
        try:
            if method == "Stream":
                for answer in channel.unary_stream(path)(message, timeout=float(timeout)):
                    received.append(answer)
            elif method == "Upload":
                received.append(channel.stream_unary(path)(iter([message] * MESSAGES), timeout=float(timeout)))
            else:
                received.append(channel.unary_unary(path)(message, timeout=float(timeout)))
        except grpc.RpcError as error:
            code, details = error.code().name, error.details()
    report = {
        "code": code,
        "details": details,
        "messages": len(received),
        "intact": all(answer.strip(b"x") == b"" for answer in received),
        "text": received[0].decode(errors="replace")[:100] if received else "",
        "seconds": time.monotonic() - began,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:])
