"""The images: samples, counts, what was left out."""

from __future__ import annotations

from typing import Any

from report.photographs.thumbnails import SAMPLE_SIDE, embed_row, sample_rows
from report.pictures import Plot
from report.sections.section import Section
from report.story import RunStory
from vision.config.training import Strategy
from vision.data.account import count_kinds, count_losses, list_left_out, size_splits, tell_files

SAMPLES_PER_CLASS = 6
MOST_CLASSES = 60
MOST_QUARANTINED = 12


def _context(story: RunStory) -> dict[str, Any]:
    return {
        "samples": _show_samples(story),
        "split_sizes": size_splits(story.splits) if story.splits else {},
        "uses": _uses(story),
        "most_quarantined": MOST_QUARANTINED,
        "left_out": list_left_out(story.manifest, story.splits) if story.manifest else (),
        "told": tell_data(story),
        "inflation": _tell_inflation(story),
    }


def tell_data(story: RunStory) -> tuple[str, ...]:
    """Sentences: how test differs from the model in production's, what is left out, what is remarked."""
    change = story.data_report.test_change if story.data_report is not None else ""
    files = tell_files(story.manifest, story.splits) if story.manifest is not None else ()
    return (*([change] if change else []), *files)


def _plots(story: RunStory) -> dict[str, Plot]:
    report = story.data_report
    if report is None:
        return {}
    plots = {"class_counts": Plot("data.draw_class_counts", report)}
    return plots | ({"quality": Plot("data.draw_quality", report)} if report.quality else {})


def _tell_inflation(story: RunStory) -> str:
    """What a random split would have shown, or why that is not known; empty before test was reached."""
    found = story.inflation
    if found is not None:
        return (
            f"A random split would have shown {found.at_random:.1%}; honest is {found.by_groups:.1%} "
            f"(a linear head on the frozen network, {found.num_images:,} images of {found.num_groups:,} "
            "groups, judged by single images and by whole groups)."
        )
    if story.test is None or story.splits is None:
        return ""
    if not any(each.strategy is Strategy.FROZEN for each in story.config.training.candidates.values()):
        return "What a random split would have shown was not measured: no candidate is frozen."
    repeats = story.splits.num_groups() < len(story.splits.groups)
    why = "some class has too few groups" if repeats else "every image is a group of its own"
    return f"What a random split would have shown was not measured: {why}."


def _uses(story: RunStory) -> dict[str, str]:
    """What each split is used for; a frozen backbone's head learns from all but test, held out by folds."""
    frozen = [each.strategy is Strategy.FROZEN for each in story.config.training.candidates.values()]
    folds = "learning, and by folds confidence and thresholds"
    uses = dict.fromkeys(("train", "validation", "calibration"), folds)
    if not all(frozen):
        also = f" (a frozen backbone: {folds})" if any(frozen) else ""
        uses = {
            "train": "learning",
            "validation": f"when to stop, which candidate{also}",
            "calibration": f"confidence and thresholds{also}",
        }
    return uses | {"test": "this report and the gate, once"}


def _show_samples(story: RunStory) -> list[tuple[str, bool, list[tuple[str, str]]]]:
    """For each class: its name, whether it is held out, some of its images with their files."""
    if story.manifest is None or story.images is None:
        return []
    held_out = set(story.manifest.unknown_class_names)
    names = [*story.manifest.class_names, *story.manifest.unknown_class_names][:MOST_CLASSES]
    return [
        (
            name,
            name in held_out,
            [
                (source, story.manifest.entries[row].path)
                for row in sample_rows(story, name, SAMPLES_PER_CLASS)
                if (source := embed_row(story, row, SAMPLE_SIDE))
            ],
        )
        for name in names
    ]


def _summary(story: RunStory) -> dict[str, Any]:
    if story.manifest is None:
        return {"dataset": None}
    dataset = {
        "source_digest": story.manifest.source_digest,
        "images_digest": story.images_digest,
        "num_images": len(story.manifest.entries),
        "num_quarantined": len(story.manifest.quarantined),
        "left_out": dict(count_kinds(list_left_out(story.manifest, story.splits))),
        "left_out_by_class": {
            loss.class_name: loss.num_lost for loss in count_losses(story.manifest, story.splits)
        },
        "remarks": [remark.model_dump() for remark in story.manifest.remarks],
        "class_names": list(story.manifest.class_names),
        "unknown_class_names": list(story.manifest.unknown_class_names),
        "num_alike": story.manifest.num_alike(),
        "split_inflation": story.inflation.model_dump() if story.inflation else None,
        "splits": {name: size._asdict() for name, size in size_splits(story.splits).items()}
        if story.splits
        else None,
    }
    return {"dataset": dataset}


DATA = Section("data", "The data", ("manifest",), _context, _plots, _summary, folded=False)
