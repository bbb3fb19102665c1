"""A server that speaks S3, with one empty bucket, until its input ends: python bucket.py [--unconditional]

It is moto, on a free port of 127.0.0.1, whose address is printed. With --unconditional it does not look at the
conditions of a put, as some servers do not.
"""

import os
import sys
import threading

for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
    os.environ.setdefault(name, "me")

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.test import Client

# By this moto tells that a request is one for S3.
SIGNED = "AWS4-HMAC-SHA256 Credential=me/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none"

moto = DomainDispatcherApplication(create_backend_app)
one_at_a_time = threading.Lock()
unconditional = "--unconditional" in sys.argv[1:]


def bucket(environ, start_response):
    if unconditional and environ["REQUEST_METHOD"] == "PUT":
        environ.pop("HTTP_IF_MATCH", None)
        environ.pop("HTTP_IF_NONE_MATCH", None)
    # It looks at a condition first and stores then: two requests at once would both find it fulfilled.
    with one_at_a_time:
        return list(moto(environ, start_response))


def main():
    Client(moto).put("/bucket", headers={"Host": "127.0.0.1", "Authorization": SIGNED})
    server = make_server("127.0.0.1", 0, bucket, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


main()
