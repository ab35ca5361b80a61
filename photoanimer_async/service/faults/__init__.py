"""Faults by script: what goes wrong, and when, for whoever tests against the service.

`syntax`, `actions` and `rules` are the words and the objects of the script language, `grammar`
reads the ones into the others, `script` says which rule counts for what comes now, and
`injection` makes a service do so, with `answers` and `tasks` for its two halves.
"""

from photoanimer_async.service.faults.grammar import parse_script
from photoanimer_async.service.faults.injection import FaultInjector
from photoanimer_async.service.faults.rules import Rule
from photoanimer_async.service.faults.syntax import ScriptError

__all__ = ["FaultInjector", "Rule", "ScriptError", "parse_script"]
