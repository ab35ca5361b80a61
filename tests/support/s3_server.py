"""A real server that speaks S3, on loopback, with faults where a test wants them."""

import html
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import requests
from attrs import define, field, frozen
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEY_ID = "AKIA0EXAMPLE"
SECRET = "s3cr3t-of-the-bucket"
BUCKET = "photos"


@frozen
class S3Request:
    """A signed request that the server received."""

    method: str
    path: str
    query: str

    @property
    def is_upload(self) -> bool:
        return self.method == "PUT" and self.path.count("/") > 1


Fault = Callable[[S3Request], int | None]
"""Returns the HTTP status of a fault, or `None` to let the server answer. It may block."""


@define
class S3Server:
    """A running S3 server with one bucket, and the signed requests it has received."""

    origin: str = ""
    received: list[S3Request] = field(factory=list)
    fault: Fault | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.origin,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def reset(self) -> None:
        self.fault = None
        requests.post(f"{self.origin}/moto-api/reset", timeout=30).raise_for_status()
        self.make_bucket(BUCKET)
        self.received.clear()

    def make_bucket(self, bucket: str) -> None:
        requests.put(f"{self.origin}/{bucket}", timeout=30).raise_for_status()

    def objects(self, bucket: str = BUCKET) -> dict[str, bytes]:
        """Everything in a bucket."""
        listed = requests.get(f"{self.origin}/{bucket}?list-type=2", timeout=30).text
        return {key: self.object(key, bucket).content for key in _keys(listed)}

    def object(self, key: str, bucket: str = BUCKET) -> requests.Response:
        url = f"{self.origin}/{bucket}/{quote(key)}"
        answer = requests.get(url, headers={"Authorization": "AWS the-test:itself"}, timeout=30)
        answer.raise_for_status()
        return answer

    def put(self, key: str, content: bytes) -> None:
        url = f"{self.origin}/{BUCKET}/{key}"
        requests.put(url, data=content, timeout=30).raise_for_status()

    def unfinished(self) -> list[str]:
        """Uploads in parts that were neither completed nor aborted."""
        return _keys(requests.get(f"{self.origin}/{BUCKET}?uploads", timeout=30).text)

    def uploads(self) -> list[S3Request]:
        """The requests that brought content."""
        return [request for request in self.received if request.is_upload]

    def answer(self, app: Any, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = S3Request(
            environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]
        )
        if "AWS4-HMAC-SHA256" in environ.get("HTTP_AUTHORIZATION", "") + request.query:
            self.received.append(request)
            status = None if self.fault is None else self.fault(request)
            if status is not None:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start_response(f"{status} Fault", [("Content-Type", "application/xml")])
                return [REFUSAL.encode()]
        answer: Iterable[bytes] = app(environ, start_response)
        return answer


REFUSAL = f"<Error><Code>AccessDenied</Code><AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId></Error>"
"""Real stores show the id of the key like this."""


def _keys(listed: str) -> list[str]:
    return [html.unescape(key) for key in re.findall("<Key>(.*?)</Key>", listed)]


@contextmanager
def running_s3() -> Iterator[S3Server]:
    """The server in a thread of this process."""
    s3 = S3Server()
    app = DomainDispatcherApplication(create_backend_app)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, lambda *request: s3.answer(app, *request), threaded=True)
    s3.origin = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield s3
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
