"""The curves as PNG. Needs matplotlib (the extra `bench`)."""

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def draw(name, found, path):
    """Draw what `found` by the file of that name."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    {"memory": memory, "stall": stall, "judging": stall, "overload": overload}[name](axes, found)
    axes.grid(alpha=0.3)
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=0)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def memory(axes, found):
    for hop in ("fast", "slow"):
        axes.plot(*zip(*found[hop]["samples"], strict=True), label=f"next hop {hop}")
    axes.axhline(found["limit_mib"], color="red", linestyle="--", label="limit")
    axes.set(
        xlabel="seconds", ylabel="RssAnon, MiB", title=f"{found['sessions']} sessions bring {found['mib']} MiB each"
    )
    axes.legend()


def stall(axes, found):
    axes.plot(*zip(*found["noop"], strict=True), linewidth=0.8, label="longest wait for the reply to NOOP")
    axes.step(*zip(*found["lag"], strict=True), where="pre", linewidth=0.8, label="sluice_loop_lag_seconds, below")
    axes.axhline(found["limit_ms"], color="red", linestyle="--", label="limit")
    axes.set(xlabel="seconds", ylabel="milliseconds", yscale="log", title="The event loop while hostile things arrive")
    for phase in found["phases"]:
        axes.axvline(phase["begin"], color="grey", linewidth=0.5)
        axes.text(
            phase["begin"], 0.02, f" {phase['kind']}", rotation=90, fontsize=6, transform=axes.get_xaxis_transform()
        )
    axes.set_ylim(0.1, 1000)
    axes.legend(loc="upper left", fontsize=7)


def overload(axes, found):
    for engine in ("fast", "slow"):
        points, rate = found[engine]["points"], found[engine]["sustainable"]
        offered, goodput = ([point[name] / rate for point in points] for name in ("offered", "goodput"))
        line = axes.plot(offered, goodput, marker="o", label=f"{engine} engine, sustains {rate:.0f}/s")[0]
        axes.axhline(0.9 * max(goodput), color=line.get_color(), linestyle="--", label="limit: 10 % below its best")
    axes.set(xlabel="offered load / sustainable rate", ylabel="goodput / sustainable rate", title="Overload")
    axes.legend()
