"""An object store on this machine: moto's server, which speaks S3, on a free port of the loopback."""

import logging
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

BUCKET = "bucket"


def no_credentials(patch: pytest.MonkeyPatch) -> None:
    """No credentials and no settings of a store, whatever this machine has; connections made so far are forgotten."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        patch.delenv(name)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("AWS_CONFIG_FILE", os.devnull)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    patch.setenv("NO_PROXY", "127.0.0.1")
    forget_connections()


def credentials(patch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Credentials, of which moto takes any, for the store at `endpoint`."""
    no_credentials(patch)
    patch.setenv("AWS_ACCESS_KEY_ID", "key")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_ENDPOINT_URL", endpoint)


def forget_connections() -> None:
    """Connections hold the credentials they were made with."""
    import gc

    from creativity_lens.storage import remote

    if remote._connected.cache_info().currsize:
        remote._connected.cache_clear()
        gc.collect()  # s3fs closes its sockets when it is collected


@contextmanager
def object_store(*, buckets: tuple[str, ...] = (BUCKET,)) -> Iterator[str]:
    """A running S3 store with these buckets and the credentials for it in the environment; its endpoint's URL.

    >>> with object_store() as endpoint:                    # doctest: +SKIP
    ...     open_storage("s3://bucket/runs/mine").write("a", b"1")
    """
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it writes a line for each request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    try:
        with pytest.MonkeyPatch.context() as patch:
            credentials(patch, endpoint)
            from creativity_lens.storage import remote

            urllib.request.urlopen(
                f"{endpoint}/moto-api/reset", data=b"", timeout=30
            ).close()  # all servers share one state
            for bucket in buckets:
                system = remote._connected(f"s3://{bucket}", "s3", os.getpid())
                system.mkdir(bucket)
            yield endpoint
            forget_connections()
    finally:
        server.stop()
        server._server.server_close()
