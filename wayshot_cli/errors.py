"""Everything that can go wrong, as one family: each class carries the command's exit code."""


class WayshotError(Exception):
    """Base of all errors that wayshot raises on purpose.

    ``exit_code`` is what the command exits with (see wayshot(1), EXIT STATUS);
    ``hint``, where there is one, is a way out in one sentence.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Take the message for people, and the way out if one is known."""
        super().__init__(message)
        self.hint = hint


class CaptureError(WayshotError):
    """The compositor failed, hung up, broke the protocol or stayed silent."""


class CaptureTimeoutError(CaptureError):
    """An answer that was owed did not come within the time allowed."""


class FramesHeldError(CaptureError):
    """So many frames are held that there is no memory for another one: some have to be closed."""


class ConcurrentUseError(WayshotError):
    """A connection was used while another thread used it, or in a signal handler amid a wait."""


class WriteError(WayshotError):
    """A picture or a recording could not be written to its place."""


class ClosedError(WayshotError, ValueError):
    """A frame, a stream or a connection was used after ``close()``."""


class InvalidArgumentError(WayshotError, ValueError):
    """Nonsense was asked for: a bad region, scale, level or format."""

    exit_code = 2


class CancelledError(WayshotError):
    """The user cancelled: an empty region, a closed dialog."""

    exit_code = 3


class SelectionError(WayshotError):
    """What was to ask the user, a selector or a menu, failed, or printed what is no answer."""


class UnsupportedError(WayshotError):
    """This compositor or machine cannot do it, or not the way that was pinned."""

    exit_code = 4


class NotFoundError(WayshotError):
    """No such output, window or region, or none at all."""

    exit_code = 5


class TargetLostError(WayshotError):
    """The output or window went away while it was being captured."""

    exit_code = 6
