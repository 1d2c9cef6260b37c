"""The metrics of a service, for Prometheus."""

import prometheus_client

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class ServiceMetrics:
    """Counters and gauges of one service, separate from others in the same process.

    Args:
        pool: its `WorkerPool`.

    Example:

    >>> from keras_wsseg.serving.worker_pool import WorkerPool
    >>> metrics = ServiceMetrics(WorkerPool(1, 4))
    >>> metrics.add_image(pixels=480 * 640)
    >>> b"keras_wsseg_pixels_total 307200.0" in metrics.page()[0]
    True
    """

    def __init__(self, pool):
        self._registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._registry)
        prefix = {"namespace": "keras_wsseg", "registry": self._registry}
        counter, gauge = prometheus_client.Counter, prometheus_client.Gauge
        self._requests = counter("requests", "Requests answered", ("path", "status"), **prefix)
        self._seconds = prometheus_client.Histogram(
            "predict_seconds",
            "Seconds from the headers of a /predict to the end of its response",
            buckets=_SECONDS,
            **prefix,
        )
        self._images = counter("images", "Images segmented", **prefix)
        self._pixels = counter("pixels", "Pixels segmented", **prefix)
        self._refused = counter("refused_bytes", "Bytes of request bodies rejected for their size", **prefix)
        self._in_flight = gauge("in_flight", "Requests to /predict not yet answered", **prefix)
        waiting = gauge("queue_depth", "Images waiting for a worker", **prefix)
        waiting.set_function(lambda: pool.waiting)
        running = gauge("workers_busy", "Images being processed", **prefix)
        running.set_function(lambda: pool.running)
        self.in_flight = 0
        self.images = 0

    def begin(self):
        """Records a request to /predict."""
        self.in_flight += 1
        self._in_flight.set(self.in_flight)

    def end(self, seconds):
        """Records that it was answered or abandoned."""
        self.in_flight -= 1
        self._in_flight.set(self.in_flight)
        self._seconds.observe(seconds)

    def count_request(self, path, status):
        """Records an answered request."""
        self._requests.labels(path, status).inc()

    def add_image(self, pixels):
        """Records a segmented image."""
        self.images += 1
        self._images.inc()
        self._pixels.inc(pixels)

    def count_refused(self, count):
        """Records a request body of `count` bytes or more that was too large."""
        self._refused.inc(count)

    def page(self):
        """The text for Prometheus, and its media type."""
        return prometheus_client.generate_latest(self._registry), prometheus_client.CONTENT_TYPE_LATEST
