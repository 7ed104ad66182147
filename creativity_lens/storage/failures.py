"""What went wrong at a store, as one line: the packages of the stores each raise errors of their own.

They are known by the names of their classes, so that none of the packages is imported to look.
"""

import errno

from creativity_lens.errors import InputError

_NO_CREDENTIALS = {
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound", "NoAuthTokenError",
    "TokenRetrievalError", "SSOError", "UnauthorizedSSOTokenError", "ConfigParseError", "GoogleAuthError",
    "ClientAuthenticationError",
}  # fmt: skip
_UNREACHABLE = {
    "ConnectionError", "HTTPClientError", "TimeoutError", "ClientConnectionError", "ClientPayloadError", "gaierror",
    "IncompleteRead", "ServiceRequestError", "ServiceResponseError", "ProxyError", "ResponseParserError", "FileExpired",
}  # fmt: skip
_BUSY_CODES = {
    "SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted",
    "ConditionalRequestConflict", "Throttling", "408", "409", "429", "500", "502", "503", "504",
}  # fmt: skip
_ASKED_FOR = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "az": "set AZURE_STORAGE_CONNECTION_STRING",
}
_SAME_STORE = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "adl": "az"}
_ENDPOINT = {"s3": ", and AWS_ENDPOINT_URL where the store is not Amazon's"}


def store_of(scheme: str) -> str:
    """One name for the schemes of one store: "s3a" is "s3"."""
    return _SAME_STORE.get(scheme, scheme)


def passes(error: Exception) -> bool:
    """Whether the same may work a moment later: a connection that broke, a store that is busy."""
    if _names(error) & _NO_CREDENTIALS or isinstance(error, FileNotFoundError | FileExistsError | PermissionError):
        return False
    return bool(_names(error) & _UNREACHABLE) or _code(error) in _BUSY_CODES or _number(error) == errno.EBUSY


def is_taken(error: Exception) -> bool:
    """Whether a file was not made because there is one of that name. Older packages give the bare code."""
    return isinstance(error, FileExistsError) or _code(error) in ("PreconditionFailed", "412")


def is_unsupported(error: Exception) -> bool:
    """Whether the store or its package does not know what it was asked for."""
    unknown = isinstance(error, NotImplementedError | TypeError) or _number(error) == errno.ENOSYS
    return unknown or _code(error) == "NotImplemented"


def is_missing_bucket(error: Exception) -> bool:
    """Whether a file is missing because its bucket is."""
    return "NoSuchBucket" in _names(error) | _names(error.__cause__) or _code(error) == "NoSuchBucket"


def no_bucket(place: str, scheme: str) -> InputError:
    """The line for a bucket that does not exist."""
    endpoint = " and AWS_ENDPOINT_URL" if store_of(scheme) == "s3" else ""
    return InputError(f"{place}: no such bucket; make it first, or check its name{endpoint}.")


def refused(place: str, scheme: str, doing: str, error: Exception) -> InputError:
    """The line for what a store or its package raised while `doing` ("be read", "be listed")."""
    store, why = store_of(scheme), _reason(error)
    if is_missing_bucket(error):
        return no_bucket(place, scheme)
    if _names(error) & _NO_CREDENTIALS or _code(error) == "401":
        do = _ASKED_FOR.get(store, "give them as the store's package reads them")
        return InputError(f"{place}: no credentials that it takes ({why}); {do}.")
    if isinstance(error, PermissionError) or _code(error) == "403" or str(error).startswith("Forbidden"):
        return InputError(
            f"{place}: may not {doing} with these credentials ({why}); expected rights to list, read, write and delete "
            "there."
        )
    if passes(error):
        return InputError(f"{place}: cannot be reached ({why}); check the network{_ENDPOINT.get(store, '')}.")
    return InputError(f"{place}: cannot {doing} ({why}); check the URL, or choose another place.")


def _names(error: BaseException | None) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _code(error: Exception) -> str:
    """The store's own code: botocore's as the cause of what s3fs raises, gcsfs's as an attribute."""
    for each in (error, error.__cause__):
        answer = getattr(each, "response", None)
        if isinstance(answer, dict) and isinstance(answer.get("Error"), dict):
            return str(answer["Error"].get("Code", ""))
        if (code := getattr(each, "code", None)) is not None:
            return str(code)
    return ""


def _number(error: Exception) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error) or str(error.__cause__ or "") or type(error).__name__
    short = " ".join(str(said).split())
    return short if len(short) <= 200 else short[:200] + " ..."
