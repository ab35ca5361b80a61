"""A double of the Photo Animer API, for the tests of your app.

    def test_my_app(photo_animer):
        photo_animer.script("submit 1: status 429 retry-after 1s; task 2: fail")
        ...
        assert photo_animer.ledger.seconds == 7.13

`PhotoAnimerServer` is the local service on loopback, with its checks, codes and database; only
the engine and the internet are replaced. The pytest fixture `photo_animer` is a new one for each
test. A script says which requests and tasks fail; `testing/README.md` lists what can be scripted.
"""

from photoanimer_async.service.faults import ScriptError, parse_script
from photoanimer_async.service.faults.injection import Exchange
from photoanimer_async.service.faults.script import Subject
from photoanimer_async.testing.request_log import Charge, RequestLog
from photoanimer_async.testing.server import PhotoAnimerServer, UnusedRulesError

Ledger = RequestLog
"""The earlier name of `RequestLog`."""

__all__ = [
    "Charge",
    "Exchange",
    "Ledger",
    "PhotoAnimerServer",
    "RequestLog",
    "ScriptError",
    "Subject",
    "UnusedRulesError",
    "parse_script",
]
