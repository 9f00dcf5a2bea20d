"""Errors of chat."""

from __future__ import annotations

from autovibe.kernel.errors import AutovibeError, Code


class ConversationNotFoundError(AutovibeError):
    """No conversation has this id."""

    code = Code.NOT_FOUND
    reason = "CONVERSATION_NOT_FOUND"


class ConversationArchivedError(AutovibeError):
    """The conversation is archived and takes no more messages."""

    code = Code.FAILED_PRECONDITION
    reason = "CONVERSATION_ARCHIVED"


class MessageNotFoundError(AutovibeError):
    """No message has this id."""

    code = Code.NOT_FOUND
    reason = "MESSAGE_NOT_FOUND"


class MessageDeliveredError(AutovibeError):
    """The agent has the message already, and would not hear of the change."""

    code = Code.FAILED_PRECONDITION
    reason = "MESSAGE_DELIVERED"


class NotYourMessageError(AutovibeError):
    """Somebody else sent the message."""

    code = Code.PERMISSION_DENIED
    reason = "NOT_YOUR_MESSAGE"


class AttachmentNotFoundError(AutovibeError):
    """No attachment has this id."""

    code = Code.NOT_FOUND
    reason = "ATTACHMENT_NOT_FOUND"


class AttachmentTooLargeError(AutovibeError):
    """The file is larger than the settings allow."""

    code = Code.INVALID_ARGUMENT
    reason = "ATTACHMENT_TOO_LARGE"


class AttachmentTypeRefusedError(AutovibeError):
    """The settings do not allow files of this type."""

    code = Code.INVALID_ARGUMENT
    reason = "ATTACHMENT_TYPE_REFUSED"


class AttachmentDamagedError(AutovibeError):
    """What is kept of a file is not what was sent."""

    code = Code.DATA_LOSS
    reason = "ATTACHMENT_DAMAGED"
