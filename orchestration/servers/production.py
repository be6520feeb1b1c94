"""`run.py serve`: what is in production answers, whatever its config; it is deployed first if need be."""

from __future__ import annotations

from contextlib import suppress

from orchestration.servers import service
from orchestration.session.environment import prepare_environment
from orchestration.session.paths import ProjectPaths
from orchestration.session.terminal import open_terminal
from orchestration.store.listing import list_history
from orchestration.store.rows import ChampionRow
from serving.runtime.running import ServiceFolder, read_deployed
from vision.base.errors import ConfigError
from vision.base.wording import join_words
from vision.config.run import RunConfig


def serve_production(paths: ProjectPaths, config: RunConfig | None) -> int:
    """Serve the config's model, or the one that was promoted last; the exit code.

    Args:
        paths: the project.
        config: says which model and where to listen; None: as that model's training said.

    Raises:
        ConfigError: no model is in production, or the service could not start.
        ServiceError: the service does not become ready.
    """
    prepare_environment(paths)
    champions = list_history(paths)[1]
    champion = _choose(champions, config)
    deployed = read_deployed(ServiceFolder(paths.home))
    if deployed is not None and champion is not None and deployed.bento.model.digest == champion.digest:
        return service.start(paths, config)
    if config is None:
        assert champion is not None
        config = _read_training_config(champion)
    return service.deploy(paths, config)


def _choose(champions: tuple[ChampionRow, ...], config: RunConfig | None) -> ChampionRow | None:
    """The model to serve, told where there are several; None where the config's is not in production."""
    if config is not None:
        return next((each for each in champions if each.model == config.name), None)
    if not champions:
        raise ConfigError(
            "No model is in production, so there is nothing to serve. Expected a training that was "
            "promoted. Train one: python run.py train NAME, or make train"
        )
    newest = max(champions, key=lambda each: each.since)
    others = [each.model for each in champions if each is not newest]
    also = f" Also in production: {join_words(others)}; python run.py serve NAME serves it." if others else ""
    service.say(f"In production since {newest.since} UTC: {newest.model} version {newest.version}.{also}")
    return newest


def _read_training_config(champion: ChampionRow) -> RunConfig:
    """The configuration of the training that made a model."""
    with open_terminal():
        from materializers.registry import find_champion
        from orchestration.flows.running.artifacts import RunArtifacts, find_run

        found = find_champion(champion.model)
        if found is not None:
            with suppress(KeyError):  # the run was deleted
                return RunArtifacts(find_run(found.bundle().run.name)).config
    raise ConfigError(
        f"The training of {champion.model} is not known any more. Expected its config. Name it: "
        "python run.py serve NAME"
    )
