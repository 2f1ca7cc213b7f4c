"""Errors of this package that need neither ASE nor NumPy."""

from __future__ import annotations

import difflib
from typing import Any


class RootstockError(RuntimeError):
    """`rootstock` or a worker failed."""


class ModelNotFoundError(RootstockError, LookupError):
    """A root has no model or environment of this name.

    Attributes:
        model: The name.
        root: The root.
        known: The names that it has.
    """

    def __init__(self, model: str, root: str, known: list[str]) -> None:
        self.model, self.root, self.known = model, root, known
        near = difflib.get_close_matches(model, known, 1)
        meant = f"; did you mean `{near[0]}`?" if near else "."
        super().__init__(f"the root `{root}` has no model or environment `{model}`{meant} It has: {', '.join(known) or 'none'}")

    def __reduce__(self) -> Any:
        return type(self), (self.model, self.root, self.known)


class RemoteError(RootstockError):
    """A call in an environment failed: the function raised an exception, its process ended, or the request was wrong.

    Attributes:
        kind: What happened, one word: `raised`, `killed`, `timeout`, `startup-timeout`, `not-found`, `no-result`, `bad-request`,
            `bad-output`, `unserialisable`, `too-large`, `interrupted`, `code-not-allowed`, `requirements-unmet`, `python-mismatch`,
            `environment-missing`, `environment-broken`, `environment-foreign`, `identity-mismatch`.
        type: The name of the exception's class, such as `ValueError`; the kind where there was no exception.
        message: The exception's text.
        traceback: The traceback in the environment's process; empty if there is none.
        stdout: The end of what the call has printed.
        stderr: The end of what the call has written to standard error.
        retryable: Whether the same call may succeed if it is made again.
        hint: What to do next; empty if nothing is known.
        response: The whole response.
    """

    def __init__(self, response: dict[str, Any]) -> None:
        fatal = response.get("_fatal_error") or {}
        self.response = response
        self.kind: str = fatal.get("kind") or "no-result"
        self.type: str = fatal.get("type") or response.get("error_type") or self.kind
        message: str = fatal.get("message") or response.get("error") or ""
        begin = f"{self.type}: "
        self.message: str = message[len(begin) :] if message.startswith(begin) else message
        self.traceback: str = fatal.get("traceback") or response.get("traceback") or ""
        self.stdout: str = response.get("stdout") or ""
        self.stderr: str = response.get("stderr") or fatal.get("stderr_tail") or ""
        self.retryable: bool = bool(fatal.get("retryable"))
        self.hint: str = fatal.get("hint") or ""
        super().__init__(self._text())

    def _text(self) -> str:
        text = self.message if self.type == self.kind else f"{self.type}: {self.message}"
        if self.hint:
            text += f"\nhint: {self.hint}"
        return text + (f"\n\n{self.traceback.rstrip()}" if self.traceback else "")

    def __reduce__(self) -> Any:
        return type(self), (self.response,)


def failure(kind: str, message: str, *, hint: str = "", retryable: bool = False) -> RemoteError:
    """The error of a call that has no response."""
    fatal = {"kind": kind, "message": message, "hint": hint, "retryable": retryable}
    return RemoteError({"success": False, "error": message, "_fatal_error": fatal})
