"""`run.py new`: what it finds in a folder is what it writes and what the later commands read."""

from __future__ import annotations

import io
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from orchestration.commands.new import NEW, show_outlook, show_survey
from orchestration.commands.parsing import parse
from orchestration.projects import start
from orchestration.projects.draft import ENOUGH_TO_FINE_TUNE, Plan, write_draft
from orchestration.projects.outlook import foresee
from orchestration.projects.start import start_project
from orchestration.session.paths import ProjectPaths
from tests.orchestration.projects.photographs import make_frames, save_noise
from tests.shared_data import shared_data
from vision.base.errors import ConfigError, SourceError
from vision.base.files import write_atomically
from vision.config.data import FolderSource, Resize
from vision.config.reading.loading import load_config, settle
from vision.config.reading.yaml_text import parse_yaml
from vision.config.run import RunConfig
from vision.config.sources.tables import CsvSource
from vision.data.groups.near_duplicates import link_alike
from vision.data.images import decode_image
from vision.data.sources import read_source
from vision.data.survey import Survey, choose_size, survey_images


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_frames(tmp_path / "my photos: #1")


def tell(survey: Survey) -> str:
    out = io.StringIO()
    console = Console(file=out, width=200)
    show_survey(console, "my-fish", survey)
    text = write_draft("my-fish", survey, Plan.of(survey, 2))
    settled = settle(RunConfig, parse_yaml(text, ""), Path("my-fish.yaml"))
    show_outlook(console, foresee(survey, settled, "two minutes"))
    return out.getvalue()


def test_the_command_writes_what_training_reads_and_says_what_to_type(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, options = parse(["new", "my-fish", str(photos)])
    assert command is NEW
    assert command.run(options, ProjectPaths.of(tmp_path)) == 0
    config = load_config(tmp_path / "configs" / "my-fish.yaml")
    assert config.name == "my-fish"
    assert isinstance(config.dataset, FolderSource)
    assert config.dataset.path == photos
    groups = {entry.group for entry in read_source(config.dataset, tmp_path).entries}
    assert len(groups) == 10
    assert config.dataset.unknown_classes == ()  # never chosen in silence
    assert list(config.training.candidates) == ["efficientnet_lite0"]
    with Image.open(tmp_path / "configs" / "my-fish.png") as sheet:
        assert sheet.width > 900
    told = capsys.readouterr().out
    assert "30 pictures of 2 classes" in told
    assert "python run.py train my-fish" in told


def test_a_table_becomes_a_config_that_training_reads(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{path.relative_to(photos)},{path.parent.name},7" for path in sorted(photos.glob("*/*"))]
    (tmp_path / "labels.csv").write_text("\n".join(["file,species,length", *rows]))
    command, options = parse(["new", "my-fish", str(tmp_path / "labels.csv")])
    assert command.run(options, ProjectPaths.of(tmp_path)) == 0
    dataset = load_config(tmp_path / "configs" / "my-fish.yaml").dataset
    assert isinstance(dataset, CsvSource)
    assert (dataset.path_column, dataset.label_column, dataset.images) == ("file", "species", photos)
    entries = read_source(dataset, tmp_path).entries
    assert (len(entries), len({entry.group for entry in entries})) == (30, 10)  # groups from the names
    told = capsys.readouterr().out
    assert "picture 'file', class 'species'" in told
    assert "not used: length" in told


def test_nothing_is_overwritten_and_no_model_is_shared(photos: Path, tmp_path: Path) -> None:
    configs = tmp_path / "configs"
    start_project("fish", str(photos), configs)
    before = (configs / "fish.yaml").read_bytes()
    with pytest.raises(ConfigError, match=r"python run\.py train fish"):
        start_project("fish", str(photos), configs)
    assert (configs / "fish.yaml").read_bytes() == before
    (configs / "fish.yaml").rename(configs / "other.yaml")
    (configs / "fish.png").unlink()
    with pytest.raises(ConfigError, match=rf"other\.yaml.*new my-fish '{photos}'"):
        start_project("fish", str(photos), configs)


def test_one_that_was_stopped_while_it_wrote_leaves_a_config_or_a_free_name(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def write_one(path: Path, content: bytes | str) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(path.name)
        write_atomically(path, content)

    monkeypatch.setattr(start, "write_atomically", write_one)
    with pytest.raises(KeyboardInterrupt):
        start_project("fish", str(photos), tmp_path)
    assert written == ["fish.yaml"]


def test_what_another_wrote_while_the_folder_was_looked_at_stays(photos: Path, tmp_path: Path) -> None:
    config = tmp_path / "fish.yaml"

    def write_meanwhile(_done: int, _total: int) -> None:
        config.write_text("mine: true\n")

    with pytest.raises(ConfigError, match="there already"):
        start_project("fish", str(photos), tmp_path, progress=write_meanwhile)
    assert config.read_text() == "mine: true\n"


@pytest.mark.parametrize("name", ["My Fish", "../fish", "3fish", ""])
def test_a_name_that_no_model_may_have_is_refused_before_the_folder_is_read(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="small letters"):
        start_project(name, str(tmp_path / "absent"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_of_two_readings_the_one_that_is_typed_is_written(tmp_path: Path) -> None:
    for place in ("north", "south"):
        make_frames(tmp_path / "photos" / place)
    with pytest.raises(SourceError, match=r"dataset\.layout=place/class"):
        start_project("fish", str(tmp_path / "photos"), tmp_path)
    started = start_project("fish", str(tmp_path / "photos"), tmp_path, ["dataset.layout=place/class"])
    config = load_config(started.config)
    assert isinstance(config.dataset, FolderSource)
    assert config.dataset.layout == "place/class"
    assert started.survey.manifest.class_names == ("chub", "perch")
    with pytest.raises(ConfigError, match=r"images\.size"):
        start_project("other", str(tmp_path / "photos"), tmp_path, ["images.size=96"])
    assert "in folders of places" in tell(started.survey)
    shutil.rmtree(tmp_path / "photos" / "north")
    assert "one folder more around them means" in tell(survey_images(FolderSource(path=tmp_path / "photos")))


def test_the_config_names_the_folder_wherever_one_stands(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name, typed, written in (
        ("one", f"~/{photos.name}", tmp_path / photos.name),
        ("two", photos.name, photos),
        ("three", f"nowhere/../{photos.name}", photos),
    ):
        dataset = load_config(start_project(name, typed, tmp_path).config).dataset
        assert isinstance(dataset, FolderSource)
        assert dataset.path == written


def test_the_screen_tells_small_classes_copies_and_what_is_left_out(photos: Path) -> None:
    for number in range(5):
        save_noise(photos / "burbot" / f"{number}.png", 900 + number)
    shutil.copy(photos / "chub" / "chub0_frame0.png", photos / "chub" / "again.png")
    shutil.copy(photos / "chub" / "chub1_frame0.png", photos / "perch" / "also.png")
    (photos / "perch" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    shutil.move(photos / "perch" / "perch0_frame0.png", photos / "perch" / "perch0_frame0.jpg")
    told = tell(survey_images(FolderSource(path=photos)))
    assert "5 pictures, needs 8" in told
    assert "Class 'burbot' has 5 usable images" in told
    assert "Add pictures to burbot" in told
    assert "1 picture with the bytes of another" in told
    assert "35 pictures of 3 classes" in told
    assert "2 pictures under two labels, not counted above, set aside by a training (first: " in told
    assert "Left out  1 file, damaged" in told
    assert "perch/broken.png" in told
    assert "Pictures of another format than their file names say, read by their bytes: 1" in told


def test_the_command_ends_with_2_where_a_training_would_refuse_or_there_is_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        save_noise(tmp_path / "photos" / ("chub", "perch")[number % 2] / f"{number}.png", number)
    paths = ProjectPaths.of(tmp_path)
    assert NEW.run(parse(["new", "few", str(tmp_path / "photos")])[1], paths) == 2
    assert "a training would refuse" in capsys.readouterr().out
    assert (tmp_path / "configs" / "few.yaml").is_file()
    with pytest.raises(SourceError, match=r"no such folder. Expected a folder of photographs"):
        NEW.run(parse(["new", "none", str(tmp_path / "fotos")])[1], paths)


def test_where_training_would_refuse_the_last_lines_are_what_helps(tmp_path: Path) -> None:
    photos = make_frames(tmp_path / "photos", individuals=8)
    for number in range(5):
        save_noise(photos / "no" / f"{number}.png", 900 + number)
    told = tell(survey_images(FolderSource(path=photos)))
    *_, train, held_out, _, last = told.rstrip().splitlines()
    assert "a training would refuse" in last
    assert train.endswith("once that is done")
    typed = re.search(r"python run\.py train my-fish --set (.+?)   ", held_out)
    assert typed is not None
    key, _, value = shlex.split(typed[1])[0].partition("=")
    assert (key, parse_yaml(value, "")) == ("dataset.unknown_classes", ["no"])
    survey = survey_images(FolderSource(path=photos, unknown_classes=("no",)))
    again = tell(survey)
    assert "48 pictures of 2 classes, and 5 pictures of 1 class held out as unknown in" in again
    assert "Refused" not in again
    assert "Gate" in again  # of 16 groups test gets 2
    assert "the test split has 2 groups, about 17 are needed: add some 120 groups, or train all" in again
    assert again.count("Gate") == 1
    doubts = ["Too small to be promoted"]
    assert "\n# Too small to be" in write_draft("my-fish", survey, Plan.of(survey, 2), doubts)
    assert "refused at its end" in again


def test_of_many_small_classes_some_are_named(tmp_path: Path) -> None:
    for number in range(40):
        save_noise(tmp_path / f"class{number // 2:02}" / f"{number}.png", number)
    told = tell(survey_images(FolderSource(path=tmp_path)))
    assert "'class10', 'class11' and 8 more: each has 2 usable images" in told
    assert "Add pictures to these 20 classes; no new config is needed" in told
    assert told.count("Refused") == 1


def test_names_that_tell_no_groups_are_said_to(tmp_path: Path) -> None:
    for number in range(24):
        save_noise(tmp_path / ("a" if number % 2 else "b") / f"IMG_{1000 + 7 * number}.png", number)
    survey = survey_images(FolderSource(path=tmp_path))
    assert not survey.has_groups
    assert "tell no groups" in tell(survey)
    text = write_draft("fish", survey, Plan.of(survey, 2))
    config = settle(RunConfig, parse_yaml(text, ""), Path("fish.yaml"))
    assert isinstance(config.dataset, FolderSource)
    assert config.dataset.group_by is None


def test_pictures_that_look_alike_are_counted_as_one_group_whatever_their_names(tmp_path: Path) -> None:
    for number in range(16):
        path = tmp_path / ("a" if number % 2 else "b") / f"IMG_{1000 + 7 * number}.png"
        save_noise(path, number, (12, 9))
        with Image.open(path) as picture:
            picture.resize((120, 90)).save(path)
            picture.resize((90, 68)).save(path.with_name(f"DSC_{2000 + 13 * number}.jpg"), quality=70)
    survey = survey_images(FolderSource(path=tmp_path))
    assert (survey.num_alike(), survey.num_together()) == (32, 16)
    assert {size.num_groups for size in survey.class_sizes()} == {8}
    assert "16 independent groups" in tell(survey)
    size, manifest = choose_size(survey.usual_side()), survey.manifest
    raw = [manifest.locate(each).read_bytes() for each in manifest.entries]
    images = np.stack([decode_image(each, size=size, resize=Resize.PAD) for each in raw])
    assert link_alike(manifest, images, Resize.PAD).alike == manifest.alike  # what a training will find


@pytest.mark.parametrize(("side", "size"), [(4000, 160), (109, 160), (28, 96)])
def test_small_pictures_are_enlarged_and_tiny_ones_little(side: int, size: int) -> None:
    assert choose_size(side) == size


def test_the_whole_network_is_trained_unasked_where_it_is_cheap_and_images_suffice(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = survey_images(FolderSource(path=photos))
    assert not Plan.of(survey, 64).fine_tuned
    many = list(survey.manifest.entries) * (ENOUGH_TO_FINE_TUNE // len(survey.manifest.entries) + 1)
    large = Survey(
        survey.settings,
        survey.manifest.model_copy(update={"entries": many}),
        survey.layout,
        survey.suggestion,
    )
    plan = Plan.of(large, 64)
    assert plan.fine_tuned
    config = settle(RunConfig, parse_yaml(write_draft("fish", large, plan), ""), Path("fish.yaml"))
    assert set(config.training.candidates) == {"efficientnet_lite0", "fine_tuned"}
    monkeypatch.setattr("orchestration.projects.draft.AFFORDABLE_SECONDS", 0.0)
    assert not Plan.of(large, 64).fine_tuned


def test_real_fish_are_found_by_individual() -> None:
    survey = survey_images(FolderSource(path=shared_data("fish_egu2017")))
    assert (len(survey.manifest.entries), survey.num_groups()) == (1053, 149)
    told = tell(survey)
    assert len(told.splitlines()) < 24  # one screen
