"""`run.py worker`: let this machine train with another one."""

from __future__ import annotations

import logging
from argparse import Namespace

from rich.console import Console

from orchestration.commands.command import Command, argument
from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths
from vision.base.errors import ConfigError
from vision.base.wording import count_of
from vision.training.machines import VARIABLE, Machines, read_machines, read_wait

MACHINES = argument(
    "--machines",
    metavar="HOST:PORT,HOST:PORT",
    help="all machines that train together, the same list on each; the first runs the pipeline",
)


def use_machines(listed: str | None, index: int) -> None:
    """Let this process be number `index` of the machines that were typed, if any were.

    Raises:
        ConfigError: the list is wrong.
    """
    if listed is not None:
        Machines.of(listed.split(","), index).publish()


def _assist(options: Namespace, paths: ProjectPaths) -> int:
    console = Console(highlight=False, soft_wrap=True, markup=False, stderr=True)
    use_machines(options.machines, 1 if options.index is None else options.index)
    machines = read_machines()
    if machines is not None and options.index not in (None, machines.index):
        raise ConfigError(
            f"{options.index} was typed, and {VARIABLE} makes this machine {machines.index}. Expected one "
            "number. Leave the typed one out, or add --machines"
        )
    if machines is None or not machines.index:
        raise ConfigError(
            f"neither --machines nor {VARIABLE} makes this machine a worker. Expected a list of all "
            "machines and the number of this one, from 1. Type "
            "python run.py worker 1 --machines 10.0.0.1:2222,10.0.0.2:2222"
        )
    prepare_environment(paths)
    logging.basicConfig(format="%(message)s")
    leader, others = machines.addresses[0], len(machines.addresses) - 1
    console.print(f"Machine {machines.index} of {count_of(others, 'worker')}; waiting for {leader} ...")
    from vision.training.nets.fitting.cluster import Cluster  # imports TensorFlow
    from vision.training.nets.fitting.worker import assist

    number = assist(Cluster(machines, read_wait()))
    console.print(f"{leader} has ended its run; {count_of(number, 'network')} trained with it.")
    return 0


WORKER = Command(
    "worker",
    "let this machine train with another one",
    _assist,
    (
        argument(
            "index",
            nargs="?",
            type=int,
            metavar="NUMBER",
            help=f"of this machine, from 1 (default: what {VARIABLE} says, else 1)",
        ),
        MACHINES,
    ),
)
