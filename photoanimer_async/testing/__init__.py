"""A double of the Photo Animer for other people's tests.

    def test_my_app(photo_animer):
        photo_animer.script("submit 1: status 429 retry-after 1s; task 2: fail")
        ...
        assert photo_animer.ledger.seconds == 7.13

`PhotoAnimerServer` is a real server on loopback: the local service itself, with its parameters,
codes and database, but a renderer that is done at once and needs no engine, and photos that are
fetched from this machine only. With pytest, the fixture `photo_animer` is a fresh one for each
test. What is to go wrong is said by a script; README has its words.
"""

from photoanimer_async.service.faults import ScriptError, parse_script
from photoanimer_async.service.faults.injection import Exchange
from photoanimer_async.service.faults.script import Subject
from photoanimer_async.testing.request_log import Charge, Ledger
from photoanimer_async.testing.server import PhotoAnimerServer, UnusedRulesError

__all__ = [
    "Charge",
    "Exchange",
    "Ledger",
    "PhotoAnimerServer",
    "ScriptError",
    "Subject",
    "UnusedRulesError",
    "parse_script",
]
