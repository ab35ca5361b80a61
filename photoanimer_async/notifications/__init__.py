"""Notifications (API page, Interface 2): taken in, and confirmed before anybody is told."""

from photoanimer_async.notifications.parse import TaskNotification, parse_notification
from photoanimer_async.notifications.receiver import NotificationReceiver
from photoanimer_async.notifications.repeats import Repeats
from photoanimer_async.notifications.strays import Strays

__all__ = ["NotificationReceiver", "Repeats", "Strays", "TaskNotification", "parse_notification"]
