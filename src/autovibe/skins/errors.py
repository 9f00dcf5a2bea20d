"""Errors that skins share."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class PortTakenError(AutovibeError):
    """Another program listens on the port."""

    code = Code.FAILED_PRECONDITION
    reason = "PORT_TAKEN"


class AddressUnusableError(AutovibeError):
    """The address or port cannot be listened on: it is none of this host's, or not allowed."""

    code = Code.FAILED_PRECONDITION
    reason = "ADDRESS_UNUSABLE"


class HostNotAllowedError(AutovibeError):
    """The Host header names another server: a page of a foreign site may have sent the request."""

    code = Code.PERMISSION_DENIED
    reason = "HOST_NOT_ALLOWED"


class OriginNotAllowedError(AutovibeError):
    """The Origin header names a foreign site."""

    code = Code.PERMISSION_DENIED
    reason = "ORIGIN_NOT_ALLOWED"


class CsrfTokenError(AutovibeError):
    """A browser's session wants to change something, and no page of ours says so."""

    code = Code.PERMISSION_DENIED
    reason = "CSRF_TOKEN_MISSING"


class NotJsonError(AutovibeError):
    """A request that changes something is not declared as JSON."""

    code = Code.INVALID_ARGUMENT
    reason = "CONTENT_TYPE_NOT_JSON"


class RequestTooLargeError(AutovibeError):
    """The body of a request is larger than the server takes."""

    code = Code.INVALID_ARGUMENT
    reason = "REQUEST_TOO_LARGE"


class MethodNotAllowedError(AutovibeError):
    """The path exists and does not take this HTTP method."""

    code = Code.INVALID_ARGUMENT
    reason = "METHOD_NOT_ALLOWED"


class TlsFilesError(AutovibeError):
    """Certificate and key cannot be read, or do not belong together."""

    code = Code.FAILED_PRECONDITION
    reason = "TLS_FILES"


class ExposedError(AutovibeError):
    """Others could reach the server, and nobody has to log in, or nothing is encrypted."""

    code = Code.FAILED_PRECONDITION
    reason = "SERVER_EXPOSED"
