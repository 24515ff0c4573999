# SPDX-License-Identifier: GPL-2.0-or-later
"""The plots of the results, drawn by gnuplot as SVG.

A plot takes its points from the rows of the results; one that has none yet is not
drawn. The same results give the same files.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from breakdown import STAGES
from plan import DELAYS, THREADS, WORKLOADS

Row = dict[str, Any]
Points = list[tuple[float, float]]

COLOURS = {"in-tree": "#999999", "ours": "#0060ad"}
PALETTE = ("#0060ad", "#dd181f", "#2e8b57", "#e69f00", "#8a2be2", "#8b4513", "#111111")
DASHES = {0.0: 1, 1.0: 2, 5.0: 4}


class PlotError(Exception):
    """gnuplot is not there, or does not like its input."""


@dataclass
class Curve:
    title: str
    points: Points
    colour: str
    dash: int = 1
    point: int = 7


@dataclass
class Plot:
    name: str
    title: str
    ylabel: str
    curves: list[Curve]
    settings: list[str] = field(default_factory=lambda: ["set logscale xy"])
    xlabel: str = "threads"
    script: str = ""
    """Instead of curves."""


def delay_name(delay: float) -> str:
    return f"host +{delay:g} ms" if delay else "host as it is"


def _points(rows: list[Row], value: Any) -> Points:
    found = [(float(row["threads"]), value(row)) for row in rows]
    return sorted((x, y) for x, y in found if y is not None and y > 0)


def _matrix(rows: list[Row], kernel: str, workload: str, delay: float) -> list[Row]:
    return [r for r in rows if r["group"] == "matrix" and r["kernel"] == kernel
            and r["workload"] == workload and r["delay_ms"] == delay]


def _rates(rows: list[Row], kernel: str) -> Iterator[Plot]:
    """Against the in-tree driver with one thread: no absolute claim."""
    lone = _matrix(rows, kernel, "raw", 0.0)
    unit = next((r["drivers"]["in-tree"]["rate"] for r in lone if r["threads"] == 1), None)
    if unit:
        curves = [Curve(f"{driver}, {delay_name(delay)}",
                        _points(_matrix(rows, kernel, "raw", delay),
                                lambda r, d=driver: r["drivers"][d]["rate"] / unit),
                        COLOURS[driver], DASHES[delay])
                  for driver in COLOURS for delay in DELAYS]
        yield Plot(f"rate-{kernel}", f"Linux {kernel}: write and fdatasync on the raw device",
                   "rate (in-tree, 1 thread, host as it is: 1)", curves)


def _ratios(rows: list[Row], kernel: str) -> Iterator[Plot]:
    for delay in DELAYS:
        curves = [Curve(workload, _points(_matrix(rows, kernel, workload, delay),
                                          lambda r: r["ratios"]["ours"]["median"]),
                        PALETTE[n], point=n + 4) for n, workload in enumerate(WORKLOADS)]
        threads = {x for curve in curves for x, _ in curve.points}
        curves.append(Curve("in-tree", [(x, 1.0) for x in sorted(threads)], COLOURS["in-tree"]))
        yield Plot(f"ratio-{kernel}-{delay:g}ms", f"Linux {kernel}, {delay_name(delay)}",
                   "rate, ours / in-tree", curves, ["set logscale xy", "set yrange [*<0.5:*]"])


def _latencies(rows: list[Row], kernel: str) -> Iterator[Plot]:
    for delay in DELAYS:
        curves = [Curve(f"{driver}, {what}",
                        _points(_matrix(rows, kernel, "raw", delay),
                                lambda r, d=driver, w=what: r["drivers"][d][f"{w}_ns"] / 1e6),
                        COLOURS[driver], dash)
                  for driver in COLOURS for what, dash in (("p50", 1), ("p99", 2), ("max", 4))]
        yield Plot(f"latency-{kernel}-{delay:g}ms",
                   f"Linux {kernel}, raw device, {delay_name(delay)}", "latency in ms", curves)


def _flushes(rows: list[Row], kernel: str) -> Iterator[Plot]:
    curves = [Curve(f"{driver}, {delay_name(delay)}",
                    _points(_matrix(rows, kernel, "raw", delay),
                            lambda r, d=driver: r["drivers"][d]["flushes_per_call"]),
                    COLOURS[driver], DASHES[delay])
              for driver in COLOURS for delay in DELAYS]
    yield Plot(f"flushes-{kernel}", f"Linux {kernel}: host flushes for each call, raw device",
               "host flushes for each call", curves)


def _windows(rows: list[Row]) -> Iterator[Plot]:
    for delay in DELAYS:
        found = [r for r in rows if r["group"] == "window" and r["workload"] == "raw"
                 and r["delay_ms"] == delay]
        drivers = list(dict.fromkeys(d for r in found for d in r["ratios"]))
        curves = [Curve(driver, _points(found, lambda r, d=driver: r["ratios"][d]["median"]),
                        PALETTE[n], point=n + 4) for n, driver in enumerate(drivers)]
        yield Plot(f"window-{delay:g}ms", f"Windows, raw device, {delay_name(delay)}",
                   "rate, as a part of ours", curves, ["set logscale x"])


def _regions(rows: list[Row]) -> Iterator[Plot]:
    for delay in DELAYS:
        found = [r for r in rows if r["group"] == "regions" and r["delay_ms"] == delay]
        points = sorted((float(r["regions"]), r["ratios"]["ours"]["median"]) for r in found)
        yield Plot(f"regions-{delay:g}ms", f"32 threads over several regions, {delay_name(delay)}",
                   "rate, ours / in-tree", [Curve("ours / in-tree", points, COLOURS["ours"])],
                   ["set yrange [0:*]"], "regions")


def _breakdown(breakdowns: list[Row]) -> Iterator[Plot]:
    """Stacked bars: where the time of a call goes."""
    found = [b for b in breakdowns if "stages_us" in b]
    if not found:
        return
    lines = []
    for b in found:
        name = f"{b['workload']}\\n{b['threads']} threads\\n{delay_name(b['delay_ms'])}"
        total = sum(b["stages_us"])
        lines.append(" ".join([f'"{name}"', *(f"{us / total * 100:.2f}" for us in b["stages_us"])]))
    bars = ", ".join(f"$data using {n + 2}:xtic(1) title '{stage}' lc rgb '{PALETTE[n]}'"
                     for n, (stage, _) in enumerate(STAGES))
    yield Plot("breakdown", "Where the time of a call goes, our driver", "% of the call", [],
               ["set style data histograms", "set style histogram rowstacked",
                "set style fill solid 0.8 border -1", "set boxwidth 0.7", "set yrange [0:100]",
                "set bmargin 5", "set key outside right"], "",
               "$data << END\n" + "\n".join(lines) + "\nEND\nplot " + bars + "\n")


def plots(document: Row, breakdowns: list[Row]) -> list[Plot]:
    """All that there are points for."""
    rows = document["rows"]
    kernels = list(dict.fromkeys(r["kernel"] for r in rows if r["group"] == "matrix"))
    found = [plot for kernel in kernels for make in (_rates, _ratios, _latencies, _flushes)
             for plot in make(rows, kernel)]
    found += [*_windows(rows), *_regions(rows), *_breakdown(breakdowns)]
    return [plot for plot in found if plot.script or any(c.points for c in plot.curves)]


def _script(plot: Plot, target: Path) -> str:
    curves = [c for c in plot.curves if c.points]
    lines = ["set terminal svg size 860,520 enhanced font 'sans-serif,13' background 'white'",
             f"set output '{target}'", f"set title '{plot.title}' noenhanced",
             f"set xlabel '{plot.xlabel}'", f"set ylabel '{plot.ylabel}'", "set grid",
             "set key outside right noenhanced", *plot.settings]
    if plot.script:
        return "\n".join(lines) + "\n" + plot.script
    values = sorted({x for c in curves for x, _ in c.points} | (
        set(map(float, THREADS)) if plot.xlabel == "threads" else set()))
    lines.append("set xtics (" + ", ".join(f"{x:g}" for x in values) + ")")
    lines.append(f"set xrange [{min(values) * 0.8:g}:{max(values) * 1.25:g}]")
    for n, curve in enumerate(curves):
        lines += [f"$curve{n} << END", *(f"{x:g} {y:.6g}" for x, y in curve.points), "END"]
    lines.append("plot " + ", \\\n  ".join(
        f"$curve{n} using 1:2 with linespoints lw 2 lc rgb '{c.colour}' dt {c.dash} pt {c.point} "
        f"ps 0.6 title '{c.title}'" for n, c in enumerate(curves)))
    return "\n".join(lines) + "\n"


def draw(found: list[Plot], directory: Path) -> list[Path]:
    """Write the plots' files; older ones that there is no plot for any more go."""
    targets = [directory / f"{plot.name}.svg" for plot in found]
    script = "\nreset\n".join(_script(plot, target) for plot, target in zip(found, targets))
    try:
        done = subprocess.run(["gnuplot", "-"], input=script, capture_output=True, text=True,
                              check=False)
    except FileNotFoundError:
        raise PlotError("no gnuplot: run scripts/install-deps test") from None
    if done.returncode != 0 or "warning" in done.stderr.lower():
        raise PlotError(f"gnuplot: {done.stderr.strip()}")
    for old in directory.glob("*.svg"):
        if old not in targets:
            old.unlink()
    return targets
