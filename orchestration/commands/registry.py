"""All commands, in the order of the help. A new one is a `Command` in a file of this room and a name here."""

from __future__ import annotations

from orchestration.commands.catalog import CATALOG
from orchestration.commands.command import Command
from orchestration.commands.corrections import CORRECTIONS
from orchestration.commands.enrol import ENROL
from orchestration.commands.explore import EXPLORE
from orchestration.commands.harvest import HARVEST
from orchestration.commands.new import NEW
from orchestration.commands.pipelines import PIPELINES, ROLLBACK
from orchestration.commands.predict import PREDICT
from orchestration.commands.runs import CLEAN, REPORT, RUNS
from orchestration.commands.schedule import SCHEDULE
from orchestration.commands.servers import DASHBOARD, UI
from orchestration.commands.service import SERVICE
from orchestration.commands.worker import WORKER

TRAINING, *LATER_PIPELINES = PIPELINES
SERVE, *SERVICE_ACTIONS = SERVICE

COMMANDS: tuple[Command, ...] = (
    NEW,
    EXPLORE,
    TRAINING,
    PREDICT,
    SERVE,
    UI,
    RUNS,
    REPORT,
    DASHBOARD,
    *LATER_PIPELINES,
    WORKER,
    SCHEDULE,
    ROLLBACK,
    *SERVICE_ACTIONS,
    CORRECTIONS,
    ENROL,
    HARVEST,
    CATALOG,
    CLEAN,
)
BY_NAME = {name: each for each in COMMANDS for name in (each.name, *each.aliases)}
"""Name or alias -> command."""
