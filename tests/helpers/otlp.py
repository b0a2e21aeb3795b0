"""A receiver of OpenTelemetry's protocol on loopback, which parses what it is sent."""

import gzip
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """What was sent.

    Attributes:
        metrics: (name, attributes) -> the last value of each process, summed: of a counter its sum,
            of a histogram its count.
        spans: In the order of their ends.
        services: Names.
    """

    def __init__(self, url):
        self.url = url
        self.spans = []
        self.services = set()
        self._values = {}

    def take_metrics(self, body):
        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

        request = metrics_service_pb2.ExportMetricsServiceRequest.FromString(body)
        for resource in request.resource_metrics:
            process = self._read_resource(resource.resource)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    for point in getattr(metric, kind).data_points:
                        key = metric.name, frozenset(read_attributes(point.attributes).items())
                        value = point.count if kind == "histogram" else read_number(point)
                        self._values[process, key] = value

    def take_spans(self, body):
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

        request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            self._read_resource(resource.resource)
            for scope in resource.scope_spans:
                self.spans += scope.spans

    @property
    def metrics(self):
        sums = {}
        for (_, key), value in self._values.items():
            sums[key] = sums.get(key, 0) + value
        return sums

    def find(self, name, **attributes):
        """Return the sum of a metric's values with these attributes, whatever others are."""
        wanted = {(key.replace("__", "."), value) for key, value in attributes.items()}
        found = (
            value for (of, told), value in self.metrics.items() if of == name and wanted <= told
        )
        return sum(found)

    def _read_resource(self, resource):
        told = read_attributes(resource.attributes)
        self.services.add(told["service.name"])
        return told["service.instance.id"]


def read_attributes(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def read_number(point):
    return getattr(point, point.WhichOneof("value"))


@contextmanager
def receive_otlp():
    """Receive what is sent until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            takes = {"/v1/metrics": receiver.take_metrics, "/v1/traces": receiver.take_spans}
            takes[self.path](body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *about):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
