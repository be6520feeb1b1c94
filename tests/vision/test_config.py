from pathlib import Path

import pytest
import yaml

from orchestration.schedule.config import ScheduleConfig
from vision.base.errors import ConfigError
from vision.config.base import Settings
from vision.config.data import FolderSource
from vision.config.export import ExportSettings, Precision, PrecisionChoice, ToleranceSettings
from vision.config.reading.loading import find_config, load_config, load_settings
from vision.config.run import RunConfig
from vision.config.training import CandidateSettings, Strategy

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def write(folder: Path, **changes: object) -> Path:
    tree: dict[str, object] = {
        "name": "toy",
        "dataset": {"source": "reef"},
        "training": {"candidates": {"cnn": {"backbone": "cnn"}}},
    }
    tree.update(changes)
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


KINDS: dict[str, type[Settings]] = {
    "--pipeline training": RunConfig,
    "run.py schedule": ScheduleConfig,
}
"""What the command in a config's head runs -> the class that loads it: a config is what reads it."""


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_config_opens_with_its_command_and_loads_as_what_that_reads(path: Path) -> None:
    head = "".join(line for line in path.read_text().splitlines(keepends=True) if line.startswith("# "))
    name = path.relative_to(CONFIGS).as_posix()
    for word in ("# Purpose", "# Cost", "# Expect", "# Command"):
        assert word in head
    kinds = [kind for command, kind in KINDS.items() if f"{command} --config {name}" in head]
    assert len(kinds) == 1, f"the head of {name} names no command of {list(KINDS)}, or several"
    assert isinstance(load_settings(kinds[0], path), kinds[0])


def test_unknown_keys_at_any_depth_get_a_suggestion(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        imags={"size": 96},
        training={"candidates": {"cnn": {"backbone": "cnn", "learning_rat": 1e-3, "augment": {"flp": True}}}},
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert "imags: unknown key; did you mean images?" in message
    assert "training.candidates.cnn.learning_rat: unknown key; did you mean learning_rate?" in message
    assert "training.candidates.cnn.augment.flp: unknown key; did you mean flip?" in message


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, images={"size": 3}, unknowns={"alpha": 0})
    with pytest.raises(ConfigError) as caught:
        load_config(path, ["export.precision=fp17"])
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert any("images.size" in line and "16" in line and "got 3" in line for line in lines)


def test_folders_of_strangers_are_paths_whose_last_parts_differ(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, unknowns={"strangers": ["a/cats", "b/dogs"]}))
    assert [each.name for each in config.unknowns.strangers] == ["cats", "dogs"]
    assert config.unknowns.for_rule().strangers == ()
    for paths in (["a/cats", "b/cats"], ["noise"]):
        with pytest.raises(ConfigError, match=r"unknowns.*rename the folder"):
            load_config(write(tmp_path, unknowns={"strangers": paths}))


def test_fractions_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"split: train \+ validation \+ calibration \+ test is 1\.3500"):
        load_config(write(tmp_path), ["split.train=0.9"])


def test_scientific_notation_without_a_dot_is_a_number(tmp_path: Path) -> None:
    config = load_config(write(tmp_path), ["training.candidates.cnn.learning_rate=1e-3"])
    assert config.training.candidates["cnn"].learning_rate == pytest.approx(0.001)


FOLDER = "name: toy\ndataset: {source: folder, path: %s}\ntraining: {candidates: {cnn: {backbone: cnn}}}\n"


def folder_config(path: Path, photos: str = "x", encoding: str = "utf-8") -> Path:
    path.write_text(FOLDER % photos, encoding=encoding)
    return path


def test_yes_and_no_are_class_names_and_switches(tmp_path: Path) -> None:
    config = load_config(
        folder_config(tmp_path / "a.yaml"), ["dataset.unknown_classes=[no, yes, off]", "deploy=yes"]
    )
    assert isinstance(config.dataset, FolderSource)
    assert config.dataset.unknown_classes == ("no", "yes", "off")
    assert config.deploy is True


@pytest.mark.parametrize(
    ("value", "words"),
    [("true", '"true"'), ("7", '"7"'), ("0", '"0"'), ("2021-05-03", '"2021-05-03"'), ("null", '"null"')],
)
def test_a_class_name_that_yaml_reads_as_something_else_is_put_in_quotes(
    tmp_path: Path, value: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=f"in quotes, such as {words}"):
        load_config(folder_config(tmp_path / "a.yaml"), [f"dataset.unknown_classes=[{value}]"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_config_is_read_in_the_encoding_that_it_names(tmp_path: Path, encoding: str) -> None:
    config = load_config(folder_config(tmp_path / "a.yaml", "Äschen", encoding))
    assert config.dataset.path == Path("Äschen")  # type: ignore[union-attr]


def test_a_config_in_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2: is not UTF-8 text"):
        load_config(folder_config(tmp_path / "a.yaml", "Äschen", "latin-1"))


def test_a_windows_path_in_double_quotes_is_told_how_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'C:\\photos\\fish' in single quotes, or C:/photos/fish"):
        load_config(folder_config(tmp_path / "a.yaml", r'"C:\photos\fish"'))


def test_a_name_of_another_form_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="for example my-fish; got 'My Fish'"):
        load_config(write(tmp_path), ["name=My Fish"])


def test_a_layout_says_what_folders_are_and_groups_are_declared_once(tmp_path: Path) -> None:
    path = folder_config(tmp_path / "a.yaml")
    for wrong in ("classes", "split", "split/split/class", "class/", "Class"):
        with pytest.raises(ConfigError, match="such as class, split/class"):
            load_config(path, [f"dataset.layout={wrong}"])
    with pytest.raises(ConfigError, match="both say what a group is"):
        load_config(path, ["dataset.layout=class/group", "dataset.group_by='(?P<group>.)'"])


def test_a_random_backbone_that_is_kept_fixed_is_refused(tmp_path: Path) -> None:
    candidates = {"m": {"backbone": "mobilenet_v2", "strategy": "frozen"}}
    with pytest.raises(ConfigError, match="random features fixed"):
        load_config(write(tmp_path, training={"candidates": candidates}))


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (
            {"backbone": "mobilenet_v2", "weights": "auto", "strategy": "frozen", "epochs": 3, "patience": 1},
            "strategy frozen does not read epochs, patience",
        ),
        (
            {"backbone": "mobilenet_v2", "weights": "auto", "strategy": "frozen", "augment": {"zoom": 0.0}},
            "strategy frozen does not read augment",
        ),
        (
            {"backbone": "mobilenet_v2", "weights": "auto", "strategy": "partial", "augment": {"zoom": 0.0}},
            "strategy partial does not read augment",
        ),
        (
            {"backbone": "cnn", "head_regularisation": [0.1]},
            "strategy full does not read head_regularisation",
        ),
        ({"backbone": "efficientnet_b0", "width": 0.5}, r"efficientnet_b0 has the widths 1\.0; got 0\.5"),
    ],
)
def test_settings_that_nothing_reads_are_refused(
    tmp_path: Path, candidate: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(write(tmp_path, training={"candidates": {"m": candidate}}))


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_candidate_that_is_written_whole_comes_back(strategy: Strategy) -> None:
    own = CandidateSettings(backbone="mobilenet_v2", weights="auto", strategy=strategy)
    assert CandidateSettings.model_validate_json(own.model_dump_json()) == own


@pytest.mark.parametrize("name", ["test", "exported"])
def test_a_candidate_named_like_a_step_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="taken by steps"):
        load_config(write(tmp_path, training={"candidates": {name: {"backbone": "cnn"}}}))


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ({"backbone": "cnn"}, 1e-3),
        ({"backbone": "mobilenet_v2", "strategy": "two_phase", "weights": "auto"}, 1e-4),
        ({"backbone": "mobilenet_v2", "strategy": "partial", "weights": "auto"}, 1e-3),
        (
            {"backbone": "mobilenet_v2", "strategy": "two_phase", "weights": "auto", "learning_rate": 0.01},
            0.01,
        ),
    ],
)
def test_pretrained_weights_are_fine_tuned_at_the_backbones_rate_unless_one_is_named(
    settings: dict[str, object], rate: float
) -> None:
    assert CandidateSettings.model_validate(settings).peak_learning_rate == rate


def test_what_may_be_served_is_exported_and_the_rest_on_request() -> None:
    wider = ExportSettings(tolerance=ToleranceSettings(ece_difference=0.5))
    assert ExportSettings().graphs() == wider.graphs()
    assert ExportSettings().graphs().precisions == (Precision.FP32, Precision.FP16)
    assert ExportSettings(precision=PrecisionChoice.FP16).graphs().precisions == (Precision.FP16,)
    further = ExportSettings(precision=PrecisionChoice.FP32, precisions=(Precision.INT8,))
    assert further.graphs().precisions == (Precision.FP32, Precision.INT8)


def test_a_group_pattern_without_a_group_is_refused(tmp_path: Path) -> None:
    dataset = {"source": "folder", "path": "x", "group_by": "^(.+)_frame"}
    with pytest.raises(ConfigError, match=r"has no part named \(\?P<group>"):
        load_config(write(tmp_path, dataset=dataset))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("images.size", "expected dotted.key=value"),
        ("name.x=1", "expected a section"),
        ("seed=[", "not YAML"),
    ],
)
def test_a_malformed_override_says_what_is_expected(tmp_path: Path, override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(write(tmp_path), [override])


@pytest.mark.parametrize("words", [["executor.workers=2", "executor=dask"], ["executor.workers=2"]])
def test_a_section_that_is_one_word_takes_keys_in_any_order(tmp_path: Path, words: list[str]) -> None:
    for overrides in (words, words[::-1]):
        executor = load_config(write(tmp_path, executor="dask"), overrides).executor
        assert (executor.engine, executor.workers) == ("dask", 2)
    with pytest.raises(ConfigError, match="workers of its own"):
        load_config(write(tmp_path, executor="tcp://host:8786"), ["executor.workers=2"])


def test_a_config_is_looked_up_by_name_then_by_path(tmp_path: Path) -> None:
    own = write(tmp_path)
    assert find_config("fast.yaml", CONFIGS) == CONFIGS / "fast.yaml"
    assert find_config("examples/fish.yaml", CONFIGS) == CONFIGS / "examples" / "fish.yaml"
    assert find_config(str(own), CONFIGS) == own
    with pytest.raises(ConfigError, match=r"Did you mean fast\?"):
        find_config("fats.yaml", CONFIGS)


@pytest.mark.parametrize("text", ["", "- a\n", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_config(path)


TOY = "name: toy\ndataset: {source: reef}\ntraining: {candidates: {cnn: {backbone: cnn}}}\n"


def test_a_key_that_is_given_twice_is_refused_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text(TOY + "images: {size: 64}\nseed: 3\nimages: {resize: crop}\n")
    with pytest.raises(
        ConfigError, match=r"twice\.yaml: line 6: the key 'images' .*twice \(first in line 4\)"
    ):
        load_config(path)


def test_anchors_and_merged_keys_go_on_working(tmp_path: Path) -> None:
    path = tmp_path / "merged.yaml"
    path.write_text(
        "name: toy\ndataset: {source: reef}\ntraining:\n  candidates:\n"
        "    a: &a {backbone: cnn, epochs: 3, augment: &strong {zoom: 0.3}}\n"
        "    b: &b {<<: *a, epochs: 4}\n"
        "    c: {<<: *b, epochs: 5, augment: *strong}\n"
    )
    candidates = load_config(path).training.candidates
    assert [each.epochs for each in candidates.values()] == [3, 4, 5]
    assert {each.augment.zoom for each in candidates.values()} == {0.3}


@pytest.mark.parametrize("text", ["[" * 3000, f"seed: {'9' * 5000}", "seed: 2026-13-01", "seed: !!int ''"])
def test_yaml_that_cannot_become_values_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml: not YAML"):
        load_config(path)


@pytest.mark.parametrize("base", ["", "0x"])
def test_a_number_of_five_thousand_digits_is_refused(tmp_path: Path, base: str) -> None:
    with pytest.raises(ConfigError):
        load_config(write(tmp_path), [f"seed={base}{'9' * 5000}"])


def test_a_config_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such config, File name too long"):
        find_config("x" * 300, CONFIGS)


def test_a_candidate_called_like_a_source_keeps_its_name_in_faults(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        dataset={"source": "reef", "sed": 3},
        training={"candidates": {"reef": {"backbone": "cnn", "epoch": 3}}},
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "training.candidates.reef.epoch: unknown key; did you mean epochs?" in str(caught.value)
    assert "dataset.sed: unknown key; did you mean seed?" in str(caught.value)


def test_folders_of_new_images_join_the_additions_once(tmp_path: Path) -> None:
    june = {"path": "june", "group_by": "^(?P<group>.+)_"}
    path = write(
        tmp_path,
        dataset={"source": "folder", "path": "photos", "additions": ["may", june]},
        retraining={"new_images": [june, "july"]},
    )
    config = load_config(path)
    grown = config.with_new_images()
    assert [each.name for each in grown.dataset.additions] == ["may", "june", "july"]
    assert grown.dataset.additions[1].group_by == june["group_by"]
    assert RunConfig.model_validate(grown.model_dump()) == grown
    assert load_config(path, ["retraining.new_images=[a/june]", "dataset.additions=[]"]).with_new_images()
    with pytest.raises(ConfigError, match=r"two additions are called 'june' \(june and a/june\)"):
        load_config(path, ["retraining.new_images=[a/june]"])


def test_an_unknown_key_of_an_addition_gets_a_suggestion(tmp_path: Path) -> None:
    addition = {"path": "june", "group_bi": "x"}
    path = write(tmp_path, dataset={"source": "reef", "additions": [addition]})
    with pytest.raises(
        ConfigError, match=r"dataset\.additions\.0\.group_bi: unknown key; did you mean group_by"
    ):
        load_config(path)
    path = write(tmp_path, retraining={"new_images": [addition]})
    with pytest.raises(ConfigError, match=r"retraining\.new_images\.0\.group_bi: .*did you mean group_by"):
        load_config(path)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("export.precisions=[fp16, fp32, fp16]", r"a precision is named twice \(fp16, fp32, fp16\)"),
        ("training.candidates.cnn.dropout=1.0", r"dropout: .*less than 1; got 1\.0"),
        ("gate.min_test_groups=100001", r"min_test_groups: .*less than or equal to 100000; got 100001"),
        ("training.candidates.cnn.weights_digest=abc", "weights is 'none', which has no file to check"),
    ],
)
def test_values_that_no_run_could_use_are_refused(tmp_path: Path, override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(write(tmp_path), [override])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("images.size=24", r"candidates\.net: vit_small takes images of 32 px and more; images\.size is 24"),
        ("export.precision=int8", r"candidates\.net: vit_small is not exported as int8: .*no faster"),
        ("export.precisions=[fp16, int8]", r"vit_small is not exported as int8"),
    ],
)
def test_what_a_backbone_cannot_do_is_refused_with_the_reason(
    tmp_path: Path, override: str, words: str
) -> None:
    path = write(tmp_path, training={"candidates": {"net": {"backbone": "vit_small"}}})
    load_config(path)
    with pytest.raises(ConfigError, match=words):
        load_config(path, [override])


@pytest.mark.parametrize("value", ["-1", "some", "true", "2.5"])
def test_known_images_to_keep_are_a_number_or_all(tmp_path: Path, value: str) -> None:
    path = folder_config(tmp_path / "a.yaml")
    kept = [load_config(path, [f"export.similar={each}"]).export.similar_per_class for each in (7, "all")]
    assert (kept[0], kept[1] > 1_000_000) == (7, True)
    with pytest.raises(ConfigError, match=r"export.similar.*all, or a whole number"):
        load_config(path, [f"export.similar={value}"])
