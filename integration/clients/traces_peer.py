"""A collector of traces, and services that trace themselves with OpenTelemetry's SDK for Python, for tests.

serve [CERT KEY]             prints its port; takes OTLP over HTTP, and over gRPC at the port that GET /grpc says; gives what
                             it got as JSON at GET /spans
service COLLECTOR            prints its port; an HTTP service that exports a server span of each request
call COLLECTOR URL FORMAT    requests URL once, with the context as `tracecontext`, `b3` or `b3multi`, and exports a client span
grpc-service COLLECTOR       the same for gRPC: method squall.test.Echo/Unary
grpc-call COLLECTOR TARGET
"""

import json
import ssl
import sys
import threading
import wsgiref.simple_server
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc

METHOD = "/squall.test.Echo/Unary"


def serve(cert=None, key=None):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
        TraceServiceServicer,
        add_TraceServiceServicer_to_server,
    )
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    spans, lock = [], threading.Lock()

    def value(any_value):
        kind = any_value.WhichOneof("value")
        return getattr(any_value, kind) if kind in ("string_value", "bool_value", "int_value", "double_value") else kind

    def named(attributes):
        return {attribute.key: value(attribute.value) for attribute in attributes}

    def read(request, headers):
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    yield {
                        "resource": named(resource.resource.attributes),
                        "scope": scope.scope.name,
                        "trace": span.trace_id.hex(),
                        "span": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(),
                        "kind": Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                        "name": span.name,
                        "start": span.start_time_unix_nano,
                        "seconds": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                        "attributes": named(span.attributes),
                        "events": [
                            {"name": event.name, "time": event.time_unix_nano, "attributes": named(event.attributes)}
                            for event in span.events
                        ],
                        "status": span.status.code,
                        "headers": headers,
                    }

    class GrpcCollector(TraceServiceServicer):
        def Export(self, request, context):
            with lock:
                spans.extend(read(request, dict(context.invocation_metadata())))
            return ExportTraceServiceResponse()

    grpc_server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    add_TraceServiceServicer_to_server(GrpcCollector(), grpc_server)
    grpc_port = grpc_server.add_insecure_port("127.0.0.1:0")
    grpc_server.start()

    class Collector(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status, kind, body):
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path != "/v1/traces" or self.headers["content-type"] != "application/x-protobuf":
                return self.answer(415, "text/plain", b"only protobuf at /v1/traces")
            request = ExportTraceServiceRequest.FromString(body)
            with lock:
                spans.extend(read(request, {name.lower(): text for name, text in self.headers.items()}))
            self.answer(200, "application/x-protobuf", ExportTraceServiceResponse().SerializeToString())

        def do_GET(self):
            with lock:
                body = json.dumps(grpc_port if self.path == "/grpc" else spans).encode()
            self.answer(200, "application/json", body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    server.serve_forever()


def trace(collector, service, form="tracecontext"):
    """Exports each span at once; `form` is how the context travels."""
    from opentelemetry import propagate
    from opentelemetry import trace as api
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"http://{collector}/v1/traces")))
    api.set_tracer_provider(provider)
    forms = {"tracecontext": TraceContextTextMapPropagator, "b3": B3SingleFormat, "b3multi": B3MultiFormat}
    propagate.set_global_textmap(forms[form]())
    return provider


def service(collector, form="tracecontext"):
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    trace(collector, "service-b", form)

    def application(environ, start_response):
        fields = {name: text for name, text in environ.items() if name.startswith("HTTP_")}
        start_response("200 OK", [("content-type", "application/json")])
        return [json.dumps(fields).encode()]

    class Quiet(wsgiref.simple_server.WSGIRequestHandler):
        def log_message(self, *_):
            pass

    server = wsgiref.simple_server.make_server("127.0.0.1", 0, OpenTelemetryMiddleware(application), handler_class=Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()


def call(collector, url, form):
    import requests
    from opentelemetry.instrumentation.requests import RequestsInstrumentor

    provider = trace(collector, "service-a", form)
    RequestsInstrumentor().instrument()
    try:
        answer = requests.get(url, headers={"tracestate": "vendor=1"} if form == "tracecontext" else {}, timeout=10)
        report = {"code": str(answer.status_code), "text": answer.text}
    except requests.RequestException as error:
        report = {"code": type(error).__name__, "text": str(error)}
    provider.shutdown()
    print(json.dumps(report))


def grpc_service(collector):
    from opentelemetry.instrumentation.grpc import server_interceptor

    trace(collector, "service-b")

    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda message, context: message)

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2), interceptors=[server_interceptor()])
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def grpc_call(collector, target):
    from opentelemetry.instrumentation.grpc import client_interceptor
    from opentelemetry.instrumentation.grpc.grpcext import intercept_channel

    provider = trace(collector, "service-a")
    with intercept_channel(grpc.insecure_channel(target), client_interceptor()) as channel:
        try:
            answer = channel.unary_unary(METHOD)(b"hello", timeout=5)
            report = {"code": "OK", "text": answer.decode()}
        except grpc.RpcError as error:
            report = {"code": error.code().name, "text": error.details()}
    provider.shutdown()
    print(json.dumps(report))


if __name__ == "__main__":
    verbs = {"serve": serve, "service": service, "call": call, "grpc-service": grpc_service, "grpc-call": grpc_call}
    verbs[sys.argv[1]](*sys.argv[2:])
