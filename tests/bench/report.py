# SPDX-License-Identifier: GPL-2.0-or-later
"""The document of the results: tables, plots, and where every target stands.

Every figure in it comes from the file of results; nothing is typed by hand.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import plots
import targets
from breakdown import STAGES
from plots import delay_name
from results import Results
from session import tried
from workloads import WORKLOADS

Row = dict[str, Any]

SIMPLEST_FIRST = ("no-window", "fixed-window", "fixed-1ms", "ours", "long-window")
CLOSE = 0.95        # of the best: then the simplest counts
FEWEST_COMMITS = 20     # for a mean that means something
LATENCIES = (("matrix", "raw", 16, 5.0), ("window", "raw", 16, 5.0))
COLUMNS = (
    ("rate/s", "rate", 1, "{:,.0f}"), ("mean ms", "mean_ns", 1e6, "{:.2f}"),
    ("p50 ms", "p50_ns", 1e6, "{:.2f}"), ("p99 ms", "p99_ns", 1e6, "{:.2f}"),
    ("max ms", "max_ns", 1e6, "{:.1f}"), ("flushes", "flushes_per_call", 1, "{:.3f}"),
    ("guest CPU us", "cpu_ns_per_call", 1e3, "{:.0f}"),
    ("host CPU us", "host_cpu_ns_per_call", 1e3, "{:.0f}"),
    ("interrupts", "interrupts_per_call", 1, "{:.2f}"),
    ("switches", "switches_per_call", 1, "{:.1f}"))


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    found = [f"| {' | '.join(line)} |" for line in lines]
    if not found:
        return []
    return ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads), *found, ""]


def _figure(value: float | None, unit: float, form: str) -> str:
    return "-" if value is None else form.format(value / unit)


def _ratio(ratio: Row) -> str:
    return f"{ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})"


def _number(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


# --- the parts --------------------------------------------------------------

def _head(document: Row) -> list[str]:
    lines = ["# Results", "",
             "Made by `tests/bench/run`; not to be edited. [README.md](README.md) says what was "
             "measured, how, and how to read it.", ""]
    if not document["complete"]:
        done = document["wanted"] - document["missing"]
        lines += [f"**This is partial: {done} of {document['wanted']} measurements of the plan "
                  f"\"{document['plan']}\" are there. The same command goes on with the "
                  "rest.**", ""]
    for failure in document["failures"]:
        lines.append(f"- not measured, {failure['cell']}, round {failure['round']}: "
                     f"{failure['why'].splitlines()[0]}")
    about = document["machine"]
    size = f"{about['guest']['cpus']} processors, {about['guest']['memory']} MiB"
    kernels = ", ".join(f"{name} ({release})" for name, release in document["kernels"].items())
    lines += ["", *table(("", ""), (
        ("host", f"{about['cores']} x {about['processor']}, {about['memory_gib']} GiB, "
                 f"Linux {about['host_kernel']}, load {about['load_average']} at the start"),
        ("backing files", f"on {about['file_system']}"),
        ("QEMU", f"{about['qemu']}, {about['accel']}"),
        ("guests", f"{size}; {kernels}"),
        ("our driver", f"sources {about['driver']}"),
        ("command", f"`tests/bench/run --{document['plan']}`")))]
    return lines


def _targets(document: Row, memory: list[Row]) -> list[str]:
    names = list(document["kernels"])
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for verdict in targets.verdicts(document["rows"], memory, names):
        found.setdefault((verdict["what"], verdict["wanted"]), {})[verdict["kernel"]] = verdict

    def cell(verdict: Row | None) -> str:
        if verdict is None or verdict["measured"] is None:
            return "not measured"
        rounds = "" if verdict["rounds"] >= 5 or "alloc" in verdict["what"] \
            else f", {verdict['rounds']} of 5 rounds"
        met = "met" if verdict["met"] else "**not met**"
        between = "" if not verdict["range"] else \
            f" ({'-'.join(_number(value) for value in verdict['range'])})"
        return f"{_number(verdict['measured'])}{between}, {met}{rounds}"

    lines = table(("rate, ours / in-tree, where nothing else is said", "target", *names),
                  ((what, wanted, *(cell(by.get(name)) for name in names))
                   for (what, wanted), by in found.items()))
    return ["## Targets", "", "The same kernel, the same run, medians of "
            "5 rounds, and of ratios the lowest and the highest. A ratio is of two measurements of "
            "the same round.", "", *lines]


def _ratios(rows: list[Row], kernel: str) -> list[str]:
    """A line for each workload and delay, a column for each number of threads."""
    mine = [r for r in rows if r["group"] == "matrix" and r["kernel"] == kernel]
    threads = sorted({r["threads"] for r in mine})
    found: dict[tuple[str, float], dict[int, str]] = {}
    for row in mine:
        found.setdefault((row["workload"], row["delay_ms"]), {})[row["threads"]] = \
            f"{row['ratios']['ours']['median']:.2f}"
    return table(("workload", "host", *(f"{n} thread{'s' * (n > 1)}" for n in threads)),
                 ((WORKLOADS[workload].title, delay_name(delay),
                   *(by.get(n, "-") for n in threads)) for (workload, delay), by in found.items()))


def slower(rows: list[Row]) -> list[str]:
    """The cells where no round speaks for ours."""
    mine = [(r, r["ratios"]["ours"]) for r in rows if r["group"] == "matrix"
            and "ours" in r["ratios"] and r["ratios"]["ours"]["max"] < 1]
    cells = sum(r["group"] == "matrix" for r in rows)
    found = table(("kernel", "workload", "threads", "host", "ratio (min-max)", "flushes, in-tree",
                   "flushes, ours", "rounds"),
                  ((r["kernel"], r["workload"], str(r["threads"]), delay_name(r["delay_ms"]),
                    _ratio(ratio), *(f"{r['drivers'][d]['flushes_per_call']:.3f}"
                                     for d in ("in-tree", "ours")), str(ratio["rounds"]))
                   for r, ratio in mine))
    return ["## Cells where ours was slower in every round", "",
            f"{len(mine)} of {cells}. Of two drivers that are the same, one is slower in half of "
            "the cells of one round, in a quarter of two, in one of 32 of five. Where the flushes "
            "for each call are the same as well, the drivers have asked the host for the same.",
            "", *found]


def nothing_gathered(boots: list[Row]) -> list[str]:
    """Where both drivers ask the host for the same."""
    def line(what: str, kernel: str, number: str, found: list[Row], slower: str) -> tuple[str, ...]:
        ratios = [ratio for one in found for ratio in one["ratios"]]
        flushes = [part for one in found for part in one["flushes"]]
        return (what, kernel, number, str(len(ratios)), str(sum(r < 1 for r in ratios)),
                f"{statistics.geometric_mean(ratios):.3f} ({min(ratios):.2f}-{max(ratios):.2f})",
                f"{statistics.geometric_mean(flushes):.3f}", slower)

    lines, kinds = [], dict.fromkeys((one["what"], one["kernel"]) for one in boots)
    for what, kernel in kinds:
        found = [one for one in boots if (one["what"], one["kernel"]) == (what, kernel)]
        lines += [line(what, kernel, str(one["round"]), [one], f"{one['slower']:.2f}")
                  for one in found]
        lines.append(line(what, kernel, "all", found, ""))
    lines = table(("cells", "kernel", "round", "ratios", "below 1", "mean (min-max)", "flushes",
                   "system call"), lines)
    return ["## Where there is nothing to gather", "",
            "One thread (all workloads but ext4-append), and ext4 that appends with any number of "
            "threads. A line is of one boot of two guests, a ratio of one cell in it; means are "
            "geometric. \"Flushes\" is host flushes for each call, ours / in-tree; \"system "
            "call\" is how long one takes in the guest of ours that has nothing to do with a "
            "driver, by that of the in-tree one: the guests' own luck.", "",
            *lines] if lines else []


def lone_flushes(rows: list[Row]) -> list[str]:
    """What the target of p99 is judged by, round by round, and the windows beside it."""
    lines = []
    for row in rows:
        if (row["group"], row["workload"], row["threads"], row["delay_ms"]) in LATENCIES:
            for driver, found in row["in_lone_flushes"].items():
                lines += [(row["kernel"], row["group"], driver, str(one["round"]),
                           f"{one['p50']:.2f}", f"{one['p99']:.2f}",
                           f"{one['flushes_per_call']:.3f}")
                          for one in found["each"] if row["group"] == "matrix" and driver == "ours"]
                lines.append((row["kernel"], row["group"], driver, "median",
                              _ratio(found["p50"]), _ratio(found["p99"]),
                              f"{row['drivers'][driver]['flushes_per_call']:.3f}"))
    lines = table(("kernel", "group", "driver", "round", "p50", "p99", "flushes"), lines)
    return ["## 16 threads at +5 ms, in lone flushes", "",
            "Raw device; latencies as multiples of the median of a single caller of the same "
            "driver in the same round. Where all 16 share each host flush there are 0.0625 for "
            "each call; of two groups that take turns, each waits for two flushes, and there are "
            "up to 0.125.", "", *lines] if lines else []


def _all(rows: list[Row]) -> list[str]:
    """Every figure of every cell."""
    lines = []
    for row in rows:
        for driver, figures in row["drivers"].items():
            ratio = row["ratios"].get(driver)
            lines.append((row["workload"], str(row["threads"]), f"+{row['delay_ms']:g}",
                          str(row["regions"]), driver,
                          *(_figure(figures[key], unit, form) for _, key, unit, form in COLUMNS),
                          _ratio(ratio) if ratio else "", str(row["rounds"])))
    return table(("workload", "threads", "host ms", "regions", "driver",
                  *(head for head, *_ in COLUMNS), "ratio (min-max)", "rounds"), lines)


def images(drawn: Sequence[str], prefix: str) -> list[str]:
    """The plots of that name, and those that it is the beginning of: 6.1 is not that of 6.12."""
    return [f"![{name}]({name}.svg)" for name in drawn
            if name == prefix or name.startswith(f"{prefix}-")] + [""]


def _differences(drivers: Iterable[str]) -> list[str]:
    """What the drivers that differ from ours differ in."""
    texts = {d: tried(d).read_text(encoding="utf-8").split("\n\n")[1] for d in drivers
             if d != "ours"}
    return [*(f"- `{d}`: {' '.join(text.split())}" for d, text in texts.items()), ""]


def chance(rows: Iterable[Row], drivers: Sequence[str]) -> tuple[float, float]:
    """Between what lie the ratios of drivers that are the same as ours; 1 is one of them."""
    found = [row["ratios"][driver] for row in rows for driver in drivers if driver in row["ratios"]]
    return (min([1.0, *(ratio["min"] for ratio in found)]),
            max([1.0, *(ratio["max"] for ratio in found)]))


def _place(row: Row) -> str:
    plural = "s" * (row["threads"] > 1)
    return f"{row['workload']}, {row['threads']} thread{plural}, {delay_name(row['delay_ms'])}"


def outcome(rows: list[Row]) -> str:
    """Which of the changes that were tried chance does not explain."""
    low, high = chance(rows, ["unchanged"])
    outside = [f"`{driver}` at {_place(row)}: {_ratio(ratio)}" for row in rows
               for driver, ratio in row["ratios"].items()
               if driver != "unchanged" and not low <= ratio["median"] <= high]
    verdict = f"Outside of that lie {'; '.join(outside)}." if outside else \
        "The medians of all changes lie within that, so none is shown to help or to harm."
    return (f"Over all lines the rounds of `unchanged` lie between {low:.2f} and {high:.2f}. "
            f"{verdict}")


def _tried(rows: list[Row]) -> list[str]:
    mine = [r for r in rows if r["group"] == "tried"]
    if not mine:
        return []
    drivers = list(dict.fromkeys(d for r in mine for d in r["ratios"]))
    return ["## What was tried", "",
            "Rates, with one thing changed / ours: below 1 ours is better. `unchanged` shows what "
            "chance makes of two that are the same. A change whose median lies within the range "
            "of `unchanged` over all lines is not shown to help.", "", *_differences(drivers),
            *table(("workload", "threads", "host", *drivers),
                   ((r["workload"], str(r["threads"]), delay_name(r["delay_ms"]),
                     *(_ratio(r["ratios"][d]) for d in drivers)) for r in mine)),
            outcome(mine), ""]


def _names(drivers: Sequence[str]) -> str:
    return ", ".join(f"`{driver}`" for driver in drivers) or "none"


def windows(rows: list[Row]) -> list[str]:
    """Which window is the simplest that is as good as the best, and what chance is."""
    mine = [r for r in rows if r["group"] == "window"]
    if not mine:
        return []
    drivers = [d for d in SIMPLEST_FIRST if all(d in r["drivers"] for r in mine)]
    parts: dict[str, list[tuple[float, str]]] = {d: [] for d in drivers}
    same: list[float] = []
    lines = []
    for row in mine:
        rates = {d: 1.0 if d == row["base"] else row["ratios"][d]["median"] for d in drivers}
        best = max(rates.values())
        for driver, rate in rates.items():
            if row["threads"] == 1:
                same.append(rate / best)
            else:
                parts[driver].append((rate / best, _place(row)))
        lines.append((row["workload"], str(row["threads"]), delay_name(row["delay_ms"]),
                      *(f"{rate / best * 100:.0f} %" for rate in rates.values())))
    text = []
    if same:
        low, high = chance([r for r in mine if r["threads"] == 1], drivers)
        text += ["With one thread no window opens, so there every driver is the same. What chance "
                 f"makes of that: rounds between {low:.2f} and {high:.2f} of ours, medians down to "
                 f"{min(same) * 100:.0f} % of the best of a line.", ""]
    several = {driver: found for driver, found in parts.items() if found}
    if several:
        text += ["With several threads:", ""]
    for driver, found in several.items():
        close = sum(part >= CLOSE for part, _ in found)
        worst, place = min(found)
        mean = statistics.geometric_mean([part for part, _ in found])
        text.append(f"- `{driver}`: within 5 % of the best in {close} of {len(found)} lines; "
                    f"geometric mean {mean * 100:.1f} %; worst {worst * 100:.0f} % ({place})")
    if several:
        everywhere = [d for d, found in several.items() if min(found)[0] >= CLOSE]
        text += ["", "Everywhere within 5 % of the best, the simplest first: "
                 f"{_names(everywhere)}."]
        if same:
            likely = [d for d, found in several.items() if min(found)[0] >= min(same)]
            text[-1] += f" Everywhere as close to it as what is the same: {_names(likely)}."
    return ["## Windows of anticipation", "",
            "Rates as parts of the best of each line; `ours` adapts.", "", *_differences(drivers),
            *table(("workload", "threads", "host", *drivers), lines), *text, ""]


def statistics_cost(rows: list[Row]) -> list[str]:
    mine = [r for r in rows if r["group"] == "stats"]
    lines = []
    for row in (r for r in mine if r["workload"] == "stats"):
        figures = row["drivers"]["ours"]
        lines.append(f"- One read of `flush_stats`, {row['threads']} at a time: "
                     f"{figures['p50_ns'] / 1e3:.1f} us (p50), {figures['p99_ns'] / 1e3:.1f} us "
                     "(p99).")
    for row in mine:
        if ratio := row.get("unwatched", {}).get("ours"):
            lines.append(f"- {row['threads']} thread(s), {delay_name(row['delay_ms'])}, while it "
                         f"is read 100 times a second: {_ratio(ratio)} of the rate without, in "
                         f"{ratio['rounds']} rounds.")
    return ["## The cost of reading statistics", "", *lines, ""] if lines else []


def where_time_goes(found: list[Row]) -> list[str]:
    staged = [b for b in found if "stages_us" in b]
    commits = [b for b in found if "commit" in b and b["commit"]["commits"] >= FEWEST_COMMITS]
    lines = table(("kernel", "workload", "threads", "host", "call us",
                   *(name for name, _ in STAGES)),
                  ((b["kernel"], b["workload"], str(b["threads"]), delay_name(b["delay_ms"]),
                    f"{b['call_us']:.0f}", *(f"{us:.0f}" for us in b["stages_us"]))
                   for b in staged))
    journal = table(("kernel", "workload", "threads", "host", "round", "driver", "commit us",
                     "of it host flushes us", "between commits us", "flushes a commit",
                     "calls a commit"),
                    ((b["kernel"], b["workload"], str(b["threads"]), delay_name(b["delay_ms"]),
                      str(b["round"]), b["driver"], f"{c['commit_us']:.0f}",
                      _figure(c["host_us"], 1, "{:.0f}"), f"{c['idle_us']:.0f}",
                      f"{c['flushes_per_commit']:.2f}", f"{c['calls_per_commit']:.1f}")
                     for b in commits for c in [b["commit"]]))
    if journal:
        journal = ["What one commit of ext4's journal costs, where at least "
                   f"{FEWEST_COMMITS} were traced. The in-tree driver has no tracepoints, so of "
                   "its flushes only the number is known, from the host:", "", *journal]
    if not staged and not commits:
        return []
    return ["## Where the time goes", "",
            "Means over the calls that were traced, our driver where none is named; tracing slows "
            "everything down.", "",
            *(f"- {name}: {what}" for name, what in STAGES), "", *lines, *journal]


def _memory(found: list[Row]) -> list[str]:
    return ["## Memory", "", *table(
        ("kernel", "driver", "bytes for a device", "asked for by", "allocations in flushes"),
        ((m["kernel"], m["driver"], str(m["device_bytes"]),
          ", ".join(f"`{f}`" for f in m["device_functions"]),
          f"{m['flush_allocations']} in {m['flushes']}") for m in found))] if found else []


# --- the whole --------------------------------------------------------------

def summary(results: Results) -> list[str]:
    """What a terminal shows: the targets, and the ratios of the matrix."""
    document = results.document()
    rows = document["rows"]
    lines = _targets(document, results.details("memory"))
    for kernel in document["kernels"]:
        lines += [f"## Linux {kernel}: rate, ours / in-tree", "", *_ratios(rows, kernel)]
    return lines


def render(results: Results, drawn: Sequence[str] = ()) -> str:
    document, memory = results.document(), results.details("memory")
    rows, breakdowns = document["rows"], results.details("breakdown")
    kernels = [k for k in document["kernels"]
               if any(r["kernel"] == k and r["group"] == "matrix" for r in rows)]
    lines = [*_head(document), *_targets(document, memory), *slower(rows),
             *lone_flushes(rows), *nothing_gathered(results.boots())]
    for kernel in kernels:
        lines += [f"## Linux {kernel}: rate, ours / in-tree", "", *_ratios(rows, kernel)]
        for prefix in ("rate", "ratio", "latency", "flushes"):
            lines += images(drawn, f"{prefix}-{kernel}")
    lines += [*windows(rows), *images(drawn, "window"), *_tried(rows)]
    for group, title in (("regions", "Many regions at once"),
                         ("lone", "A lone caller beside a load")):
        mine = [r for r in rows if r["group"] == group]
        if mine:
            lines += [f"## {title}", "", *_all(mine), *images(drawn, group)]
    lines += [*statistics_cost(rows), *where_time_goes(breakdowns), *images(drawn, "breakdown"),
              *_memory(memory)]
    for kernel in kernels:
        lines += [f"## Linux {kernel}: every figure", "",
                  *_all([r for r in rows if r["group"] == "matrix" and r["kernel"] == kernel])]
    text = "\n".join(lines)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.rstrip() + "\n"


def write(results: Results, directory: Path) -> list[Path]:
    """The document and its plots."""
    found = plots.plots(results.document(), results.details("breakdown"))
    drawn = plots.draw(found, directory)
    text = render(results, [plot.name for plot in found])
    (directory / "results.md").write_text(text, encoding="utf-8")
    return drawn
