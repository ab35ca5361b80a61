"""Notifications (API page, Interface 2): receive them, and confirm them by a poll."""

from photoanimer_async.notifications.parse import TaskNotification, parse_notification
from photoanimer_async.notifications.receiver import NotificationReceiver
from photoanimer_async.notifications.signature import verify_signature

__all__ = [
    "NotificationReceiver",
    "TaskNotification",
    "parse_notification",
    "verify_signature",
]
