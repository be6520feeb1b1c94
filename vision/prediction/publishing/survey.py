"""What a publication says of the survey: `survey.yaml`, beside the table of deployments."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from vision.base.errors import ConfigError
from vision.config.reading.yaml_text import parse_yaml, read_text

SURVEY_NAME = "survey.yaml"
EXAMPLE = """title: Fish pass at the mill
publisher: Name of your institute
samplingDesign: targeted            # simpleRandom systematicRandom clusteredRandom experimental opportunistic
captureMethod: [activityDetection]  # or timeLapse
individualAnimals: false            # true where single animals are recognised
"""
_DARWIN_LINES = 2
"""Lines of the example that Darwin Core needs too."""

_CAMTRAP_NEEDS = ("sampling_design", "capture_method", "individual_animals")

Ranks = Literal["kingdom", "phylum", "class", "order", "family", "genus", "species", "subspecies"]
Kind = Literal["animal", "human", "vehicle", "blank"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class Taxon(_Part):
    """What a class is called in biology."""

    scientific_name: str
    taxon_id: str | None = Field(default=None, alias="taxonID")
    taxon_rank: Ranks | None = None


class Licenses(_Part):
    """Names of the licences, as in CC0-1.0."""

    data: str
    media: str


class Survey(_Part):
    """The survey, in the words of Camtrap DP; `names` and `observation_types` go by class."""

    title: str
    publisher: str
    sampling_design: (
        Literal[
            "simpleRandom", "systematicRandom", "clusteredRandom", "experimental", "targeted", "opportunistic"
        ]
        | None
    ) = None
    capture_method: tuple[Literal["activityDetection", "timeLapse"], ...] | None = Field(None, min_length=1)
    individual_animals: bool | None = None
    names: dict[str, Taxon | str] = Field(default_factory=dict)
    observation_types: dict[str, Kind] = Field(default_factory=dict)
    licenses: Licenses | None = None
    media_url: str | None = Field(default=None, pattern="^https?://.+/$")
    sampling_protocol: str = ""
    kingdom: str = ""

    def find_taxon(self, class_name: str) -> Taxon:
        """The taxon of a class; the class's own name where none was given."""
        given = self.names.get(class_name, class_name)
        return given if isinstance(given, Taxon) else Taxon(scientificName=given)

    def check_classes(self, class_names: tuple[str, ...]) -> None:
        """Refuse names and types of classes that the model does not have.

        Raises:
            ConfigError: there is such a class.
        """
        strange = sorted({*self.names, *self.observation_types} - {*class_names})
        if strange:
            raise ConfigError(
                f"{SURVEY_NAME} names {', '.join(strange)}, which the model does not know. Expected classes "
                f"of {', '.join(class_names)}. Correct names or observationTypes."
            )


def read_survey(path: Path, *, for_camtrap: bool) -> Survey:
    """The survey of a file.

    Raises:
        ConfigError: it is absent or lacks something; it says what to write.
    """
    lines = EXAMPLE.splitlines()[: None if for_camtrap else _DARWIN_LINES]
    shown = indent("\n".join(lines), "    ")
    if not path.is_file():
        raise ConfigError(
            f"{path} is not there. Expected what the photographs do not say of the survey. Write it, "
            f"with your own words, for example:\n{shown}"
        )
    told: Any = parse_yaml(read_text(path), str(path))
    try:
        survey = Survey.model_validate(told)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'all'}: {each['msg']}" for each in error.errors()
        )
        raise ConfigError(f"{path}: {faults}. Expected as in this example:\n{shown}") from error
    missing = [to_camel(each) for each in _CAMTRAP_NEEDS if getattr(survey, each) is None]
    if for_camtrap and missing:
        raise ConfigError(
            f"{path} lacks {', '.join(missing)}. Expected as Camtrap DP needs it, as in:\n{shown}"
        )
    return survey
