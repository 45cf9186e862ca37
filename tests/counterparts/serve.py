"""Runs one AWS stand-in on a loopback port of the system's choice, as a test's child.

    serve.py moto | ministack

`moto` checks signatures and trust but neither session policies nor expiry: it is good for plumbing only. `ministack`
(with AUTH=true) enforces both. Prints one JSON line when it listens: {"endpoint", ...}. Ends when its standard input
ends: it never outlives the test that started it.
"""

import asyncio
import json
import os
import socket
import sys
import tempfile
import threading
from pathlib import Path

ROOT_KEY, ROOT_SECRET = "ROOTKEY", "rootsecret"


def announce(endpoint: str, **more: str) -> None:
    print(json.dumps({"endpoint": endpoint, **more}), flush=True)


def end_with_standard_input() -> None:
    def wait() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        # The servers' threads and loops would take seconds to agree to stop.
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def moto() -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    announce(f"http://127.0.0.1:{server.server_port}", access_key_id="testing", secret_access_key="testing")
    server.serve_forever()


def ministack(folder: str) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    port = listener.getsockname()[1]
    # Read by ministack when it is imported. Its own command would bind every interface.
    os.environ.update(
        AUTH="true",
        AWS_ACCESS_KEY_ID=ROOT_KEY,
        AWS_SECRET_ACCESS_KEY=ROOT_SECRET,
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(port),
        # Two more listeners, on every interface, that no test needs.
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        LOG_LEVEL="WARNING",
        SERVICES="s3,sts,iam,kms",
        S3_DATA_DIR=str(Path(folder, "s3")),
        STATE_DIR=str(Path(folder, "state")),
    )
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app

    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.accesslog = None
    announce(f"http://127.0.0.1:{port}", access_key_id=ROOT_KEY, secret_access_key=ROOT_SECRET)
    asyncio.run(serve(app, config, mode="asgi"))


def main() -> None:
    end_with_standard_input()
    match sys.argv[1:]:
        case ["moto"]:
            moto()
        case ["ministack"]:
            with tempfile.TemporaryDirectory() as folder:
                ministack(folder)
        case _:
            sys.exit(__doc__)


main()
