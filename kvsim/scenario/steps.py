"""The table of verbs: which function carries out which. The fields a verb takes stand in config/scenario_words.py."""

from __future__ import annotations

from kvsim.scenario import client_steps, fault_steps, load_steps, looking_steps, process_steps, storm_steps
from kvsim.scenario.context import Verb

STEPS: dict[str, Verb] = {
    "put": client_steps.client_verb,
    "get": client_steps.client_verb,
    "delete": client_steps.client_verb,
    "cas": client_steps.client_verb,
    "promote": client_steps.client_verb,
    "raw": client_steps.client_verb,
    "start": process_steps.start,
    "stop": process_steps.stop,
    "restart": process_steps.restart,
    "kill": process_steps.kill,
    "wait": looking_steps.wait,
    "sleep": looking_steps.sleep,
    "check": looking_steps.check,
    "fault": fault_steps.fault,
    "load": load_steps.load,
    "storm": storm_steps.storm,
}
