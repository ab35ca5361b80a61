"""Notifications (API page, Interface 2): taken in, and confirmed before anybody is told."""

from photoanimer_async.notifications.dispatcher import NotificationDispatcher
from photoanimer_async.notifications.parse import TaskNotification, parse_notification
from photoanimer_async.notifications.receiver import NotificationReceiver
from photoanimer_async.notifications.signature import verify_signature

__all__ = [
    "NotificationDispatcher",
    "NotificationReceiver",
    "TaskNotification",
    "parse_notification",
    "verify_signature",
]
