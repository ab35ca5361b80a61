"""Scripted faults: make a service fail at chosen requests, tasks and notifications, for tests.

    submit 3: reset after; poll every 20: status 503

`parse_script` (in `grammar`) turns such a text into rules, `script` finds the rule for a request,
and `FaultInjector` (in `injection`) makes a service act accordingly. To add an action: a class in
`actions`, its keyword and values in `grammar`, and what it does in `injection`.
"""

from photoanimer_async.service.faults.grammar import parse_script
from photoanimer_async.service.faults.injection import FaultInjector
from photoanimer_async.service.faults.script import Rule
from photoanimer_async.service.faults.syntax import ScriptError

__all__ = ["FaultInjector", "Rule", "ScriptError", "parse_script"]
