"""The card of a model: what it is, what it learned from, what it does and what not, in Markdown."""

from __future__ import annotations

from collections import Counter

from report.headline import HELPER, describe_model, write_headline
from report.promises import lacks_groups, list_cautions, list_promises
from report.story import RunStory
from report.take_away.templates import render_text
from vision.bundle.records import Contract
from vision.data.account import count_uses
from vision.data.records import Split, Splits
from vision.gate.records import Verdict


def write_card(story: RunStory, contract: Contract) -> str:
    """The card of the model that a run exported, promoted or not."""
    headline = write_headline(story)
    promoted = story.promotion is not None and story.promotion.verdict is Verdict.PROMOTED
    helper = promoted and story.promotion is not None and not story.promotion.decides
    return render_text(
        "card.md.j2",
        story=story,
        contract=contract,
        title=headline.title,
        reasons=headline.sentences,
        promoted=promoted,
        helper=HELPER if helper else "",
        counts=_count_splits(story.splits) if story.splits else {},
        figures=describe_model(story),
        promises=list_promises(story),
        cautions=list_cautions(story),
        no_groups=lacks_groups(story),
        splits=[str(split) for split in Split],
    )


def _count_splits(splits: Splits) -> dict[str, Counter[str]]:
    """Class -> images by split."""
    counts: dict[str, Counter[str]] = {}
    for (name, split), (num_images, _) in count_uses(splits).items():
        counts.setdefault(name, Counter())[str(split)] = num_images
    return counts
