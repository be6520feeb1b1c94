"""The screen that shows what was answered lately, how fast, and whether anybody looked for drift."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from serving.api.traffic_bodies import MonitoringVerdict, Traffic
from serving.app.screen import Screen, Service
from serving.app.words import escape_markdown, explain_fault
from serving.client import read_traffic
from vision.base.errors import TaxonError
from vision.base.wording import count_of, format_hundred
from vision.decision.records import Decision
from vision.drift.records import DriftCause, DriftStatus

_DAY = "24 hours"
SPANS = {_DAY: 24, "7 days": 24 * 7, "30 days": 24 * 30}
ANSWERS = {
    Decision.ACCEPT: ("decided alone", "#2e9e5b"),
    Decision.REVIEW: ("for a person", "#d99a1c"),
    Decision.UNKNOWN: ("unknown", "#5b8def"),
}
"""Decision -> what it is called here, and its colour, which light and dark screens both show."""

_SPAN_KEY = "monitoring-span"
_HOURS_IN_BARS = 48
_CAUSES = {
    DriftCause.CAPTURE: "they look otherwise (light, contrast, sharpness). Look at the cameras first.",
    DriftCause.NOVELTY: "more of them are like no known class. Look at the unknown: is there a new class?",
    DriftCause.COVARIATE: "they look otherwise to the network. Label some of them and train again.",
    DriftCause.LABEL_MIX: "the classes come in other shares than before. A season may explain it.",
}


def show_monitoring(service: Service) -> None:
    """Draw the screen."""
    chosen = st.segmented_control(
        "Time", list(SPANS), default=_DAY, key=_SPAN_KEY, label_visibility="collapsed"
    )
    span = chosen or _DAY
    try:
        traffic = read_traffic(service.url, service.key, SPANS[span])
    except TaxonError as error:
        st.error(escape_markdown(explain_fault("The traffic", error)))
        return
    st.markdown(f"#### {tell_traffic(traffic, span)}")
    _show_losses(traffic)
    _show_verdicts(traffic)
    if traffic.num_answers:
        _show_figures(traffic)
        st.vega_lite_chart(_draw_times(traffic), width="stretch")
        st.caption("Answers by hour (UTC)" if len(traffic.by_hour) <= _HOURS_IN_BARS else "By day (UTC)")
        _show_classes(traffic)
    st.caption(
        "Counted from the prediction log, for every client and version of this model; GET /traffic tells the "
        "same to programs."
    )


def tell_traffic(traffic: Traffic, span: str) -> str:
    """How many pictures were answered, and how, in one sentence."""
    if not traffic.num_answers:
        return f"No picture was asked in the last {span}."
    asked = count_of(traffic.num_answers, "picture")
    shares = ", ".join(
        f"{format_hundred(getattr(traffic, each.value) / traffic.num_answers)}% {word}"
        for each, (word, _) in ANSWERS.items()
    )
    return f"{asked} in the last {span}: {shares}."


def tell_verdict(verdict: MonitoringVerdict, now: datetime) -> str:
    """What monitoring said last and when, in one sentence and what to do."""
    ago = _tell_ago(now - verdict.time)
    if verdict.status is DriftStatus.INSUFFICIENT:
        found = "".join(verdict.reasons[:1]).removeprefix("insufficient: ")
        few_groups = any("more group" in each for each in verdict.reasons)
        asked = " Send group (individual, camera or visit) with each picture." if few_groups else ""
        return f"Looked at {ago}, too few to judge: {found}.{asked}"
    answers = count_of(verdict.num_answers, "answer")
    guessed = "" if verdict.verified else " Not verified: which pictures belong together was guessed."
    if verdict.cause is None:
        return f"Quiet, looked at {ago}: {answers} are like the pictures that it was calibrated on.{guessed}"
    return f"Drift, seen {ago} in {answers}: {_CAUSES[verdict.cause]}{guessed}"


def _tell_ago(passed: timedelta) -> str:
    minutes = max(0, round(passed.total_seconds() / 60))
    if minutes < 2:
        return "just now"
    if minutes < 120:
        return f"{minutes} minutes ago"
    hours = minutes // 60
    return f"{hours} hours ago" if hours < 48 else f"{hours // 24} days ago"


def _show_losses(traffic: Traffic) -> None:
    """Answers that were not written down, and a log that fails now."""
    if traffic.log.status == "failing":
        st.error(
            f"Answers are not being written down: {escape_markdown(traffic.log.reason or '')}",
            icon=":material/edit_off:",
        )
    elif traffic.num_lost:
        lost = count_of(traffic.num_lost, "answer")
        st.warning(f"{lost} could not be written down since the service was started, and are missing here.")


def _show_verdicts(traffic: Traffic) -> None:
    """The last verdict; where that is none for want of answers, also the last that is one."""
    command = f"python run.py monitor {traffic.model.name}"
    if not traffic.verdicts:
        st.info(
            "Not looked at: nobody has checked yet whether these pictures are like those that this version "
            f"was calibrated on. Check it now with `{command}`.",
            icon=":material/visibility_off:",
        )
        return
    newest = traffic.verdicts[0]
    judged = [each for each in traffic.verdicts if each.status is not DriftStatus.INSUFFICIENT][:1]
    for verdict in dict.fromkeys((newest, *judged)):
        box = {DriftStatus.QUIET: st.success, DriftStatus.DRIFT: st.warning}.get(verdict.status, st.info)
        box(escape_markdown(tell_verdict(verdict, datetime.now(UTC))), icon=":material/query_stats:")
    with st.expander("Why? What was compared"):
        for reason in newest.reasons:
            st.markdown(f"- {escape_markdown(reason)}")
        st.markdown(f"Look again: `{command}`. `docs/operations.md` says what each verdict asks for.")


def _show_figures(traffic: Traffic) -> None:
    with st.container(horizontal=True, gap="medium"):
        st.metric("Unknown, other things", traffic.stranger, help="not pictures of the kind it was taught")
        st.metric("Unknown, look-alikes", traffic.look_alike, help="like what it was taught, of no class")
        st.metric("Half within", _tell_ms(traffic.p50_ms), help="from a request's arrival to its answer")
        st.metric("95% within", _tell_ms(traffic.p95_ms))


def _tell_ms(milliseconds: float | None) -> str:
    return "none" if milliseconds is None else f"{milliseconds:.0f} ms"


def _draw_times(traffic: Traffic) -> dict[str, Any]:
    """Answers by hour, or by day of a long time, as stacked bars; a drawing of Vega-Lite."""
    daily = len(traffic.by_hour) > _HOURS_IN_BARS
    rows = [
        {"time": each.start.isoformat(), "answer": word, "pictures": getattr(each, decision.value)}
        for each in traffic.by_hour
        for decision, (word, _) in ANSWERS.items()
    ]
    words, colours = zip(*ANSWERS.values(), strict=True)
    time = {"field": "time", "timeUnit": "utcyearmonthdate" if daily else "utcyearmonthdatehours"}
    pictures = {"field": "pictures", "aggregate": "sum", "type": "quantitative", "title": "pictures"}
    answer = {"field": "answer", "type": "nominal", "scale": {"domain": words, "range": colours}}
    form = "%d %b" if daily else "%H:%M"
    return {
        "data": {"values": rows},
        "height": 220,
        "mark": "bar",
        "encoding": {
            "x": time | {"type": "temporal", "axis": {"title": None, "format": form}},
            "y": pictures | {"axis": {"title": None, "tickMinStep": 1}},
            "color": answer | {"legend": {"title": None, "orient": "top"}},
            "tooltip": [time | {"title": "from", "format": f"%d %b {form}"}, answer, pictures],
        },
    }


def _show_classes(traffic: Traffic) -> None:
    rows: list[dict[str, Any]] = [
        {"class": each.class_name, "pictures": each.num_answers} for each in traffic.classes
    ]
    if rows:
        most = max(row["pictures"] for row in rows)
        bar = st.column_config.ProgressColumn(format="%d", min_value=0, max_value=most, color="blue")
        st.markdown("**Named or suggested most often**")
        st.dataframe(rows, hide_index=True, column_config={"pictures": bar})


MONITORING = Screen(
    "Monitoring",
    "What was asked lately?",
    "monitoring",
    ":material/monitoring:",
    show_monitoring,
    kept=(_SPAN_KEY,),
)
