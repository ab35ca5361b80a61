"""Notify an account's URL that a task has ended (API page, Interface 2).

The API page says nothing about failed deliveries, retries or signatures; these are this
service's own choices:

* The notification is stored in the transaction that ends its task (`storing.outbox`) and stays
  there until the receiver answers with a 2xx status. After a crash it is sent again, so each
  notification arrives **at least once**, and in no particular order.
* `notifier` reads what is due from the outbox and attempts delivery, with retries on the
  schedule of Standard Webhooks: ten attempts over three days. Then it gives up; `getTaskInfo`
  still has the result.
* `webhooks` makes one attempt: a POST through a guarded session (see `fetching`).
* `signing` signs the request in the form of Standard Webhooks.

To change the schedule, set `ServiceSettings.notify_schedule`. To send the event elsewhere than
over http, implement `webhooks.Sender`.
"""
