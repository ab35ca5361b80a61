"""Notifications (API page, Interface 2): receive them, and confirm them by a poll.

Each name is imported when it is first used: most clients receive no notifications.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photoanimer_async.notifications.parse import TaskNotification, parse_notification
    from photoanimer_async.notifications.receiver import NotificationReceiver
    from photoanimer_async.notifications.signature import verify_signature

__all__ = [
    "NotificationReceiver",
    "TaskNotification",
    "parse_notification",
    "verify_signature",
]

_MODULE_OF = {
    "NotificationReceiver": "receiver",
    "TaskNotification": "parse",
    "parse_notification": "parse",
    "verify_signature": "signature",
}

if not TYPE_CHECKING:  # a type checker would accept any name otherwise

    def __getattr__(name: str) -> object:
        if name in _MODULE_OF:
            return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
